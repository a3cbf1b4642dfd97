// SPDX-License-Identifier: MIT
// Changes of a page table page after page: for frames that do not follow one another, or where each
// page is looked at before it is decided what becomes of it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/late.hpp"
#include "quire/paging/format_page_table.hpp"

namespace quire {

// Stands at a page. Each operation is about that page and, where it succeeds, goes on to the next;
// where it fails, nothing has changed. O(1) within a leaf table, otherwise as PageTable's.
//
// The leaf table stays open between calls, and with it a session of the access. Until `close`,
// nobody else may use that: no other operation of the page table, nothing shown through the same
// window. `close` lets go of both; what happens to tables and windows then is no concern of the
// cursor, which opens what it finds with the next call. Locks as the page table's changes do, from
// the first call to `close` or `finish`, on one CPU.
//
// What was taken out or protected waits for one invalidation of all of it, which `finish` returns.
// Leaf tables that the cursor has emptied are taken out as it leaves them and freed when that is
// spent; until then the page table's own unmap and merge, and map there, fail with busy. Dropping a
// cursor that has something to finish traps where debug_checks is set.
template <PagingFormat Format, class Access>
class PageCursor {
  public:
    using Table = FormatPageTable<Format, Access>;

    // `table` must outlive it.
    PageCursor(Table& table, Page first) : table_(table), number_(first.value()) {}
    PageCursor(const PageCursor&) = delete;
    PageCursor& operator=(const PageCursor&) = delete;
    ~PageCursor() {
        close();
        if (debug_checks && changed_) trap();
    }

    // The page it stands at. Past the last page of all it stands nowhere: traps.
    Page at() const { return Page(position()); }
    // Goes elsewhere.
    void seek(Page page);
    // Lets go of the leaf table and of the access.
    void close();
    // All that it has changed: to be spent before frames that were taken out are used again. Empty
    // when nothing was. Closes.
    UnmapInvalidation finish();

    // Maps the page. Errors: as PageTable::map.
    [[gnu::always_inline]] Status map(Frame frame, const Attributes& attributes) {
        if (goes_on(Doing::map) && attributes == attributes_ && frame <= table_.highest_frame_ &&
            load_entry(*next_) == Format::empty) {
            store_entry(*next_++, entry_ | Format::frame_bits(frame));
            return {};
        }
        return map_out_of_line(frame, attributes);
    }
    // Takes the page out, and returns the frame, which is the caller's. A large page is split.
    // Errors: out_of_range; not_mapped (there is no leaf); out_of_frames (for a split); busy (as
    // PageTable::unmap; not for what this cursor has taken out).
    [[gnu::always_inline]] Result<Frame> unmap() {
        if (goes_on(Doing::unmap)) {
            const Entry entry = load_entry(*next_);
            if (format().kind(0, entry) == EntryKind::leaf) return take_out(entry);
        }
        return unmap_out_of_line();
    }
    // Changes the page's protection. Errors: as PageTable::protect.
    [[gnu::always_inline]] Status protect(Protection protection) {
        if (goes_on(Doing::protect) && protection == rights_.protection) {
            const Entry entry = load_entry(*next_);
            if (format().kind(0, entry) == EntryKind::leaf) {
                protect_leaf(entry);
                return {};
            }
        }
        return protect_out_of_line(protection);
    }
    // The physical address behind the page's first byte. Errors: out_of_range; not_mapped.
    [[gnu::always_inline]] Result<PhysicalAddress> translate() {
        if (goes_on(Doing::translate)) {
            const Entry entry = load_entry(*next_);
            if (format().kind(0, entry) == EntryKind::leaf) {
                ++next_;
                return address_of(format().frame_of(0, entry));
            }
        }
        return translate_out_of_line();
    }

  private:
    using Entry = typename Format::Entry;
    using Shape = detail::Geometry<Format>;
    using Walk = detail::Cursor<Format, Access>;
    enum class Doing : uint8_t { nothing, map, unmap, protect, translate };

    // The open leaf table, and the session in which it is.
    struct Open {
        Open(const typename Walk::Bytes& bytes, Page page)
            : session(bytes.begin()), walk(bytes, session, PageRange(page, PageCount(1))) {}
        typename Walk::Bytes::Session session;
        Walk walk;
    };

