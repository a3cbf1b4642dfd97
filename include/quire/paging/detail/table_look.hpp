// SPDX-License-Identifier: MIT
// FormatPageTable: reading what is there. Included by format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

// What an entry that decides about a page says, where those above leave so much of its rights.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Translation FormatPageTable<Format, Access>::translation(unsigned level, Page page, Entry entry,
                                                         Protection rights) const {
    Translation found;
    const EntryKind kind = format().kind(level, entry);
    const bool says_something = kind == EntryKind::leaf || kind == EntryKind::payload;
    found.pages = says_something ? Shape::slot(page, level) : PageRange(page, PageCount(1));
    if (kind == EntryKind::leaf) {
        found.state = EntryState::present;
        found.frames =
            FrameRange(format().frame_of(level, entry), as_frames(Shape::slot_pages(level)));
        found.attributes = format().attributes_of(level, entry);
        found.attributes.protection = found.attributes.protection & rights;
        found.accessed = format().accessed(entry);
        found.dirty = format().dirty(entry);
    } else if (kind == EntryKind::payload) {
        found.state = EntryState::absent;
        found.payload = format().value_of(entry);
    }
    return found;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Translation> FormatPageTable<Format, Access>::query(VirtualAddress address) const {
    const Page page = page_of(address);
    if (!reach_.contains(page)) return Failure{Error::out_of_range, address.value()};
    const Session session = bytes_.begin();
    Cursor cursor(bytes_, session, PageRange(page, PageCount(1)));
    Status moved = cursor.start();
    while (moved.ok()) {
        const Entry entry = cursor.load();
        if (cursor.is_recursive(entry)) return Failure{Error::out_of_range, address.value()};
        if (cursor.kind(entry) != EntryKind::table) {
            return translation(cursor.level(), page, entry, cursor.rights());
        }
        moved = cursor.descend(entry);
    }
    return moved.failure();
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::walk(const PageRange& pages,
                                             FunctionRef<bool(const Translation&)> visit) const {
    if (pages.empty()) return {};
    if (!reach_.contains(pages)) {
        return Failure{Error::out_of_range, address_of(pages.first()).value()};
    }
    const Session session = bytes_.begin();
    Cursor cursor(bytes_, session, pages);
    Status moved = cursor.start();
    while (moved.ok() && !cursor.done()) {
        const Entry entry = cursor.load();
        const EntryKind kind = cursor.kind(entry);
        const bool passed_over = is_vacant(kind) || cursor.is_recursive(entry);
        if (!passed_over && kind == EntryKind::table) {
            moved = cursor.descend(entry);
            continue;
        }
        if (!passed_over &&
            !visit(translation(cursor.level(), cursor.at(), entry, cursor.rights()))) {
            return {};
        }
        moved = cursor.advance();
    }
    return moved;
}

// Counts the tables, and refuses what no finished page table holds.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::adopt(Frame root, FrameSource source) {
    if (table_frames_ != 0) return Failure{Error::in_use, address_of(bytes_.root()).value()};
    const Session session = bytes_.begin();
    bytes_.set_root(root);
    size_t tables = 0;
    unsigned fixed = 0;  // entries of the root that must be there
    Tour tour(bytes_);
    tour.start(format().pages());
    for (auto step = tour.next(session); !step.ok() || *step != detail::TourStep::end;
         step = tour.next(session)) {
        if (!step.ok()) return step.failure();
        if (*step == detail::TourStep::leave) {
            ++tables;
            continue;
        }
        const uint64_t address = address_of(tour.slot().first()).value();
        if (!format().is_well_formed(tour.level(), tour.entry())) {
            return Failure{Error::corrupted, address};
        }
        if (is_vacant(tour.kind())) return Failure{Error::busy, address};
        if (bytes_.is_fixed(tour.level())) ++fixed;
    }
    if (fixed != Format::fixed_root_entries) {
        return Failure{Error::corrupted, address_of(root).value()};
    }
    source_ = source;
    words_ = source.table_words();
    bytes_.set_pages(format().pages());
    reach_ = bytes_.reach();
    table_frames_ = tables;
    forget_tables();
    if (!words_.frames.empty()) count_all(session);
    return {};
}

// Counts the entries of each table.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
void FormatPageTable<Format, Access>::count_all(const Session& session) {
    size_t live[Format::levels] = {};
    bool global[Format::levels] = {};
    tour_.start(bytes_.pages());
    for (auto step = tour_.must_next(session); step != detail::TourStep::end;
         step = tour_.must_next(session)) {
        const unsigned level = tour_.level();
        if (step == detail::TourStep::leave) {
            count_of(tour_.table()).set(exchange(live[level], 0), exchange(global[level], false));
        } else if (!is_vacant(tour_.kind())) {
            ++live[level];
            global[level] = global[level] || is_global_leaf(level, tour_.entry());
        }
    }
}

// Counts tables, and checks each entry, each table, and what is known of it.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Status FormatPageTable<Format, Access>::validate() const {
    if (table_frames_ == 0) return {};
    const Session session = bytes_.begin();
    size_t tables = 0;
    size_t live[Format::levels] = {};  // entries of the tables under way that are not vacant
    Tour tour(bytes_);
    tour.start(bytes_.pages());
    for (auto step = tour.next(session); !step.ok() || *step != detail::TourStep::end;
         step = tour.next(session)) {
        if (!step.ok()) return step.failure();
        if (*step == detail::TourStep::leave) {
            // A table with nothing in it should have been detached.
            const size_t held = exchange(live[tour.level()], 0);
            const bool stays = tour.level() == bytes_.root_level() ||
                               bytes_.is_fixed(tour.level() + 1, tour.first()) ||
                               tour.link() != detail::TableLink::linked;
            const detail::TableCount count = count_of(tour.table());
            const bool miscounted = count.known() && count.live() != held;
            if (++tables > table_frames_ || (!stays && (held == 0 || miscounted))) {
                return Failure{Error::corrupted, address_of(tour.first()).value()};
            }
            continue;
        }
        const bool waits = is_vacant(tour.kind());
        if (!format().is_well_formed(tour.level(), tour.entry()) ||
            (waits && waiting_ == Waiting::nothing)) {
            return Failure{Error::corrupted, address_of(tour.slot().first()).value()};
        }
        if (!waits) ++live[tour.level()];
    }
    if (tables != table_frames_) return Failure{Error::corrupted, address_of(root()).value()};
    return {};
}

}  // namespace quire
