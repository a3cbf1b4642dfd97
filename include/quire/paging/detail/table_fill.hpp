// SPDX-License-Identifier: MIT
// FormatPageTable: making and ending tables, and filling what is empty. Included by
// format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
FormatPageTable<Format, Access>::FormatPageTable(Access& access, Format format)
    : source_(no_frames_), bytes_(access, format) {}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::create(FrameSource source) {
    if (table_frames_ != 0) return Failure{Error::in_use, address_of(root()).value()};
    const Session session = bytes_.begin();
    Reserve reserve(bytes_, session, source);
    const Status reserved = reserve.reserve(1);
    if (!reserved.ok()) return reserved;
    const Frame root = reserve.take();
    auto opened = bytes_.open_unlinked(session, root);
    if (!opened.ok()) trap();
    Entry* const entries = opened->entries();
    for (unsigned index = 0; index < Format::entries; ++index)
        entries[index] = Format::empty;
    source_ = source;
    bytes_.set_root(root);
    reach_ = bytes_.reach();
    table_frames_ = 1;
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::destroy() {
    if (table_frames_ == 0) return Failure{Error::out_of_range};
    if (waiting_ != Waiting::nothing) return Failure{Error::busy, address_of(root()).value()};
    {
        const Session session = bytes_.begin();
        auto opened = bytes_.open(session, root(), Shape::root_level, Page(0));
        if (!opened.ok()) return opened.failure();
        const Entry* const entries = opened->entries();
        for (unsigned index = 0; index < Format::entries; ++index) {
            const Entry entry = atomic::load(entries[index]);
            if (bytes_.is_recursive(Shape::root_level, entry)) continue;
            const Page page = Page(0) + Shape::slot_pages(Shape::root_level) * index;
            if (entry != Format::empty) return Failure{Error::in_use, address_of(page).value()};
        }
    }
    // Only now, when the session is over and the access has let go of the root.
    const Status freed = source_.free_frame(root());
    if (!freed.ok()) return freed;
    reach_ = PageRange();
    table_frames_ = 0;
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::link_self(unsigned slot) {
    if (table_frames_ == 0 || slot >= Format::entries) return Failure{Error::out_of_range, slot};
    const Session session = bytes_.begin();
    auto opened = bytes_.open(session, root(), Shape::root_level, Page(0));
    if (!opened.ok()) return opened.failure();
    Entry* const entries = opened->entries();
    Entry& entry = entries[slot];
    const Page page = Page(0) + Shape::slot_pages(Shape::root_level) * slot;
    if (atomic::load(entry) != Format::empty) {
        return Failure{Error::already_mapped, address_of(page).value()};
    }
    atomic::store(entry, format().recursive_table(root()), MemoryOrder::release);
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::check_pages(const PageRange& pages) const {
    if (pages.empty()) return Failure{Error::zero_size, address_of(pages.first()).value()};
    if (!reach_.contains(pages)) {
        return Failure{Error::out_of_range, address_of(pages.first()).value()};
    }
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::check_mapping(const PageRange& pages, Frame first,
                                                      const Attributes& attributes) const {
    const Status range = check_pages(pages);
    if (!range.ok()) return range;
    const uint64_t more = pages.count().value() - 1;
    if (first > Format::highest_frame || more > (Format::highest_frame - first).value()) {
        return Failure{Error::out_of_range, address_of(first).value()};
    }
    if (!format().check(attributes).ok()) {
        return Failure{Error::unsupported, address_of(pages.first()).value()};
    }
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::map(const PageRange& pages, Frame first,
                                                          const Attributes& attributes) {
    Status done = check_mapping(pages, first, attributes);
    if (done.ok()) {
        done = fill(pages, Filling::frames(format(), pages.first(), first, attributes));
    }
    if (!done.ok()) return done.failure();
    // No TLB holds anything about an entry that was not present (SDM vol. 3A 4.10.4.3).
    return Invalidation();
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::park(const PageRange& pages, uint64_t payload) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range;
    if (payload >= payload_limit()) return Failure{Error::bad_argument, payload};
    return fill(pages, Filling::payload(format(), payload));
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Frame> FormatPageTable<Format, Access>::map_own_leaf_table(const PageRange& pages) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (Shape::first_of_table(pages.first(), 0) != Shape::first_of_table(pages.last(), 0)) {
        return Failure{Error::bad_argument, address_of(pages.last()).value()};
    }
    const Status filled = fill(pages, Filling::own_leaf_table(format()));
    if (!filled.ok()) return filled.failure();
    const Session session = bytes_.begin();
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (cursor.level() > 0)
        cursor.must_descend(cursor.load());
    return cursor.table();
}

// Fills the range, all of which must be empty, or changes nothing. Errors: already_mapped, busy,
// out_of_frames, unreachable.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::fill(const PageRange& pages, const Filling& filling) {
    const Session session = bytes_.begin();
    const auto tables = count_tables(session, pages, filling);
    if (!tables.ok()) return tables.failure();
    Reserve reserve(bytes_, session, source_);
    const Status reserved = reserve.reserve(*tables);
    if (!reserved.ok()) return reserved;
    fill_empty(session, pages, filling, reserve);
    table_frames_ += *tables;
    return {};
}

// How many tables the filling will need; or the first entry that stands in its way.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<size_t> FormatPageTable<Format, Access>::count_tables(const Session& session,
                                                             const PageRange& pages,
                                                             const Filling& filling) const {
    Cursor cursor(bytes_, session, pages);
    size_t tables = 0;
    Status moved = cursor.start();
    while (moved.ok() && !cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::empty) {
            tables += filling.tables_needed(cursor.part(), cursor.level());
            moved = cursor.advance();
            continue;
        }
        if (kind == EntryKind::table && !cursor.is_recursive(entry)) {
            moved = cursor.descend(entry);
            continue;
        }
        if (is_vacant(kind)) return Failure{Error::busy, cursor.address().value()};
        return Failure{Error::already_mapped, cursor.address().value()};
    }
    if (!moved.ok()) return moved.failure();
    return tables;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::fill_empty(const Session& session, const PageRange& pages,
                                                 const Filling& filling, Reserve& reserve) {
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        const unsigned level = cursor.level();
        if (kind == EntryKind::table) {
            cursor.must_descend(entry);
        } else if (kind != EntryKind::empty) {
            // It came filled with the table that it is in.
            cursor.must_advance();
        } else if (level == 0 || (cursor.is_whole() && filling.fits(level))) {
            atomic::store(cursor.entry(), filling.entry(level, cursor.at(), cursor.table()));
            cursor.must_advance();
        } else {
            const Frame table = make_table(session, cursor, pages, filling, reserve);
            const Entry link = format().table(table);
            atomic::store(cursor.entry(), link, MemoryOrder::release);
            // A leaf table is complete; in others there may be slots that need tables in turn.
            if (level == 1) {
                cursor.must_advance();
            } else {
                cursor.must_descend(link);
            }
        }
    }
}

// A table for the empty slot at the cursor, with everything in it that needs no further table.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Frame FormatPageTable<Format, Access>::make_table(const Session& session, const Cursor& cursor,
                                                  const PageRange& pages, const Filling& filling,
                                                  Reserve& reserve) {
    const Frame table = reserve.take();
    auto opened = bytes_.open_unlinked(session, table);
    if (!opened.ok()) trap();
    Entry* const entries = opened->entries();
    const unsigned level = cursor.level() - 1;
    const bool fits = filling.fits(level);
    Page page = cursor.slot().first();
    for (unsigned index = 0; index < Format::entries; ++index) {
        const bool filled = fits && pages.contains(Shape::slot(page, level));
        entries[index] = filled ? filling.entry(level, page, table) : Format::empty;
        if (index + 1 < Format::entries) page += Shape::slot_pages(level);
    }
    return table;
}

}  // namespace quire
