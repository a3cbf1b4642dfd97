// SPDX-License-Identifier: MIT
// The page table for one format, whose bytes are reached through one access.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/paging/detail/cursor.hpp"
#include "quire/paging/detail/entry_run.hpp"
#include "quire/paging/detail/filling.hpp"
#include "quire/paging/detail/table_bytes.hpp"
#include "quire/paging/detail/table_count.hpp"
#include "quire/paging/detail/table_reserve.hpp"
#include "quire/paging/detail/table_tour.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/page_table.hpp"
#include "quire/paging/table_access.hpp"

namespace quire {

template <PagingFormat Format, class Access>
class PageCursor;

// Starts out with no table: every operation but `create` and `adopt` then fails with out_of_range.
// Holds a reference to the access, which must outlive it. Several objects may stand for the same
// table one after another (see adopt), never at once.
//
// How each change works: the arguments are checked; a pass that only reads finds what stands in the
// way and counts the tables that will be needed; these are reserved; a last pass that cannot fail
// makes the change. No table is linked before all its entries are valid. A table that ends up
// holding nothing is unlinked as a whole, with its entries in it, and freed when the invalidation
// is spent.
//
// A root entry that leads to the root itself is passed over by walks; mapping there fails with
// already_mapped, every other operation with out_of_range.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
class FormatPageTable final : public PageTable {
  public:
    explicit FormatPageTable(Access& access, Format format = Format());
    ~FormatPageTable() = default;

    // A new table with nothing mapped: one frame, cleared, for the root, and one for each table
    // that the root always leads to (PAE: four). Errors: in_use (there is a table already),
    // out_of_frames, unreachable (by the access, or for the CPU's root register); nothing changes.
    Status create(FrameSource source);
    // Takes over a table that another FormatPageTable of the same format built, perhaps through
    // another access. That object must not be used any more. Errors: in_use, unreachable, busy (an
    // invalidation of it is not spent), corrupted; nothing changes. O(tables).
    //
    // Where entries that lead to tables withhold rights, as a boot loader's may, these stay
    // withheld, whatever is mapped or protected below; `query` and `walk` say what is left.
    Status adopt(Frame root, FrameSource source);
    // Gives the root back to the source, and the tables that it always leads to. Afterwards there
    // is no table. No CPU may be using it. Looks at what the format's pages use of the root:
    // whatever others have linked there, as a kernel's half of a user's root, stays theirs. Errors,
    // nothing changed: in_use (with the first address that is mapped or parked: unmap first, which
    // frees the other tables), busy (an invalidation is not spent), out_of_range.
    Status destroy();

    // Makes the root entries that decide about the pages, whole, lead to tables that stay as long
    // as this page table, so that other roots can have the same entries: the kernel's half, which
    // is never changed twice. Tables are made where there are none (x86-64: 4 KiB for each 512 GiB;
    // x86-32: for each 4 MiB), and large pages of that level are split. Errors, nothing changed:
    // zero_size, out_of_range, out_of_frames, unreachable; busy (as unmap); in_use (some are shared
    // already). O(root entries).
    Result<Invalidation> share(const PageRange& pages);
    // As create; and the entries that `other` shares lead to its tables in this root as well, with
    // all that it maps there, now and later. Those pages are not this table's: its own end below
    // them, in a format that has both. `other` must outlive it, and cannot be destroyed. Further
    // errors: bad_argument (`other` shares nothing, or has another access, or no page is left).
    Status create_sharing(FrameSource source, const FormatPageTable& other);

    // Makes a root entry lead to the root, for RecursiveSlot; before the table becomes active.
    // Errors: out_of_range (no such entry), already_mapped; nothing changes. O(1).
    Status link_self(unsigned slot)
        requires(RecursivePagingFormat<Format>);

    // Maps every page of the range to the leaf table that decides about it, readable and writable,
    // making that table if need be, and returns its frame: so Window finds a place (see
    // install_window). Errors: as map; bad_argument (the pages belong to several leaf tables).
    Result<Frame> map_own_leaf_table(const PageRange& pages);

