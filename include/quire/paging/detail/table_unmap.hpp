// SPDX-License-Identifier: MIT
// FormatPageTable: taking out what is mapped, and giving it back. Included by
// format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
inline Result<UnmapInvalidation> FormatPageTable<Format, Access>::unmap_range(
    const PageRange& pages, UnmappedFrames frames, Holes holes) {
    Status ready = check_pages(pages);
    if (!ready.ok()) return ready.failure();
    if (waiting_ != Waiting::nothing) {
        return Failure{Error::busy, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    ready = plan_change(session, pages, holes, Change::unmap);
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    if (!plan_.any) return UnmapInvalidation();
    const bool release = frames == UnmappedFrames::release;
    if (plan_.tables > 0) cut_ends(session, pages);
    bool detached = take_out(session, pages, frames);
    // Only tables at the two ends were entered; they may hold nothing else now.
    detached = detach_vacant_tables(session, pages.first()) || detached;
    if (Shape::first_of_table(pages.first(), 0) != Shape::first_of_table(pages.last(), 0)) {
        detached = detach_vacant_tables(session, pages.last()) || detached;
    }
    table_frames_ += plan_.tables;
    // Nothing was translated there, and no table went that a walk may have passed through.
    if (!plan_.present && !detached) return UnmapInvalidation();
    if (!release && !detached) {
        return Result<UnmapInvalidation>(in_place, request_of_plan());
    }
    if (detached) forget_tables();
    waiting_ = release ? Waiting::tables_and_frames : Waiting::tables;
    return Result<UnmapInvalidation>(in_place, *this, request_of_plan());
}

// Unmap's first phase: nothing in the range is mapped any more. Frames to be released stay in the
// entries, parked; tables that hold nothing else are detached as a whole, and not looked into.
// Returns whether any was. No entry but tables' may reach across an end of the range.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::take_out(const Session& session, const PageRange& pages,
                                               UnmappedFrames frames) {
    bool detached = false;
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        if (cursor.level() == 0) {
            const size_t run = cursor.run();
            const detail::TableCount count = count_of(cursor.table());
            if (count.known()) count.remove(live_entries(&cursor.entry(), run));
            take_out_leaves(&cursor.entry(), run, frames);
            cursor.must_advance(run);
            continue;
        }
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        const bool stays = !cursor.is_whole() || bytes_.is_fixed(cursor.level(), cursor.at());
        if (kind == EntryKind::table && stays) {
            cursor.must_descend(entry);
            continue;
        }
        if (!is_vacant(kind)) count_of(cursor.table()).remove(1);
        if (kind == EntryKind::table) {
            const uint64_t table = format().frame_of(cursor.level(), entry).value();
            store_entry(cursor.entry(), format().absent(EntryKind::detached, table));
            detached = true;
        } else if (kind == EntryKind::leaf && frames == UnmappedFrames::release) {
            const uint64_t first = format().frame_of(cursor.level(), entry).value();
            store_entry(cursor.entry(), format().absent(EntryKind::parked, first));
        } else if (kind != EntryKind::empty) {
            store_entry(cursor.entry(), Format::empty);
        }
        cursor.must_advance();
    }
    return detached;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::take_out_leaves(Entry* entries, size_t count,
                                                      UnmappedFrames frames) const {
    if (frames == UnmappedFrames::keep) {
        detail::store_run(entries, count, Format::empty, Entry{0});
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        const Entry entry = load_entry(entries[i]);
        const bool is_leaf = format().kind(0, entry) == EntryKind::leaf;
        const uint64_t frame = is_leaf ? format().frame_of(0, entry).value() : 0;
        store_entry(entries[i],
                    is_leaf ? format().absent(EntryKind::parked, frame) : Format::empty);
    }
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
size_t FormatPageTable<Format, Access>::live_entries(const Entry* entries, size_t count) const {
    size_t live = 0;
    for (size_t i = 0; i < count; ++i)
        live += is_vacant(format().kind(0, load_entry(entries[i]))) ? 0 : 1;
    return live;
}

// Detaches the tables on the way to a page that hold nothing, from the lowest up. Returns whether
// there was any.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::detach_vacant_tables(const Session& session, Page page) {
    Frame tables[Format::levels];
    Cursor cursor(bytes_, session, PageRange(page, PageCount(1)));
    cursor.must_start();
    tables[cursor.level()] = cursor.table();
    for (Entry entry = cursor.load(); cursor.kind(entry) == EntryKind::table;
         entry = cursor.load()) {
        cursor.must_descend(entry);
        tables[cursor.level()] = cursor.table();
    }
    bool detached = false;
    for (unsigned level = cursor.level(); level < bytes_.root_level(); ++level) {
        if (bytes_.is_fixed(level + 1, page)) break;
        if (!is_vacant_table(session, tables[level], level, page)) break;
        auto opened = bytes_.open(session, tables[level + 1], level + 1, page);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        Entry& entry = entries[Shape::index(page, level + 1)];
        store_entry(entry, format().absent(EntryKind::detached, tables[level].value()));
        count_of(tables[level + 1]).remove(1);
        detached = true;
    }
    return detached;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::is_vacant_table(const Session& session, Frame table,
                                                      unsigned level, Page page) const {
    const detail::TableCount count = count_of(table);
    if (count.known()) return count.live() == 0;
    auto opened = bytes_.open(session, table, level, page);
    if (!opened.ok()) trap();
    const Entry* const entries = opened->entries();
    const unsigned index = Shape::index(page, level);
    return is_vacant(format().kind(level, load_entry(entries[index]))) &&
           !has_other_live_entry(entries, level, index);
}

// Where there is no count: whether any entry but the one at `index` is not vacant. Ends at the
// first that is live: tables are dense until they are nearly empty, so that it mostly is the first
// of all, and all scans of a table that empties in any order but one made up to hurt look at O(n
// log n) entries of n.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::has_other_live_entry(const Entry* entries, unsigned level,
                                                           unsigned index) const {
    for (size_t slot = 0;; ++slot) {
        slot += detail::count_equal(entries + slot, Format::entries - slot, Format::empty);
        if (slot == Format::entries) return false;
        if (slot != index && !is_vacant(format().kind(level, load_entry(entries[slot]))))
            return true;
    }
}

// Unmap's second phase: frees what waits in the range, and detached tables with what they hold.
// Where only tables wait, leaf tables are not looked into.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::finish(const FlushRequest& request) {
    const Session session = bytes_.begin();
    if (waiting_ == Waiting::merged_table) {
        finish_merge(session, request);
        give_back(merged_table_, 0);
        waiting_ = Waiting::nothing;
        return;
    }
    const bool tables_alone = waiting_ == Waiting::tables;
    tour_.start(request.pages, tables_alone ? detail::TourVisits::tables : detail::TourVisits::all);
    for (auto step = tour_.must_next(session); step != detail::TourStep::end;
         step = tour_.must_next(session)) {
        const bool detached = tour_.link() == detail::TableLink::detached;
        if (step == detail::TourStep::leave) {
            if (!detached) continue;
            give_back(tour_.table(), 0);
            --table_frames_;
            continue;
        }
        const EntryKind kind = tour_.kind();
        if (is_vacant(kind) && !detached) store_entry(tour_.place(), Format::empty);
        if (tables_alone && tour_.leads_to_leaf_table()) {
            const Frame table = tour_.pass();
            if (kind == EntryKind::table && !detached) continue;
            give_back(table, 0);
            --table_frames_;
            continue;
        }
        if (kind == EntryKind::parked) {
            give_back(Frame(format().value_of(tour_.entry())), tour_.level());
        } else if (kind == EntryKind::leaf && detached && waiting_ == Waiting::tables_and_frames) {
            give_back(format().frame_of(tour_.level(), tour_.entry()), tour_.level());
        }
    }
    waiting_ = Waiting::nothing;
}

// Gives the frames of one entry of that level to the source. One that it does not take was never
// its own: a caller's mistake (release of frames that are not the table's to release).
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::give_back(Frame first, unsigned level) {
    for (uintptr_t i = 0; i < Shape::slot_pages(level).value(); ++i) {
        const Status freed = source_.free_frame(first + FrameCount(i));
        if (debug_checks) detail::must(freed);
    }
}

}  // namespace quire
