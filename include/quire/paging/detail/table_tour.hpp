// SPDX-License-Identifier: MIT
// Visits every table below one, and every entry of each, without recursion.
#pragma once

#include "quire/base/atomic.hpp"
#include "quire/paging/detail/table_bytes.hpp"

namespace quire::detail {

// Depth first; a table is left after all tables below it were left, and is not touched afterwards,
// so that a visitor may free it. Keeps one table open, or none while a table is left. Entries that
// are recursive are passed over; detached tables are entered like linked ones. O(tables).
//
// Visitor: `Status entry(unsigned level, const PageRange& slot, Entry entry)` for every entry, and
// `Status leave(unsigned level, Page first, Frame table, TableLink link)`. The first failure ends
// the tour.
enum class TableLink : uint8_t { linked, detached };

template <PagingFormat Format, class Access, class Visitor>
class TableTour {
  public:
    using Bytes = TableBytes<Format, Access>;
    using Entry = typename Format::Entry;
    using Shape = Geometry<Format>;

    TableTour(const Bytes& bytes, const typename Bytes::Session& session, Visitor& visitor)
        : bytes_(bytes), session_(session), visitor_(visitor) {}

    // From the root down.
    Status from_root() {
        return from(bytes_.root(), Shape::root_level, Page(0), TableLink::linked);
    }
    // From a detached table down: what lies below it is detached as well.
    Status from_detached(Frame table, unsigned level, Page page) {
        return from(table, level, Shape::first_of_table(page, level), TableLink::detached);
    }

  private:
    struct Stage {
        Frame table;
        Page first;
        unsigned next = 0;  // index of the entry to look at next
        TableLink link = TableLink::linked;
    };

    Status from(Frame table, unsigned top, Page first, TableLink link) {
        unsigned level = top;
        stages_[level] = Stage{table, first, 0, link};
        for (;;) {
            const auto below = look_for_table(level);
            if (!below.ok()) return below.failure();
            if (*below) {
                --level;
                continue;
            }
            const Stage& stage = stages_[level];
            const Status left = visitor_.leave(level, stage.first, stage.table, stage.link);
            if (!left.ok() || level == top) return left;
            ++level;
        }
    }

    // Visits entries up to the next that has a table below, and makes that the next stage; false
    // when there is none left.
    Result<bool> look_for_table(unsigned level) {
        Stage& stage = stages_[level];
        auto opened = stage.link == TableLink::linked
                          ? bytes_.open(session_, stage.table, level, stage.first)
                          : bytes_.open_unlinked(session_, stage.table);
        if (!opened.ok()) return opened.failure();
        const Entry* entries = opened->entries();
        while (stage.next < Format::entries) {
            const unsigned index = stage.next++;
            const Entry entry = atomic::load(entries[index]);
            if (bytes_.is_recursive(level, entry)) continue;
            const Page first = stage.first + Shape::slot_pages(level) * index;
            const Status seen = visitor_.entry(level, Shape::slot(first, level), entry);
            if (!seen.ok()) return seen.failure();
            const EntryKind kind = bytes_.format().kind(level, entry);
            if (kind == EntryKind::detached) {
                const Frame table(bytes_.format().value_of(entry));
                stages_[level - 1] = Stage{table, first, 0, TableLink::detached};
                return true;
            }
            if (kind == EntryKind::table) {
                const Frame table = bytes_.format().frame_of(level, entry);
                stages_[level - 1] = Stage{table, first, 0, stage.link};
                return true;
            }
        }
        return false;
    }

    const Bytes& bytes_;
    const typename Bytes::Session& session_;
    Visitor& visitor_;
    Stage stages_[Format::levels];
};

}  // namespace quire::detail