    const Format& format() const { return bytes_.format(); }

    PageRange reach() const override { return reach_; }
    Frame highest_frame() const override { return highest_frame_; }
    uint64_t payload_limit() const override { return uint64_t{1} << Format::payload_bits; }
    Frame root() const override { return bytes_.root(); }
    FrameCount table_frames() const override { return FrameCount(table_frames_); }
    void set_frame_source(FrameSource source) override;

    // Whether CPUs may be walking the table: at first, that they may. Where none does (a table that
    // is being built, or one that a simulator or hypervisor edits), entries that change are stored
    // and not exchanged, as nobody marks them as accessed or dirty meanwhile. O(1).
    void set_use(TableUse use) { use_ = use; }

    // A single page, reached through a DirectMap, has a path of its own in each of these, short
    // enough to be inlined where the type of the table is known.
    [[gnu::always_inline]]
    Result<Invalidation> map(const PageRange& pages, Frame first,
                             const Attributes& attributes) override {
        if constexpr (is_visible) {
            if (map_page(pages, first, attributes)) return Result<Invalidation>(in_place);
            return map_out_of_line(pages, first, attributes);
        } else {
            return map_range(pages, first, attributes);
        }
    }
    [[gnu::always_inline]]
    Result<UnmapInvalidation> unmap(const PageRange& pages,
                                    UnmappedFrames frames = UnmappedFrames::keep,
                                    Holes holes = Holes::refuse) override {
        if constexpr (is_visible) {
            bool global = false;
            if (frames == UnmappedFrames::keep && unmap_page(pages, Scan::no, global)) {
                return Result<UnmapInvalidation>(in_place, request_of(pages.first(), global));
            }
            return unmap_out_of_line(pages, frames, holes);
        } else {
            return unmap_range(pages, frames, holes);
        }
    }
    [[gnu::always_inline]]
    Result<Invalidation> protect(const PageRange& pages, Protection protection,
                                 Holes holes = Holes::refuse) override {
        if constexpr (is_visible) {
            bool global = false;
            if (protect_page(pages, protection, global)) {
                return Result<Invalidation>(in_place, request_of(pages.first(), global));
            }
            return protect_out_of_line(pages, protection, holes);
        } else {
            return protect_range(pages, protection, holes);
        }
    }
    [[gnu::always_inline]] Result<PhysicalAddress> translate(VirtualAddress address) override {
        if constexpr (is_visible) {
            PhysicalAddress physical;
            if (translate_page(address, physical)) return physical;
            return translate_out_of_line(address);
        } else {
            return PageTable::translate(address);
        }
    }
    Result<Invalidation> split(const PageRange& pages) override;
    Result<UnmapInvalidation> merge(VirtualAddress address) override;
    Result<Invalidation> harvest(const PageRange& pages,
                                 FunctionRef<void(const Translation&)> visit) override;
    Status park(const PageRange& pages, uint64_t payload) override;
    Result<Translation> query(VirtualAddress address) const override;
    Status walk(const PageRange& pages, FunctionRef<bool(const Translation&)> visit) const override;
    Status validate() const override;

  private:
    friend class PageCursor<Format, Access>;
    using Entry = typename Format::Entry;
    using Shape = detail::Geometry<Format>;
    using Bytes = detail::TableBytes<Format, Access>;
    using Session = typename Bytes::Session;
    using Cursor = detail::Cursor<Format, Access>;
    using Filling = detail::Filling<Format>;
    using Reserve = detail::TableReserve<Format, Access>;
    using Tour = detail::TableTour<Format, Access>;

    // Whether single pages have paths of their own. They would take stack that a 32-bit kernel does
    // not have, and such a kernel seldom sees all its tables at once.
    static constexpr bool is_visible = VisibleTableAccess<Access> &&
                                       sizeof(uintptr_t) > sizeof(uint32_t);

