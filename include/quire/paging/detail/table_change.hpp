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
    const auto plan = plan_change(session, pages, holes, Change{true, protection});
    if (!plan.ok()) return plan.failure();
    if (!plan->any) return Invalidation();
    Reserve reserve(bytes_, session, source_);
    const Status reserved = reserve.reserve(plan->tables);
    if (!reserved.ok()) return reserved.failure();
    protect_present(session, pages, protection, reserve);
    table_frames_ += plan->tables;
    return Invalidation(request_of(*plan));
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<UnmapInvalidation> FormatPageTable<Format, Access>::unmap(const PageRange& pages,
                                                                 UnmappedFrames frames,
                                                                 Holes holes) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (waiting_ != Waiting::nothing) {
        return Failure{Error::busy, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    const auto plan = plan_change(session, pages, holes, Change{});
    if (!plan.ok()) return plan.failure();
    if (!plan->any) return UnmapInvalidation();
    Reserve reserve(bytes_, session, source_);
    const Status reserved = reserve.reserve(plan->tables);
    if (!reserved.ok()) return reserved.failure();
    const bool detached = take_out(session, pages, frames, reserve);
    table_frames_ += plan->tables;
    // Nothing was translated there, and no table went that a walk may have passed through.
    if (!plan->present && !detached) return UnmapInvalidation();
    waiting_ = frames == UnmappedFrames::release ? Waiting::tables_and_frames : Waiting::tables;
    return UnmapInvalidation(*this, request_of(*plan));
}

// What the change will need and concern; or the first entry that stands in its way.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
auto FormatPageTable<Format, Access>::plan_change(const Session& session, const PageRange& pages,
                                                  Holes holes, const Change& change) const
    -> Result<Plan> {
    Cursor cursor(bytes_, session, pages);
    Plan plan;
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
            if (!plan.any) plan.first = slot.first();
            plan.last = slot.last();
            plan.any = true;
            plan.tables += Shape::tables_to_split(cursor.part(), cursor.level());
            if (kind == EntryKind::leaf) {
                plan.present = true;
                plan.global = plan.global || format().is_global(entry);
            }
        }
        moved = cursor.advance();
    }
    if (!moved.ok()) return moved.failure();
    return plan;
}

// The slots that change, whole: where a large page was split, pages of both sizes may be cached for
// any address inside it until all of it is flushed (SDM vol. 3A 4.10.2.3).
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
FlushRequest FormatPageTable<Format, Access>::request_of(const Plan& plan) const {
    return FlushRequest{root(), PageRange::between(plan.first, plan.last), plan.global};
}

// Replaces the large page (or payload) at the cursor by a table that says the same.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::split(const Session& session, Cursor& cursor, Entry entry,
                                            Reserve& reserve) {
    const Frame table = reserve.take();
    const Entry link = format().table(table);
    // Once more when the CPU has set accessed or dirty meanwhile, so that neither is lost.
    do {
        auto opened = bytes_.open_unlinked(session, table);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        for (unsigned index = 0; index < Format::entries; ++index)
            entries[index] = format().part(cursor.level(), entry, index);
    } while (!atomic::compare_exchange(cursor.entry(), entry, link));
    cursor.must_descend(link);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::protect_present(const Session& session,
                                                      const PageRange& pages, Protection protection,
                                                      Reserve& reserve) {
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
            split(session, cursor, entry, reserve);
            continue;
        }
        while (changes && !atomic::compare_exchange(cursor.entry(), entry,
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
                                               UnmappedFrames frames, Reserve& reserve) {
    bool detached = false;
    {
        Cursor cursor(bytes_, session, pages);
        cursor.must_start();
        while (!cursor.done()) {
            const Entry entry = cursor.load();
            const EntryKind kind = cursor.kind(entry);
            if (kind != EntryKind::empty && !cursor.is_whole()) {
                if (kind == EntryKind::table) {
                    cursor.must_descend(entry);
                } else {
                    split(session, cursor, entry, reserve);
                }
                continue;
            }
            if (kind == EntryKind::table) {
                const uint64_t table = format().frame_of(cursor.level(), entry).value();
                atomic::store(cursor.entry(), format().absent(EntryKind::detached, table));
                detached = true;
            } else if (kind == EntryKind::leaf && frames == UnmappedFrames::release) {
                const uint64_t first = format().frame_of(cursor.level(), entry).value();
                atomic::store(cursor.entry(), format().absent(EntryKind::parked, first));
            } else if (kind != EntryKind::empty) {
                atomic::store(cursor.entry(), Format::empty);
            }
            cursor.must_advance();
        }
    }
    // Only tables at the two ends were entered; they may hold nothing else now.
    detached = detach_vacant_tables(session, pages.first()) || detached;
    return detach_vacant_tables(session, pages.last()) || detached;
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
    for (unsigned level = cursor.level(); level < Shape::root_level; ++level) {
        if (!is_vacant_table(session, tables[level], level, page)) break;
        auto opened = bytes_.open(session, tables[level + 1], level + 1, page);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        Entry& entry = entries[Shape::index(page, level + 1)];
        atomic::store(entry, format().absent(EntryKind::detached, tables[level].value()));
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
        if (!is_vacant(format().kind(level, atomic::load(entries[index])))) return false;
    }
    return true;
}

// Unmap's second phase: frees what waits in the range, and detached tables with what they hold.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::finish(const FlushRequest& request) {
    const Session session = bytes_.begin();
    Tour tour(bytes_, session, request.pages);
    for (auto step = tour.next(); *step != detail::TourStep::end; step = tour.next()) {
        const bool detached = tour.link() == detail::TableLink::detached;
        if (*step == detail::TourStep::leave) {
            if (!detached) continue;
            give_back(tour.table(), 0);
            --table_frames_;
            continue;
        }
        const EntryKind kind = tour.kind();
        if (is_vacant(kind) && !detached) atomic::store(tour.place(), Format::empty);
        if (kind == EntryKind::parked) {
            give_back(Frame(format().value_of(tour.entry())), tour.level());
        } else if (kind == EntryKind::leaf && detached && waiting_ == Waiting::tables_and_frames) {
            give_back(format().frame_of(tour.level(), tour.entry()), tour.level());
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
