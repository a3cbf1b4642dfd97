// SPDX-License-Identifier: MIT
// Visits the entries of a range of pages, and every table that holds one, without recursion.
#pragma once

#include "quire/paging/detail/table_bytes.hpp"
#include "quire/paging/entry.hpp"

namespace quire::detail {

enum class TourStep : uint8_t {
    entry,  // at an entry that is not empty; next, at those below it, if it leads to a table
    leave,  // done with a table, which is not touched any more, so that it may be freed
    end,
};
enum class TableLink : uint8_t { linked, detached };
enum class TourVisits : uint8_t { all, tables };

// Depth first, from the root down. Keeps one table open, or none while a table is left. Entries
// that are recursive are passed over; detached tables are entered like linked ones, and whole. Not
// a visitor but a thing that is asked for the next step, so that what is done about it does not
// stand on the stack above it. O(tables) in all.
template <PagingFormat Format, class Access>
class TableTour {
  public:
    using Bytes = TableBytes<Format, Access>;
    using Session = typename Bytes::Session;
    using Entry = typename Format::Entry;
    using Shape = Geometry<Format>;

    explicit TableTour(const Bytes& bytes) : bytes_(bytes) {}

    // Begins anew; `pages` must not be empty. Leaves and payloads are passed over on request.
    void start(const PageRange& pages, TourVisits visits = TourVisits::all) {
        pages_ = pages;
        visits_ = visits;
        left_ = false;
        const unsigned level = bytes_.root_level();
        enter(level, bytes_.root(), Shape::first_of_table(pages.first(), level), TableLink::linked);
    }
    // All steps of a tour are taken in one session. Errors: as the access says; the tour is over
    // then.
    [[gnu::noinline]] Result<TourStep> next(const Session& session);
    // For a second tour over what has been seen already: it cannot fail.
    [[gnu::noinline]] TourStep must_next(const Session& session) { return next(session).value(); }

    unsigned level() const { return level_; }
    // Whether the root leads to the table.
    TableLink link() const { return stage().link; }
    // After `entry`: what it is, as found, and where.
    Entry entry() const { return found_; }
    EntryKind kind() const { return bytes_.format().kind(level_, found_); }
    PageRange slot() const {
        return Shape::slot(stage().first + Shape::slot_pages(level_) * (stage().next - 1), level_);
    }
    // Whether the entry leads to a table of level 0.
    bool leads_to_leaf_table() const { return level_ == 1 && may_be_table(kind()); }
    // Does not go on below the entry. Returns the table that it leads to.
    Frame pass() {
        const Entry entry = exchange(found_, Format::empty);
        return table_of(entry);
    }
    Entry& place() const { return entries_[stage().next - 1]; }
    // After `leave`.
    Frame table() const { return stage().table; }
    Page first() const { return stage().first; }

  private:
    struct Stage {
        Frame table;
        Page first;
        unsigned next;  // index of the entry to look at next
        unsigned end;
        TableLink link;
    };

    const Stage& stage() const { return stages_[level_]; }
    void enter(unsigned level, Frame table, Page first, TableLink link) {
        const bool all = link == TableLink::detached;
        // Without the table's last page, which a root of PAE has past the last address.
        const bool to_end = Shape::first_of_table(pages_.last(), level) != first;
        const unsigned begin =
            all || pages_.first() < first ? 0 : Shape::index(pages_.first(), level);
        const unsigned end =
            all || to_end ? Format::entries : Shape::index(pages_.last(), level) + 1;
        stages_[level] = Stage{table, first, begin, end, link};
        level_ = level;
    }
    static constexpr bool may_be_table(EntryKind kind) {
        return kind == EntryKind::table || kind == EntryKind::detached;
    }
    Frame table_of(Entry entry) const {
        const bool linked = bytes_.format().kind(level_, entry) == EntryKind::table;
        return linked ? bytes_.format().frame_of(level_, entry)
                      : Frame(bytes_.format().value_of(entry));
    }
    void close() {
        opened_ = typename Bytes::Opened();
        entries_ = nullptr;
    }
    // Goes on below the entry last returned when that leads to a table.
    void descend() {
        const EntryKind kind = this->kind();
        if (!may_be_table(kind)) return;
        const bool linked = kind == EntryKind::table;
        const Frame table = table_of(found_);
        close();
        enter(level_ - 1, table, slot().first(), linked ? link() : TableLink::detached);
    }
    [[gnu::noinline]] Status open(const Session& session) {
        auto opened = link() == TableLink::linked
                          ? bytes_.open(session, stage().table, level_, stage().first)
                          : bytes_.open_unlinked(session, stage().table);
        if (!opened.ok()) return opened.failure();
        opened_ = move(*opened);
        entries_ = opened_.entries();
        return {};
    }

    const Bytes& bytes_;
    PageRange pages_;
    typename Bytes::Opened opened_;
    Entry* entries_ = nullptr;  // of the open table; null between tables
    Entry found_ = Format::empty;
    unsigned level_ = 0;
    bool left_ = false;  // the last step was `leave`
    TourVisits visits_ = TourVisits::all;
    Stage stages_[Format::levels];
};

template <PagingFormat Format, class Access>
Result<TourStep> TableTour<Format, Access>::next(const Session& session) {
    if (left_) {
        if (level_ == bytes_.root_level()) return TourStep::end;
        left_ = false;
        ++level_;
    } else if (entries_ != nullptr) {
        descend();
    }
    if (entries_ == nullptr) {
        const Status opened = open(session);
        if (!opened.ok()) return opened.failure();
    }
    for (Stage& stage = stages_[level_]; stage.next < stage.end;) {
        found_ = load_entry(entries_[stage.next++]);
        if (visits_ == TourVisits::tables && !may_be_table(kind())) continue;
        if (found_ != Format::empty && !bytes_.is_recursive(level_, found_)) return TourStep::entry;
    }
    close();
    left_ = true;
    return TourStep::leave;
}

}  // namespace quire::detail
