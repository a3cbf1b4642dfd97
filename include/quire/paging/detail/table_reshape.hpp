// SPDX-License-Identifier: MIT
// FormatPageTable: large pages made small and small ones large, and what the CPU has marked.
// Included by format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::split(const PageRange& pages) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    const Session session = bytes_.begin();
    plan_ = Plan();
    Status ready = plan_cut(session, pages.first(), pages);
    // One entry may reach across both ends.
    const bool both = plan_.any && plan_.last >= pages.last();
    if (ready.ok() && !both) ready = plan_cut(session, pages.last(), pages);
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    cut_ends(session, pages);
    table_frames_ += plan_.tables;
    if (!plan_.present) return Invalidation();
    return Invalidation(request_of_plan());
}

// Adds to the plan what it takes that the entry for a page at one of the range's ends lies in it.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::plan_cut(const Session& session, Page end,
                                                 const PageRange& pages) {
    Cursor cursor(bytes_, session, PageRange(end, PageCount(1)));
    Status moved = cursor.start();
    while (moved.ok()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (cursor.is_recursive(entry)) {
            return Failure{Error::out_of_range, cursor.address().value()};
        }
        if (kind == EntryKind::table) {
            moved = cursor.descend(entry);
            continue;
        }
        if (is_vacant(kind) || pages.contains(cursor.slot())) return {};
        note_entry(cursor, entry);
        plan_.tables += Shape::tables_to_split(pages.intersection(cursor.slot()), cursor.level());
        return {};
    }
    return moved;
}

// Splits what reaches across the ends of the range, with tables from the reserve.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::cut_ends(const Session& session, const PageRange& pages) {
    cut(session, pages.first(), pages);
    cut(session, pages.last(), pages);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::cut(const Session& session, Page end,
                                          const PageRange& pages) {
    Cursor cursor(bytes_, session, PageRange(end, PageCount(1)));
    cursor.must_start();
    for (;;) {
        Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind != EntryKind::table) {
            if (is_vacant(kind) || pages.contains(cursor.slot())) return;
            entry = split_at(session, cursor, entry, reserve_.take(session));
        }
        cursor.must_descend(entry);
    }
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<UnmapInvalidation> FormatPageTable<Format, Access>::merge(VirtualAddress address) {
    const Page page = page_of(address);
    if (!reach_.contains(page)) return Failure{Error::out_of_range, address.value()};
    if (waiting_ != Waiting::nothing) return Failure{Error::busy, address.value()};
    const Session session = bytes_.begin();
    Cursor cursor(bytes_, session, PageRange(page, PageCount(1)));
    Status moved = cursor.start();
    Frame above;
    for (Entry entry = Format::empty; moved.ok(); moved = cursor.descend(entry)) {
        entry = cursor.load();
        if (cursor.is_recursive(entry)) return Failure{Error::out_of_range, address.value()};
        if (cursor.kind(entry) != EntryKind::table) break;
        above = cursor.table();
    }
    if (!moved.ok()) return moved.failure();
    const unsigned level = cursor.level();
    if (level == bytes_.root_level() || !format().can_map_at(level + 1)) {
        return Failure{Error::unsupported, address.value()};
    }
    if (bytes_.is_fixed(level + 1, page)) return Failure{Error::unsupported, address.value()};
    if (cursor.rights() != every_right) return Failure{Error::unsupported, address.value()};
    const Page first = Shape::first_of_table(page, level);
    const auto leaf = merged(&cursor.entry() - Shape::index(page, level), level, first);
    if (!leaf.ok()) return leaf.failure();
    auto opened = bytes_.open(session, above, level + 1, page);
    if (!opened.ok()) return opened.failure();
    Entry* const entries = opened->entries();
    merged_table_ = cursor.table();
    replace_table(entries[Shape::index(page, level + 1)], *leaf);
    const FlushRequest request{root(), Shape::slot(page, level + 1), format().is_global(*leaf)};
    return Result<UnmapInvalidation>(in_place, *this, request);
}

// The leaf that does what all entries of a table do; or the first that does not fit into one.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
auto FormatPageTable<Format, Access>::merged(const Entry* entries, unsigned level, Page first) const
    -> Result<Entry> {
    const Entry lowest = load_entry(entries[0]);
    if (format().kind(level, lowest) != EntryKind::leaf) {
        return Failure{Error::not_mapped, address_of(first).value()};
    }
    const Frame frame = format().frame_of(level, lowest);
    if (!frame.is_aligned(as_frames(Shape::slot_pages(level + 1)))) {
        return Failure{Error::misaligned, address_of(first).value()};
    }
    const Entry leaf = format().leaf(level + 1, frame, format().attributes_of(level, lowest));
    Entry marked = leaf;
    for (unsigned index = 0; index < Format::entries; ++index) {
        const Entry entry = load_entry(entries[index]);
        const Page page = first + Shape::slot_pages(level) * index;
        if (format().kind(level, entry) != EntryKind::leaf) {
            return Failure{Error::not_mapped, address_of(page).value()};
        }
        if (format().without_marks(entry) != format().part(level + 1, leaf, index)) {
            return Failure{Error::misaligned, address_of(page).value()};
        }
        marked = format().with_marks_of(marked, entry);
    }
    return marked;
}

// The CPU finds the table or the leaf, and both say the same.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::replace_table(Entry& place, Entry leaf) {
    Entry link = load_entry(place);
    while (!compare_exchange_entry(place, link, leaf)) {
    }
    forget_tables();
    --table_frames_;
    waiting_ = Waiting::merged_table;
}

// No CPU walks the table any more. What they have marked in it since goes to what is there now.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::finish_merge(const Session& session,
                                                   const FlushRequest& request) {
    Entry marks = Format::empty;
    {
        auto opened = bytes_.open_unlinked(session, merged_table_);
        if (!opened.ok()) trap();
        const Entry* const entries = opened->entries();
        for (unsigned index = 0; index < Format::entries; ++index)
            marks = format().with_marks_of(marks, load_entry(entries[index]));
    }
    Cursor cursor(bytes_, session, request.pages);
    cursor.must_start();
    while (!cursor.done()) {
        const Entry entry = cursor.load();
        if (cursor.kind(entry) == EntryKind::table) {
            cursor.must_descend(entry);
            continue;
        }
        if (cursor.kind(entry) == EntryKind::leaf) add_marks(cursor.entry(), marks);
        cursor.must_advance();
    }
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::add_marks(Entry& place, Entry marks) const {
    Entry entry = load_entry(place);
    while (!compare_exchange_entry(place, entry, format().with_marks_of(entry, marks))) {
    }
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::harvest(
    const PageRange& pages, FunctionRef<void(const Translation&)> visit) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    const Session session = bytes_.begin();
    // Opens every table once, so that nothing can fail any more.
    const Status seen = plan_change(session, pages, Holes::skip, Change::unmap);
    if (!seen.ok()) return seen.failure();
    plan_ = Plan();
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::table) {
            cursor.must_descend(entry);
            continue;
        }
        if (kind == EntryKind::leaf && format().without_marks(entry) != entry) {
            while (!compare_exchange_entry(cursor.entry(), entry, format().without_marks(entry))) {
            }
            note_slots(cursor.slot());
            plan_.global = plan_.global || format().is_global(entry);
            visit(translation(cursor.level(), cursor.at(), entry, cursor.rights()));
        }
        cursor.must_advance();
    }
    if (!plan_.any) return Invalidation();
    return Invalidation(request_of_plan());
}

}  // namespace quire
