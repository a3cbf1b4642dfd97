// SPDX-License-Identifier: MIT
// FormatPageTable: planning changes, and protecting. Included by format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
inline Result<Invalidation> FormatPageTable<Format, Access>::protect_range(const PageRange& pages,
                                                                           Protection protection,
                                                                           Holes holes) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (!can_grant(protection)) {
        return Failure{Error::unsupported, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    Status ready = plan_change(session, pages, holes, Change::protect);
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    if (!plan_.any) return Invalidation();
    protect_present(session, pages);
    table_frames_ += plan_.tables;
    return Invalidation(request_of_plan());
}

// What the change will need and concern; or the first entry that stands in its way.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::plan_change(const Session& session, const PageRange& pages,
                                                    Holes holes, Change change) {
    plan_ = Plan();
    Cursor cursor(bytes_, session, pages);
    Status moved = cursor.start();
    while (moved.ok() && !cursor.done()) {
        const size_t planned = plan_run(cursor, holes, change);
        if (planned > 0) {
            moved = cursor.advance(planned);
            continue;
        }
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (cursor.is_recursive(entry)) {
            return Failure{Error::out_of_range, cursor.address().value()};
        }
        if (kind == EntryKind::table) {
            const bool whole = change == Change::unmap && plan_leaf_table(cursor, entry, holes);
            moved = whole ? cursor.advance() : cursor.descend(entry);
            continue;
        }
        const bool is_hole = !concerns(change, kind);
        if (is_hole && holes == Holes::refuse) {
            return Failure{Error::not_mapped, cursor.address().value()};
        }
        if (!is_hole && (change == Change::unmap || rights_.of(entry) != entry)) {
            note_entry(cursor, entry);
            plan_.tables += Shape::tables_to_split(cursor.part(), cursor.level());
        }
        moved = cursor.advance();
    }
    return moved;
}

// From the cursor on, as many whole slots of the open table as can be changed, or passed over,
// without a further look at them: none lead to tables. Returns how many.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
size_t FormatPageTable<Format, Access>::plan_run(const Cursor& cursor, Holes holes, Change change) {
    const size_t run = cursor.run();
    const Entry* const entries = run > 0 ? &cursor.entry() : nullptr;
    // What unmap makes of each differs.
    const Rights rights = change == Change::protect ? rights_ : Rights();
    size_t first = run;
    size_t last = 0;
    bool present = false;
    bool global = false;
    size_t slot = 0;
    for (; slot < run; ++slot) {
        const Entry entry = load_entry(entries[slot]);
        const EntryKind kind = cursor.kind(entry);
        if (kind != EntryKind::leaf) {  // as a rule, there are leaves and nothing else
            if (kind == EntryKind::table) break;
            if (!concerns(change, kind)) {
                if (holes == Holes::refuse) break;
                continue;
            }
        } else {
            if (rights.of(entry) == entry) continue;
            present = true;
            global = global || format().is_global(entry);
        }
        first = min(first, slot);
        last = slot;
    }
    if (first == run) return slot;
    const PageRange slots = cursor.slots(last + 1);
    note_slots(slots.without_prefix(Shape::slot_pages(cursor.level()) * first));
    plan_.present = plan_.present || present;
    plan_.global = plan_.global || global;
    return slot;
}

// Plans to unmap all of the leaf table that the entry at the cursor leads to, where its count says
// enough; otherwise returns false.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::plan_leaf_table(const Cursor& cursor, Entry entry,
                                                      Holes holes) {
    if (cursor.level() != 1 || !cursor.is_whole()) return false;
    const detail::TableCount count = count_of(format().frame_of(1, entry));
    if (!count.known() || (holes == Holes::refuse && count.live() != Format::entries)) return false;
    note_slots(cursor.slot());
    plan_.present = true;
    plan_.global = plan_.global || count.may_be_global();
    return true;
}

// The entry at the cursor, a leaf or payload, is going to change.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::note_entry(const Cursor& cursor, Entry entry) {
    note_slots(cursor.slot());
    if (cursor.kind(entry) != EntryKind::leaf) return;
    plan_.present = true;
    plan_.global = plan_.global || format().is_global(entry);
}

// Slots that are going to change.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::note_slots(const PageRange& slots) {
    if (!plan_.any) plan_.first = slots.first();
    plan_.last = slots.last();
    plan_.any = true;
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
auto FormatPageTable<Format, Access>::split_at(const Session& session, Cursor& cursor, Entry entry,
                                               Frame table) -> Entry {
    const Entry link = format().table(cursor.level(), table);
    // Once more when the CPU has set accessed or dirty meanwhile, so that neither is lost.
    do {
        auto opened = bytes_.open_unlinked(session, table);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        for (unsigned index = 0; index < Format::entries; ++index)
            entries[index] = format().part(cursor.level(), entry, index);
    } while (!compare_exchange_entry(cursor.entry(), entry, link));
    count_of(table).set(Format::entries, is_global_leaf(cursor.level(), entry));
    return link;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::protect_present(const Session& session,
                                                      const PageRange& pages) {
    Cursor cursor(bytes_, session, pages);
    cursor.must_start();
    while (!cursor.done()) {
        const size_t changed = protect_run(cursor);
        if (changed > 0) {
            cursor.must_advance(changed);
            continue;
        }
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::table) {
            cursor.must_descend(entry);
        } else if (kind == EntryKind::leaf && rights_.of(entry) != entry) {
            cursor.must_descend(split_at(session, cursor, entry, reserve_.take(session)));
        } else {
            cursor.must_advance();
        }
    }
}

// Changes the leaves among the whole slots of the open table, from the cursor on and up to an entry
// that leads to a table. Returns how many slots it has passed.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
size_t FormatPageTable<Format, Access>::protect_run(const Cursor& cursor) const {
    const size_t run = cursor.run();
    Entry* const entries = run > 0 ? &cursor.entry() : nullptr;
    const Rights rights = rights_;
    for (size_t slot = 0; slot < run; ++slot) {
        const Entry entry = load_entry(entries[slot]);
        const EntryKind kind = cursor.kind(entry);
        if (kind == EntryKind::table) return slot;
        if (kind == EntryKind::leaf) protect_leaf(entries[slot], entry, rights);
    }
    if (run > 0) count_of(cursor.table()).add(0, format().is_global(rights.set));
    return run;
}

// Changes a leaf, read as `entry`, so that no mark that a CPU sets meanwhile is lost.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline void FormatPageTable<Format, Access>::protect_leaf(
    Entry& place, Entry entry, const Rights& rights) const {
    for (;;) {
        const Entry changed = rights.of(entry);
        if (changed == entry) return;
        if (use_ == TableUse::inactive) return store_entry(place, changed);
        if (compare_exchange_entry(place, entry, changed)) return;
    }
}

// Whether the format can grant exactly that; what it makes of leaves is remembered.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::can_grant(Protection protection) {
    if (protection == rights_.protection) return true;
    if (!format().check(Attributes{protection, MemoryType::write_back}).ok()) return false;
    rights_ = rights_for(protection);
    return true;
}

}  // namespace quire
