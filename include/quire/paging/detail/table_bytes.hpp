// SPDX-License-Identifier: MIT
// A page table's bytes: its format, its root, and the access that opens its tables.
#pragma once

#include "quire/paging/detail/geometry.hpp"
#include "quire/paging/table_access.hpp"

namespace quire::detail {

template <PagingFormat Format, class Access>
class TableBytes {
    static Access& example();
    static const TableLocation& example_location();

  public:
    using Entry = typename Format::Entry;
    using Shape = Geometry<Format>;
    using Session = decltype(example().begin());
    using Opened = remove_const_reference<
        decltype(example().open(example().begin(), example_location()).value())>;

    TableBytes(Access& access, const Format& format)
        : access_(access), format_(format), pages_(format.pages()) {}

    const Format& format() const { return format_; }
    Frame root() const { return root_; }
    unsigned root_level() const { return format_.root_level(); }
    void set_root(Frame root) { root_ = root; }

    Session begin() const { return access_.begin(); }
    // A table that the root leads to, by any of the pages that it decides about. Out of line, as
    // the next: what opening takes of the stack is not added to what its callers take for longer.
    [[gnu::noinline]] Result<Opened> open(const Session& session, Frame table, unsigned level,
                                          Page page) const {
        const VirtualAddress first = address_of(Shape::first_of_table(page, level));
        return access_.open(session, TableLocation{root_, table, level, first, true});
    }
    // One that it does not lead to.
    [[gnu::noinline]] Result<Opened> open_unlinked(const Session& session, Frame table) const {
        return access_.open(session, TableLocation{root_, table, 0, VirtualAddress(), false});
    }

    // A table, or null, where the access shows all of them all the time.
    Entry* visible(Frame table) const
        requires(VisibleTableAccess<Access>)
    {
        return static_cast<Entry*>(access_.visible_table(table));
    }

    // One that has been opened before, which need not be checked again.
    Entry* visible_unchecked(Frame table) const
        requires(VisibleTableAccess<Access>)
    {
        return static_cast<Entry*>(access_.visible_table_unchecked(table));
    }

    bool keeps(unsigned root_index) const { return access_.keeps(root_index); }
    // Whether all entries of that level lead to the same tables as long as the page table lives.
    bool is_fixed(unsigned level) const {
        return Format::fixed_root_entries != 0 && level == root_level();
    }
    // Whether the entry for a page does.
    bool is_fixed(unsigned level, Page page) const {
        return level == root_level() && (Format::fixed_root_entries != 0 || shared_.contains(page));
    }

    // The pages that are the page table's own, one run of the format's.
    const PageRange& pages() const { return pages_; }
    void set_pages(const PageRange& pages) { pages_ = pages; }
    // Those whose root entries other roots may have as well; whole root entries.
    const PageRange& shared() const { return shared_; }
    void set_shared(const PageRange& pages) { shared_ = pages; }
    bool has_same_access(const TableBytes& other) const { return &access_ == &other.access_; }
    // An entry of the root through which the table shows itself.
    bool is_recursive(unsigned level, Entry entry) const {
        return level == root_level() && format_.kind(level, entry) == EntryKind::table &&
               format_.frame_of(level, entry) == root_;
    }

    // Of its own pages, those of the longest run of root entries that the access does not
    // keep. O(entries).
    PageRange reach() const {
        const PageRange all = pages_;
        unsigned first = Shape::index(all.first(), root_level());
        const unsigned end = Shape::index(all.last(), root_level()) + 1;
        unsigned best_first = first;
        unsigned best_count = 0;
        for (unsigned index = first; index <= end; ++index) {
            if (index < end && !keeps(index)) continue;
            if (index - first > best_count) {
                best_first = first;
                best_count = index - first;
            }
            first = index + 1;
        }
        return PageRange(Shape::first_of_root_entry(format_, best_first),
                         Shape::slot_pages(root_level()) * best_count);
    }

  private:
    Access& access_;
    Format format_;
    Frame root_;
    PageRange pages_;
    PageRange shared_;
};

}  // namespace quire::detail
