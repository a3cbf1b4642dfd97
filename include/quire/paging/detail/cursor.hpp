// SPDX-License-Identifier: MIT
// Moves over the entries that decide about a range of pages, in ascending order.
#pragma once

#include "quire/paging/attributes.hpp"
#include "quire/paging/detail/table_bytes.hpp"
#include "quire/paging/entry.hpp"

namespace quire::detail {

// For the steps of a change that were tried before and cannot fail any more.
inline void must(const Status& status) {
    if (!status.ok()) trap();
}

// Keeps one table open. At an entry that leads to a table, whoever moves it chooses: `descend` to
// the entries below, or `advance` past the slot.
template <PagingFormat Format, class Access>
class Cursor {
  public:
    using Bytes = TableBytes<Format, Access>;
    using Entry = typename Format::Entry;
    using Shape = Geometry<Format>;

    // `pages` must not be empty. Call `start` before anything else.
    Cursor(const Bytes& bytes, const typename Bytes::Session& session, const PageRange& pages)
        : bytes_(bytes), session_(session), at_(pages.first()), last_(pages.last()) {}

    // Opens the root. Errors: as the access says.
    [[gnu::noinline]] Status start() { return open_root(); }
    bool done() const { return done_; }

    // The first page of the range not yet passed.
    Page at() const { return at_; }
    VirtualAddress address() const { return address_of(at_); }
    unsigned level() const { return level_; }
    // The frame of the open table.
    Frame table() const { return table_; }
    PageRange slot() const { return Shape::slot(at_, level_); }
    // What the slot and the range share.
    PageRange part() const { return PageRange::between(at_, min(slot().last(), last_)); }
    bool is_whole() const { return part() == slot(); }

    // So many slots, from this one on.
    PageRange slots(size_t count) const {
        return PageRange(at_, Shape::slot_pages(level_) * count);
    }
    // How many slots of the open table, from this one on, lie wholly in the range.
    size_t run() const {
        const unsigned index = Shape::index(at_, level_);
        if (at_ != Shape::slot(at_, level_).first()) return 0;
        const size_t whole = ((last_ - at_).value() + 1) >> Shape::shift(level_);
        return min<size_t>(whole, Format::entries - index);
    }

    Entry& entry() const { return entries_[Shape::index(at_, level_)]; }
    Entry load() const { return load_entry(entry()); }
    EntryKind kind(Entry entry) const { return bytes_.format().kind(level_, entry); }
    // What the entries on the way here leave of the rights that one of this table grants.
    Protection rights() const { return rights_; }
    bool is_recursive(Entry entry) const { return bytes_.is_recursive(level_, entry); }

    // Opens the table that the entry, as loaded from here, leads to.
    [[gnu::noinline]] Status descend(Entry entry) { return open_below(entry); }
    // Goes to the slot after this one, or after so many, of which the others are a run; from the
    // root down when it lies in another table.
    [[gnu::noinline]] Status advance(size_t slots = 1) {
        return leaves_table(slots) ? open_root() : Status();
    }

    // The same moves for a pass over what another pass has seen already: they cannot fail.
    [[gnu::noinline]] void must_start() { must(open_root()); }
    [[gnu::noinline]] void must_descend(Entry entry) { must(open_below(entry)); }
    [[gnu::noinline]] void must_advance(size_t slots = 1) {
        if (leaves_table(slots)) must(open_root());
    }

  private:
    // Inlined into each move, so that a move is one frame on the stack and not three.
    [[gnu::always_inline]] Status open_root() {
        rights_ = every_right;
        return open(bytes_.root(), bytes_.root_level());
    }
    [[gnu::always_inline]] Status open_below(Entry entry) {
        rights_ = rights_ & bytes_.format().table_rights(level_, entry);
        return open(bytes_.format().frame_of(level_, entry), level_ - 1);
    }
    [[gnu::always_inline]] Status open(Frame table, unsigned level) {
        auto opened = bytes_.open(session_, table, level, at_);
        if (!opened.ok()) return opened.failure();
        opened_ = move(*opened);
        entries_ = opened_.entries();
        table_ = table;
        level_ = level;
        return {};
    }
    // Passes slots. Whether the next one is in another table.
    bool leaves_table(size_t slots) {
        const Page end = slot().last() + Shape::slot_pages(level_) * (slots - 1);
        done_ = end >= last_;
        if (done_) return false;
        at_ = end + PageCount(1);
        return level_ != bytes_.root_level() && Shape::index(at_, level_) == 0;
    }

    const Bytes& bytes_;
    const typename Bytes::Session& session_;
    Page at_;
    Page last_;
    typename Bytes::Opened opened_;
    Entry* entries_ = nullptr;
    Frame table_;
    unsigned level_ = 0;
    bool done_ = false;
    Protection rights_ = every_right;
};

}  // namespace quire::detail