    // What waits for the one unspent invalidation of an unmap.
    enum class Waiting : uint8_t {
        nothing,
        tables,             // detached tables at most
        merged_table,       // one that a large page has replaced
        tables_and_frames,  // and the frames that parked entries and detached tables name
    };
    // What a protection makes of any leaf: formats change bits, the same in each.
    struct Rights {
        Protection protection = Protection::none;
        Entry kept = Format::empty, set = Format::empty;

        Entry of(Entry leaf) const { return (leaf & kept) | set; }
    };
    Rights rights_for(Protection protection) const {
        return {protection, format().with_protection(static_cast<Entry>(~Entry{0}), protection),
                format().with_protection(Entry{0}, protection)};
    }
    // What protect (to rights_) and unmap have in common.
    enum class Change : uint8_t { protect, unmap };
    // Whether entries of that kind can be changed; others are holes.
    static bool concerns(Change change, EntryKind kind) {
        return kind == EntryKind::leaf || (change == Change::unmap && kind == EntryKind::payload);
    }
    // What a reading pass found out about a change.
    struct Plan {
        size_t tables = 0;     // needed for splits
        bool present = false;  // whether a present entry is going to change
        bool global = false;   // whether one of those is global
        bool any = false;      // whether anything is going to change
        Page first, last;      // if so: the slots that are
    };
    // What a table that is being made will hold: a run of entries, the others empty.
    struct NewTable {
        Entry first = Format::empty;
        Entry step = 0;  // from one entry of the run to the next
        size_t begin = 0, end = 0;
        bool complete = false;  // whether that is all that the filling has for it
    };

    // What a walk without sessions finds.
    struct Found {
        bool is_leaf = false;
        unsigned level = 0;
        Entry entry = Format::empty;

        PhysicalAddress physical(const Format& format, VirtualAddress address) const {
            const uintptr_t bytes = Shape::slot_pages(level).value() << page_shift;
            return address_of(format.frame_of(level, entry)) +
                   quire::Bytes(address.value() & (bytes - 1));
        }
    };

    // A table, and its place among all tables of its level.
    struct Remembered {
        uintptr_t number = UINTPTR_MAX;  // none
        Entry* entries = nullptr;
    };
    // Walks to single pages start below the root where that has three levels or more below it.
    static constexpr bool starts_at_root = Format::levels <= 3;
    static constexpr unsigned start_level = starts_at_root ? Format::levels - 1 : 2;

