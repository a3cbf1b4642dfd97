// SPDX-License-Identifier: MIT
// FormatPageTable: making and ending tables, and filling what is empty. Included by
// format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
FormatPageTable<Format, Access>::FormatPageTable(Access& access, Format format)
    : source_(no_frames_),
      bytes_(access, format),
      highest_frame_(format.highest_frame()),
      granted_entry_(format.leaf(0, Frame(0), granted_)),
      rights_(rights_for(read_only)),
      reserve_(bytes_),
      tour_(bytes_) {}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::create(FrameSource source) {
    if (table_frames_ != 0) return Failure{Error::in_use, address_of(root()).value()};
    bytes_.set_pages(format().pages());
    return create_root(source, PageRange());
}

// A root, and the tables that it always leads to but for those of other pages.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::create_root(FrameSource source, const PageRange& others) {
    const auto is_own = [&](unsigned index) {
        return !others.contains(Shape::first_of_root_entry(format(), index));
    };
    size_t tables = 1;
    for (unsigned index = 0; index < Format::fixed_root_entries; ++index)
        tables += is_own(index) ? 1 : 0;
    const Session session = bytes_.begin();
    Status reserved = reserve_.reserve(session, source, tables - 1);
    if (reserved.ok()) reserved = reserve_.reserve_root(session, source);
    if (!reserved.ok()) {
        reserve_.roll_back_reserve(session, source);
        return reserved;
    }
    source_ = source;
    words_ = source.table_words();
    const Frame root = reserve_.take_last(session);
    clear_table(session, root);
    for (unsigned index = 0; index < Format::fixed_root_entries; ++index) {
        if (!is_own(index)) continue;
        const Frame table = reserve_.take(session);
        clear_table(session, table);
        auto opened = bytes_.open_unlinked(session, root);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        entries[index] = format().table(bytes_.root_level(), table);
    }
    bytes_.set_root(root);
    reach_ = bytes_.reach();
    table_frames_ = tables;
    forget_tables();
    return {};
}

// Tables that stay may get a word now, or lose theirs.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::set_frame_source(FrameSource source) {
    source_ = source;
    words_ = source.table_words();
    forget_tables();
    if (table_frames_ == 0 || words_.frames.empty()) return;
    const Session session = bytes_.begin();
    count_all(session);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::clear_table(const Session& session, Frame table) {
    auto opened = bytes_.open_unlinked(session, table);
    if (!opened.ok()) trap();
    Entry* const entries = opened->entries();
    detail::write_empty<Format>(entries, Format::entries);
    count_of(table).set(0, false);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::destroy() {
    if (table_frames_ == 0) return Failure{Error::out_of_range};
    if (waiting_ != Waiting::nothing) return Failure{Error::busy, address_of(root()).value()};
    if (!bytes_.shared().empty()) {
        return Failure{Error::in_use, address_of(bytes_.shared().first()).value()};
    }
    Frame tables[1 + Format::fixed_root_entries];  // the root comes last
    size_t count = 0;
    {
        const Session session = bytes_.begin();
        const unsigned root_level = bytes_.root_level();
        Tour tour(bytes_);
        tour.start(bytes_.pages());
        for (auto step = tour.next(session); !step.ok() || *step != detail::TourStep::end;
             step = tour.next(session)) {
            if (!step.ok()) return step.failure();
            const bool leaves = *step == detail::TourStep::leave;
            if (!leaves && tour.kind() == EntryKind::table) continue;
            if (!leaves) return Failure{Error::in_use, address_of(tour.slot().first()).value()};
            const bool is_ours = tour.level() == root_level || bytes_.is_fixed(tour.level() + 1);
            if (!is_ours) return Failure{Error::in_use, address_of(tour.first()).value()};
            tables[count++] = tour.table();
        }
    }
    // Only now, when the session is over and the access has let go of the root.
    const Status freed = source_.free_frame(root());
    if (!freed.ok()) return freed;
    for (size_t i = 0; i + 1 < count; ++i)
        give_back(tables[i], 0);
    reach_ = PageRange();
    table_frames_ = 0;
    forget_tables();
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::link_self(unsigned slot)
    requires(RecursivePagingFormat<Format>)
{
    if (table_frames_ == 0 || slot >= Format::entries) return Failure{Error::out_of_range, slot};
    const Session session = bytes_.begin();
    auto opened = bytes_.open(session, root(), bytes_.root_level(), Page(0));
    if (!opened.ok()) return opened.failure();
    Entry* const entries = opened->entries();
    Entry& entry = entries[slot];
    const Page page = Shape::first_of_root_entry(format(), slot);
    if (load_entry(entry) != Format::empty) {
        return Failure{Error::already_mapped, address_of(page).value()};
    }
    store_entry(entry, format().recursive_table(root()), MemoryOrder::release);
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
    const Frame highest = highest_frame_;
    if (first > highest || more > (highest - first).value()) {
        return Failure{Error::out_of_range, address_of(first).value()};
    }
    if (!format().check(attributes).ok()) {
        return Failure{Error::unsupported, address_of(pages.first()).value()};
    }
    return {};
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
inline Result<Invalidation> FormatPageTable<Format, Access>::map_range(
    const PageRange& pages, Frame first, const Attributes& attributes) {
    Status done = check_mapping(pages, first, attributes);
    if (done.ok()) {
        filling_ = Filling::frames(format(), pages.first(), first, attributes);
        done = fill(pages);
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
    filling_ = Filling::payload(format(), payload);
    return fill(pages);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Frame> FormatPageTable<Format, Access>::map_own_leaf_table(const PageRange& pages) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (Shape::first_of_table(pages.first(), 0) != Shape::first_of_table(pages.last(), 0)) {
        return Failure{Error::bad_argument, address_of(pages.last()).value()};
    }
    filling_ = Filling::own_leaf_table(format());
    const Status filled = fill(pages);
    if (!filled.ok()) return filled.failure();
    const Session session = bytes_.begin();
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (cursor.level() > 0)
        cursor.must_descend(cursor.load());
    return cursor.table();
}

// Fills the range as filling_ says, all of which must be empty, or changes nothing. Errors:
// already_mapped, busy, out_of_frames, unreachable.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::fill(const PageRange& pages) {
    const Session session = bytes_.begin();
    Status ready = count_tables(session, pages);
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready;
    }
    fill_empty(session, pages);
    table_frames_ += plan_.tables;
    return ready;
}

// Counts the tables that the filling will need; or finds the first entry that stands in its way.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::count_tables(const Session& session,
                                                     const PageRange& pages) {
    plan_ = Plan();
    Cursor cursor(bytes_, session, pages);
    Status moved = cursor.start();
    while (moved.ok() && !cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::empty) {
            const size_t run = cursor.run();
            const size_t slots =
                run == 0 ? 1 : detail::count_equal(&cursor.entry(), run, Format::empty);
            if (cursor.level() > 0) {
                const PageRange part = run == 0 ? cursor.part() : cursor.slots(slots);
                plan_.tables += filling_.tables_needed(part, cursor.level());
            }
            moved = cursor.advance(slots);
            continue;
        }
        if (kind == EntryKind::table && !cursor.is_recursive(entry)) {
            moved = cursor.descend(entry);
            continue;
        }
        if (is_vacant(kind)) return Failure{Error::busy, cursor.address().value()};
        return Failure{Error::already_mapped, cursor.address().value()};
    }
    return moved;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::fill_empty(const Session& session, const PageRange& pages) {
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
        } else if (const size_t run = cursor.run(); run > 0 && filling_.fits(level)) {
            cursor.must_advance(fill_run(cursor, run));
        } else {
            const Frame table = reserve_.take(session);
            plan_table(table, cursor);
            write_table(session, table);
            const Entry link = format().table(level, table);
            store_entry(cursor.entry(), link, MemoryOrder::release);
            count_of(cursor.table()).add(1, false);
            if (new_table_.complete) {
                cursor.must_advance();
            } else {
                cursor.must_descend(link);
            }
        }
    }
}

