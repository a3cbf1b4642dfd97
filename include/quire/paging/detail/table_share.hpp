// SPDX-License-Identifier: MIT
// FormatPageTable: root entries that several roots have in common. Included by
// format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

// Since shared entries never change again, no other root has to be told of anything: what comes and
// goes does so below them.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::share(const PageRange& pages) {
    const Status range = check_pages(pages);
    if (!range.ok()) return range.failure();
    if (waiting_ != Waiting::nothing) {
        return Failure{Error::busy, address_of(pages.first()).value()};
    }
    if (!bytes_.shared().empty()) {
        return Failure{Error::in_use, address_of(bytes_.shared().first()).value()};
    }
    const unsigned level = bytes_.root_level();
    const PageRange slots = PageRange::between(Shape::slot(pages.first(), level).first(),
                                               Shape::slot(pages.last(), level).last());
    const Session session = bytes_.begin();
    Status ready = plan_share(session, slots);
    if (ready.ok()) ready = reserve_.reserve(session, source_, plan_.tables);
    if (!ready.ok()) {
        reserve_.roll_back_reserve(session, source_);
        return ready.failure();
    }
    fix_root_entries(session, slots);
    bytes_.set_shared(slots);
    table_frames_ += plan_.tables;
    if (!plan_.present) return Invalidation();
    return Invalidation(request_of_plan());
}

// Counts the root entries that do not lead to tables.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::plan_share(const Session& session, const PageRange& pages) {
    plan_ = Plan();
    Cursor cursor(bytes_, session, pages);
    Status moved = cursor.start();
    for (; moved.ok() && !cursor.done(); moved = cursor.advance()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        if (cursor.is_recursive(entry)) {
            return Failure{Error::out_of_range, cursor.address().value()};
        }
        if (kind == EntryKind::table) continue;
        ++plan_.tables;
        if (kind != EntryKind::leaf) continue;
        note_slots(cursor.slot());
        plan_.present = true;
        plan_.global = plan_.global || format().is_global(entry);
    }
    return moved;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::fix_root_entries(const Session& session,
                                                       const PageRange& pages) {
    Cursor cursor(bytes_, session, pages);
    for (cursor.must_start(); !cursor.done(); cursor.must_advance()) {
        const Entry entry = cursor.load();
        if (cursor.kind(entry) == EntryKind::table) continue;
        const Frame table = reserve_.take(session);
        if (entry != Format::empty) {
            split_at(session, cursor, entry, table);
            continue;
        }
        clear_table(session, table);
        store_entry(cursor.entry(), format().table(cursor.level(), table), MemoryOrder::release);
    }
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::create_sharing(FrameSource source,
                                                       const FormatPageTable& other) {
    if (table_frames_ != 0) return Failure{Error::in_use, address_of(root()).value()};
    const PageRange shared = other.bytes_.shared();
    if (shared.empty()) return Failure{Error::bad_argument, address_of(other.root()).value()};
    if (!bytes_.has_same_access(other.bytes_)) {
        return Failure{Error::bad_argument, address_of(other.root()).value()};
    }
    const PageRange all = format().pages();
    PageRange own = all;
    if (all.overlaps(shared)) own = all.prefix(max(all.first(), shared.first()) - all.first());
    if (own.empty()) return Failure{Error::bad_argument, address_of(shared.first()).value()};
    bytes_.set_pages(own);
    const Status created = create_root(source, shared);
    if (created.ok()) copy_shared(other.bytes_);
    return created;
}

// Into a root that no CPU uses yet.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::copy_shared(const Bytes& other) {
    const unsigned level = bytes_.root_level();
    const size_t slots = Shape::slots(other.shared(), level);
    const Session session = bytes_.begin();
    for (size_t slot = 0; slot < slots; ++slot) {
        const Page page = other.shared().first() + Shape::slot_pages(level) * slot;
        const unsigned index = Shape::index(page, level);
        Entry entry = Format::empty;
        {
            auto opened = other.open(session, other.root(), level, page);
            if (!opened.ok()) trap();
            const Entry* const entries = opened->entries();
            entry = load_entry(entries[index]);
        }
        auto opened = bytes_.open_unlinked(session, root());
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        store_entry(entries[index], entry);
    }
}

}  // namespace quire
