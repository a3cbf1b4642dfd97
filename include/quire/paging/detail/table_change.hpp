// SPDX-License-Identifier: MIT
// FormatPageTable: changing what is mapped, and giving back what was taken out. Included by
// format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::protect(const PageRange& pages,
                                                              Protection protection, Holes holes) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (!format().check(Attributes{protection, MemoryType::write_back}).ok()) {
        return Failure{Error::unsupported, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    Status ready = plan_change(session, pages, holes, Change{true, protection});
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    if (!plan_.any) return Invalidation();
    protect_present(session, pages, protection);
    table_frames_ += plan_.tables;
    return Invalidation(request_of_plan());
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<UnmapInvalidation> FormatPageTable<Format, Access>::unmap(const PageRange& pages,
                                                                 UnmappedFrames frames,
                                                                 Holes holes) {
    Status ready = check_pages(pages);
    if (!ready.ok()) return ready.failure();
    if (waiting_ != Waiting::nothing) {
        return Failure{Error::busy, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    ready = plan_change(session, pages, holes, Change{});
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    if (!plan_.any) return UnmapInvalidation();
    bool detached = take_out(session, pages, frames);
    // Only tables at the two ends were entered; they may hold nothing else now.
    detached = detach_vacant_tables(session, pages.first()) || detached;
    detached = detach_vacant_tables(session, pages.last()) || detached;
    table_frames_ += plan_.tables;
    // Nothing was translated there, and no table went that a walk may have passed through.
    if (!plan_.present && !detached) return UnmapInvalidation();
    waiting_ = frames == UnmappedFrames::release ? Waiting::tables_and_frames : Waiting::tables;
    return Result<UnmapInvalidation>(in_place, *this, request_of_plan());
}

// What the change will need and concern; or the first entry that stands in its way.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::plan_change(const Session& session, const PageRange& pages,
                                                    Holes holes, const Change& change) {
    plan_ = Plan();
    Cursor cursor(bytes_, session, pages);
    Status moved = cursor.start();
    while (moved.ok() && !cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (cursor.is_recursive(entry)) {
            return Failure{Error::out_of_range, cursor.address().value()};
        }
        if (kind == EntryKind::table) {
            moved = cursor.descend(entry);
            continue;
        }
        if (!change.concerns(kind) && holes == Holes::refuse) {
            return Failure{Error::not_mapped, cursor.address().value()};
        }
        if (change.concerns(kind) && change.alters(format(), entry)) {
            const PageRange slot = cursor.slot();
            if (!plan_.any) plan_.first = slot.first();
            plan_.last = slot.last();
            plan_.any = true;
            plan_.tables += Shape::tables_to_split(cursor.part(), cursor.level());
            if (kind == EntryKind::leaf) {
                plan_.present = true;
                plan_.global = plan_.global || format().is_global(entry);
            }
        }
        moved = cursor.advance();
    }
    return moved;
}

// The slots that change, whole: where a large page was split, pages of both sizes may be cached for
// any address inside it until all of it is flushed (SDM vol. 3A 4.10.2.3).
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
FlushRequest FormatPageTable<Format, Access>::request_of_plan() const {
    return FlushRequest{root(), PageRange::between(plan_.first, plan_.last), plan_.global};
}

// Replaces the large page (or payload) at the cursor by a table that says the same. Returns what is
// at the cursor now.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
auto FormatPageTable<Format, Access>::split(const Session& session, Cursor& cursor, Entry entry)
    -> Entry {
    const Frame table = reserve_.take(session);
    const Entry link = format().table(cursor.level(), table);
    // Once more when the CPU has set accessed or dirty meanwhile, so that neither is lost.
    do {
        auto opened = bytes_.open_unlinked(session, table);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        for (unsigned index = 0; index < Format::entries; ++index)
            entries[index] = format().part(cursor.level(), entry, index);
    } while (!compare_exchange_entry(cursor.entry(), entry, link));
    return link;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::protect_present(const Session& session,
                                                      const PageRange& pages,
                                                      Protection protection) {
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::table) {
            cursor.must_descend(entry);
            continue;
        }
        const bool changes =
            kind == EntryKind::leaf && format().with_protection(entry, protection) != entry;
        if (changes && !cursor.is_whole()) {
            cursor.must_descend(split(session, cursor, entry));
            continue;
        }
        while (changes && !compare_exchange_entry(cursor.entry(), entry,
                                                  format().with_protection(entry, protection))) {
        }
        cursor.must_advance();
    }
}

// Unmap's first phase: nothing in the range is mapped any more. Frames to be released stay in the
// entries, parked; tables that hold nothing else are detached as a whole. Returns whether any was.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::take_out(const Session& session, const PageRange& pages,
                                               UnmappedFrames frames) {
    bool detached = false;
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        const bool stays = !cursor.is_whole() || bytes_.is_fixed(cursor.level());
        if (kind != EntryKind::empty && stays) {
            const bool leads_down = kind == EntryKind::table;
            cursor.must_descend(leads_down ? entry : split(session, cursor, entry));
            continue;
        }
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
        if (bytes_.is_fixed(level + 1)) break;
        if (!is_vacant_table(session, tables[level], level, page)) break;
        auto opened = bytes_.open(session, tables[level + 1], level + 1, page);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        Entry& entry = entries[Shape::index(page, level + 1)];
        store_entry(entry, format().absent(EntryKind::detached, tables[level].value()));
        detached = true;
    }
    return detached;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::is_vacant_table(const Session& session, Frame table,
                                                      unsigned level, Page page) const {
    auto opened = bytes_.open(session, table, level, page);
    if (!opened.ok()) trap();
    const Entry* const entries = opened->entries();
    for (unsigned index = 0; index < Format::entries; ++index) {
        if (!is_vacant(format().kind(level, load_entry(entries[index])))) return false;
    }
    return true;
}

// Unmap's second phase: frees what waits in the range, and detached tables with what they hold.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::finish(const FlushRequest& request) {
    const Session session = bytes_.begin();
    tour_.start(request.pages);
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