// Fills the empty slots at the cursor, of a run that lies in the range. Returns how many.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
size_t FormatPageTable<Format, Access>::fill_run(const Cursor& cursor, size_t run) const {
    const unsigned level = cursor.level();
    Entry* const place = &cursor.entry();
    const size_t slots = level == 0 ? run : detail::count_equal(place, run, Format::empty);
    detail::store_run(place, slots, filling_.entry(level, cursor.at(), cursor.table()),
                      filling_.step(level));
    count_of(cursor.table()).add(slots, filling_.is_global());
    return slots;
}

// What the table for the empty slot at the cursor will hold: all that needs no further table.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::plan_table(Frame table, const Cursor& cursor) {
    new_table_ = NewTable();
    const unsigned level = cursor.level() - 1;
    if (!filling_.fits(level)) return;
    const PageRange part = cursor.part();
    const uintptr_t skipped = (part.first() - cursor.slot().first()).value();
    const uintptr_t rounding = Shape::slot_pages(level).value() - 1;
    const size_t begin = (skipped + rounding) >> Shape::shift(level);
    const size_t end = max<size_t>(begin, (skipped + part.count().value()) >> Shape::shift(level));
    new_table_.begin = begin;
    new_table_.end = end;
    new_table_.complete = ((skipped | part.count().value()) & rounding) == 0;
    if (begin == end) return;
    const Page first = cursor.slot().first() + Shape::slot_pages(level) * begin;
    new_table_.first = filling_.entry(level, first, table);
    new_table_.step = filling_.step(level);
}

// Makes a frame the table that was planned. Each entry is written once.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::write_table(const Session& session, Frame table) const {
    auto opened = bytes_.open_unlinked(session, table);
    if (!opened.ok()) trap();
    Entry* const entries = opened->entries();
    const NewTable& planned = new_table_;
    detail::write_empty<Format>(entries, planned.begin);
    detail::write_run(entries + planned.begin, planned.end - planned.begin, planned.first,
                      planned.step);
    detail::write_empty<Format>(entries + planned.end, Format::entries - planned.end);
    count_of(table).set(planned.end - planned.begin, filling_.is_global());
}

}  // namespace quire