    // detail/table_page.hpp
    Found look(Page page) const
        requires(VisibleTableAccess<Access>);
    Entry* find_start(Page page)
        requires(VisibleTableAccess<Access>);
    bool starts_with(Page page) const {
        return (page.value() >> Shape::shift(start_level + 1)) == start_.number;
    }
    bool leads_below(const Entry* entries, Page page, unsigned level, Frame& table) const
        requires(VisibleTableAccess<Access>);
    bool remembers(Page page) const { return (page.value() >> Format::index_bits) == leaf_.number; }
    bool remember_leaf_table(Page page)
        requires(VisibleTableAccess<Access>);
    bool grants(const Attributes& attributes)
        requires(VisibleTableAccess<Access>);
    bool translate_page(VirtualAddress address, PhysicalAddress& physical)
        requires(VisibleTableAccess<Access>);
    bool map_page(const PageRange& pages, Frame frame, const Attributes& attributes)
        requires(VisibleTableAccess<Access>);
    bool map_few_pages(const PageRange& pages, Frame first, const Attributes& attributes)
        requires(VisibleTableAccess<Access>);
    // Whether all the pages are the remembered leaf table's.
    bool lies_in_leaf(const PageRange& pages) const {
        return remembers(pages.first()) && !pages.empty() &&
               pages.count().value() <= Format::entries - Shape::index(pages.first(), 0);
    }
    Entry* mapped_leaf(const PageRange& pages, Entry& entry) const
        requires(VisibleTableAccess<Access>);
    enum class Scan : uint8_t { no, yes };
    bool unmap_page(const PageRange& pages, Scan scan, bool& global)
        requires(VisibleTableAccess<Access>);
    bool unmap_few_pages(const PageRange& pages, bool& global)
        requires(VisibleTableAccess<Access>);
    bool protect_page(const PageRange& pages, Protection protection, bool& global)
        requires(VisibleTableAccess<Access>);
    Entry* large_place(const PageRange& pages, Frame& table)
        requires(VisibleTableAccess<Access>);
    bool map_large_page(const PageRange& pages, Frame first, const Attributes& attributes)
        requires(VisibleTableAccess<Access>);
    bool unmap_large_page(const PageRange& pages, bool& global)
        requires(VisibleTableAccess<Access>);
    bool protect_large_page(const PageRange& pages, Protection protection, bool& global)
        requires(VisibleTableAccess<Access>);
    // What is known of a table without a look into it.
    [[gnu::always_inline]] detail::TableCount count_of(Frame table) const {
        return detail::TableCount(words_.word_of(table));
    }
    // Of a single page. Made anew: a range that was just stored by halves is not to be loaded
    // whole.
    [[gnu::always_inline]] FlushRequest request_of(Page page, bool global) const {
        return FlushRequest{root(), PageRange(page, PageCount(1)), global};
    }
    [[gnu::always_inline]] FlushRequest request_of(const PageRange& pages, bool global) const {
        return FlushRequest{root(), PageRange(pages.first(), pages.count()), global};
    }
    void forget_tables() { start_ = seen_ = leaf_ = Remembered(); }
    // The same once another leaf table is found, and otherwise as for ranges; out of line, so that
    // the short paths stay short.
    [[gnu::noinline]] Result<Invalidation> map_out_of_line(const PageRange& pages, Frame first,
                                                           const Attributes& attributes)
        requires(VisibleTableAccess<Access>);
    [[gnu::noinline]] Result<Invalidation> protect_out_of_line(const PageRange& pages,
                                                               Protection protection, Holes holes)
        requires(VisibleTableAccess<Access>);
    [[gnu::noinline]] Result<UnmapInvalidation> unmap_out_of_line(const PageRange& pages,
                                                                  UnmappedFrames frames,
                                                                  Holes holes)
        requires(VisibleTableAccess<Access>);
    [[gnu::noinline]] Result<PhysicalAddress> translate_out_of_line(VirtualAddress address)
        requires(VisibleTableAccess<Access>);
    // detail/table_share.hpp
    [[gnu::noinline]] Status plan_share(const Session& session, const PageRange& pages);
    [[gnu::noinline]] void fix_root_entries(const Session& session, const PageRange& pages);
    void copy_shared(const Bytes& other);
    // detail/table_fill.hpp
    [[gnu::noinline]] Status create_root(FrameSource source, const PageRange& others);
    // Each is a change's own way, for ranges.
    [[gnu::always_inline]] inline Result<Invalidation> map_range(const PageRange& pages,
                                                                 Frame first,
                                                                 const Attributes& attributes);
    [[gnu::noinline]] void clear_table(const Session& session, Frame table);
    Status check_pages(const PageRange& pages) const;
    [[gnu::noinline]] Status check_mapping(const PageRange& pages, Frame first,
                                           const Attributes& attributes) const;
    [[gnu::always_inline]] inline Status fill(const PageRange& pages);
    [[gnu::noinline]] Status count_tables(const Session& session, const PageRange& pages);
    [[gnu::noinline]] void fill_empty(const Session& session, const PageRange& pages);
    [[gnu::noinline]] size_t fill_run(const Cursor& cursor, size_t run) const;
    [[gnu::noinline]] void plan_table(Frame table, const Cursor& cursor);
    [[gnu::noinline]] void write_table(const Session& session, Frame table) const;
    // detail/table_change.hpp
    [[gnu::always_inline]] inline Result<Invalidation> protect_range(const PageRange& pages,
                                                                     Protection protection,
                                                                     Holes holes);
    [[gnu::noinline]] Status plan_change(const Session& session, const PageRange& pages,
                                         Holes holes, Change change);
    [[gnu::noinline]] size_t plan_run(const Cursor& cursor, Holes holes, Change change);
    bool plan_leaf_table(const Cursor& cursor, Entry entry, Holes holes);
    void note_entry(const Cursor& cursor, Entry entry);
    void note_slots(const PageRange& slots);
    bool is_global_leaf(unsigned level, Entry entry) const {
        return format().kind(level, entry) == EntryKind::leaf && format().is_global(entry);
    }
    FlushRequest request_of_plan() const;
    [[gnu::noinline]] Entry split_at(const Session& session, Cursor& cursor, Entry entry,
                                     Frame table);
    [[gnu::noinline]] void protect_present(const Session& session, const PageRange& pages);
    [[gnu::noinline]] size_t protect_run(const Cursor& cursor) const;
    void protect_leaf(Entry& place, Entry entry, const Rights& rights) const;
    bool can_grant(Protection protection);
    // detail/table_unmap.hpp
    [[gnu::always_inline]] inline Result<UnmapInvalidation> unmap_range(const PageRange& pages,
                                                                        UnmappedFrames frames,
                                                                        Holes holes);
    [[gnu::noinline]] bool take_out(const Session& session, const PageRange& pages,
                                    UnmappedFrames frames);
    [[gnu::noinline]] bool detach_vacant_tables(const Session& session, Page page);
    void take_out_leaves(Entry* entries, size_t count, UnmappedFrames frames) const;
    size_t live_entries(const Entry* entries, size_t count) const;
    bool is_vacant_table(const Session& session, Frame table, unsigned level, Page page) const;
    [[gnu::noinline]] bool has_other_live_entry(const Entry* entries, unsigned level,
                                                unsigned index) const;
    void finish(const FlushRequest& request) override;
    void give_back(Frame first, unsigned level);
    // detail/table_reshape.hpp
    [[gnu::noinline]] Status plan_cut(const Session& session, Page end, const PageRange& pages);
    [[gnu::always_inline]] inline void cut_ends(const Session& session, const PageRange& pages);
    [[gnu::noinline]] void cut(const Session& session, Page end, const PageRange& pages);
    [[gnu::noinline]] Result<Entry> merged(const Entry* entries, unsigned level, Page first) const;
    [[gnu::noinline]] void replace_table(Entry& place, Entry leaf);
    [[gnu::noinline]] void finish_merge(const Session& session, const FlushRequest& request);
    void add_marks(Entry& place, Entry marks) const;
    // detail/table_look.hpp
    Translation translation(unsigned level, Page page, Entry entry, Protection rights) const;
    void count_all(const Session& session);