    const Format& format() const { return table_.format(); }
    uintptr_t position() const { return number_ + static_cast<uintptr_t>(next_ - first_); }
    bool goes_on(Doing doing) const { return doing_ == doing && next_ != end_; }
    Frame take_out(Entry entry) {
        store_entry(*next_++, Format::empty);
        if (format().is_global(entry)) global_ = true;
        return format().frame_of(0, entry);
    }
    void protect_leaf(Entry entry) {
        table_.protect_leaf(*next_++, entry, rights_);
        if (format().is_global(entry)) global_ = true;
    }

    [[gnu::noinline]] Status map_out_of_line(Frame frame, const Attributes& attributes);
    [[gnu::noinline]] Result<Frame> unmap_out_of_line();
    [[gnu::noinline]] Status protect_out_of_line(Protection protection);
    [[gnu::noinline]] Result<PhysicalAddress> translate_out_of_line();
    Status begin();
    Status open_leaf_table();
    void end_run();
    void note(const FlushRequest& request);
    // The table has done the same for this page by itself.
    void pass_closed() { ++number_; }

    Table& table_;
    Late<Open> open_;
    // Entries of the open leaf table: its part from `number_` on, where the cursor stands, and what
    // has been done since where, without a break; all null while none is open.
    Entry* first_ = nullptr;
    Entry* next_ = nullptr;
    Entry* end_ = nullptr;
    Entry* since_ = nullptr;
    Doing doing_ = Doing::nothing;
    uintptr_t number_;
    // Of the run under way: what is granted, what that makes of frame 0 or of leaves.
    Attributes attributes_;
    typename Table::Rights rights_;
    Entry entry_ = Format::empty;
    bool unmapped_ = false;  // something of the open leaf table
    // What there is to finish.
    FlushRequest request_;
    bool global_ = false;
    bool changed_ = false;
    bool detached_ = false;  // leaf tables wait
};

template <PagingFormat Format, class Access>
void PageCursor<Format, Access>::seek(Page page) {
    end_run();
    const bool is_open = first_ != nullptr && page.value() >= number_ &&
                         page.value() - number_ < static_cast<uintptr_t>(end_ - first_);
    if (!is_open) close();
    if (is_open) {
        since_ = next_ = first_ + (page.value() - number_);
    } else {
        number_ = page.value();
    }
}

template <PagingFormat Format, class Access>
void PageCursor<Format, Access>::close() {
    end_run();
    if (unmapped_ && table_.detach_vacant_tables(open_->session, open_->walk.at())) {
        table_.forget_tables();
        table_.waiting_ = Table::Waiting::tables;
        detached_ = true;
    }
    unmapped_ = false;
    number_ = position();
    first_ = next_ = end_ = since_ = nullptr;
    open_.end();
}

template <PagingFormat Format, class Access>
UnmapInvalidation PageCursor<Format, Access>::finish() {
    close();
    if (!exchange(changed_, false)) return UnmapInvalidation();
    request_.root = table_.root();
    const FlushRequest request = exchange(request_, FlushRequest{});
    return exchange(detached_, false) ? UnmapInvalidation(table_, request)
                                      : UnmapInvalidation(request);
}

// Opens the leaf table that decides about the page, if there is one. Errors: out_of_range, as the
// access says.
template <PagingFormat Format, class Access>
Status PageCursor<Format, Access>::open_leaf_table() {
    close();
    if (number_ > Page::highest || !table_.reach_.contains(Page(number_))) {
        return Failure{Error::out_of_range, uint64_t{number_} << page_shift};
    }
    const Page page(number_);
    Walk& walk = open_.make(table_.bytes_, page).walk;
    Status moved = walk.start();
    while (moved.ok() && walk.level() > 0) {
        const Entry entry = walk.load();
        if (walk.is_recursive(entry)) moved = Failure{Error::out_of_range, walk.address().value()};
        if (!moved.ok() || walk.kind(entry) != EntryKind::table) break;
        moved = walk.descend(entry);
    }
    if (!moved.ok() || walk.level() > 0) {
        open_.end();
        return moved;
    }
    first_ = next_ = since_ = &walk.entry();
    end_ = first_ + (Format::entries - Shape::index(page, 0));
    return {};
}

// Something else is going to be done, in an open leaf table if there is one.
template <PagingFormat Format, class Access>
Status PageCursor<Format, Access>::begin() {
    end_run();
    return next_ == end_ ? open_leaf_table() : Status();
}

// Says what the pages since the last break need.
template <PagingFormat Format, class Access>
void PageCursor<Format, Access>::end_run() {
    const Doing doing = exchange(doing_, Doing::nothing);
    Entry* const since = exchange(since_, next_);
    if (since == next_ || doing == Doing::translate) return;
    const size_t count = static_cast<size_t>(next_ - since);
    const detail::TableCount in_table = table_.count_of(open_->walk.table());
    if (doing == Doing::map) return in_table.add(count, format().is_global(entry_));
    if (doing == Doing::unmap) {
        in_table.remove(count);
        unmapped_ = true;
    } else if (format().is_global(rights_.set)) {
        in_table.add(0, true);
    }
    const Page first(number_ + static_cast<uintptr_t>(since - first_));
    note(FlushRequest{Frame(), PageRange(first, PageCount(count)), exchange(global_, false)});
}

template <PagingFormat Format, class Access>
void PageCursor<Format, Access>::note(const FlushRequest& request) {
    request_.include(request);
    changed_ = true;
}

template <PagingFormat Format, class Access>
Status PageCursor<Format, Access>::map_out_of_line(Frame frame, const Attributes& attributes) {
    const Status begun = begin();
    if (!begun.ok()) return begun;
    const PageRange page(at(), PageCount(1));
    const Status fits = table_.check_mapping(page, frame, attributes);
    if (!fits.ok()) return fits;
    if (first_ != nullptr && load_entry(*next_) == Format::empty) {
        doing_ = Doing::map;
        attributes_ = attributes;
        entry_ = format().leaf(0, Frame(0), attributes);
        store_entry(*next_++, entry_ | Format::frame_bits(frame));
        return {};
    }
    close();
    auto mapped = table_.map(page, frame, attributes);
    if (!mapped.ok()) return mapped.failure();
    pass_closed();
    if (!mapped->empty()) note(mapped->request());
    mapped->spend_unused();
    return {};
}

template <PagingFormat Format, class Access>
Result<Frame> PageCursor<Format, Access>::unmap_out_of_line() {
    if (!detached_ && table_.waiting_ != Table::Waiting::nothing) {
        return Failure{Error::busy, uint64_t{position()} << page_shift};
    }
    Status begun = begin();
    if (begun.ok() && first_ == nullptr) {
        const PageRange page(at(), PageCount(1));
        const auto found = table_.query(address_of(at()));
        if (!found.ok()) return found.failure();
        if (found->state != EntryState::present) {
            return Failure{Error::not_mapped, address_of(at()).value()};
        }
        auto split = table_.split(page);
        if (!split.ok()) return split.failure();
        note(split->request());
        split->spend_unused();
        begun = begin();
    }
    if (!begun.ok()) return begun.failure();
    const Entry entry = load_entry(*next_);
    if (format().kind(0, entry) != EntryKind::leaf) {
        return Failure{Error::not_mapped, address_of(at()).value()};
    }
    doing_ = Doing::unmap;
    return take_out(entry);
}

template <PagingFormat Format, class Access>
Status PageCursor<Format, Access>::protect_out_of_line(Protection protection) {
    const Status begun = begin();
    if (!begun.ok()) return begun;
    const Attributes attributes{protection, MemoryType::write_back};
    if (first_ != nullptr && format().check(attributes).ok()) {
        const Entry entry = load_entry(*next_);
        if (format().kind(0, entry) == EntryKind::leaf) {
            doing_ = Doing::protect;
            rights_ = table_.rights_for(protection);
            protect_leaf(entry);
            return {};
        }
    }
    const PageRange page(at(), PageCount(1));
    close();
    auto changed = table_.protect(page, protection);
    if (!changed.ok()) return changed.failure();
    pass_closed();
    if (!changed->empty()) note(changed->request());
    changed->spend_unused();
    return {};
}

template <PagingFormat Format, class Access>
Result<PhysicalAddress> PageCursor<Format, Access>::translate_out_of_line() {
    const Status begun = begin();
    if (!begun.ok()) return begun.failure();
    const VirtualAddress address = address_of(at());
    if (first_ != nullptr) {
        const Entry entry = load_entry(*next_);
        if (format().kind(0, entry) != EntryKind::leaf) {
            return Failure{Error::not_mapped, address.value()};
        }
        doing_ = Doing::translate;
        ++next_;
        return address_of(format().frame_of(0, entry));
    }
    const auto found = table_.query(address);
    if (!found.ok()) return found.failure();
    if (found->state != EntryState::present) return Failure{Error::not_mapped, address.value()};
    pass_closed();
    return found->physical(address);
}

}  // namespace quire