    detail::NoFrames no_frames_;
    FrameSource source_;
    TableWords words_;  // the source's
    Bytes bytes_;
    PageRange reach_;
    Frame highest_frame_;  // the format's, which computes it
    size_t table_frames_ = 0;
    Waiting waiting_ = Waiting::nothing;
    Frame merged_table_;  // where that is what waits
    TableUse use_ = TableUse::active;
    // Where tables are visible: where walks start; the leaf tables that were looked into and
    // changed last; and the count of the latter.
    Remembered start_, seen_, leaf_;
    detail::TableCount leaf_count_;
    // The last attributes that single pages were mapped with, what they make of frame 0, and
    // whether that is global.
    Attributes granted_;
    Entry granted_entry_;
    bool granted_global_ = false;
    // What is known of the change under way. Changes exclude one another, so this can stand here
    // and not on the stack, which in a kernel is small.
    Filling filling_;
    Rights rights_;  // the last that was granted
    Plan plan_;
    NewTable new_table_;
    Reserve reserve_;
    Tour tour_;
};

}  // namespace quire

#include "quire/paging/detail/table_change.hpp"
#include "quire/paging/detail/table_fill.hpp"
#include "quire/paging/detail/table_look.hpp"
#include "quire/paging/detail/table_page.hpp"
#include "quire/paging/detail/table_reshape.hpp"
#include "quire/paging/detail/table_share.hpp"
#include "quire/paging/detail/table_unmap.hpp"
