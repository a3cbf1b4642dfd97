// SPDX-License-Identifier: MIT
// The address space without its lock. Use AddressSpace, which says what each operation means.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/function_ref.hpp"
#include "quire/base/node_pool.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/space/fault.hpp"
#include "quire/space/options.hpp"
#include "quire/space/region.hpp"
#include "quire/space/region_set.hpp"

namespace quire {

// What is known about an address.
struct SpaceQuery {
    RegionInfo region;
    Translation translation;
};

// Room for records of regions.
struct RegionRecords {
    size_t total = 0;
    size_t free = 0;
};

// Not synchronised; nor is the page table, which changes only through here.
class SpaceCore {
  public:
    SpaceCore(const SpaceParts& parts, const PageRange& bounds, Span<unsigned char> first_nodes,
              NodeGrowth growth);
    SpaceCore(const SpaceCore&) = delete;
    SpaceCore& operator=(const SpaceCore&) = delete;

    // To be called before each operation that makes, unmaps or protects: grows the records while
    // there are enough for growing. When that fails, the operation may still do with what there is.
    void make_room();

    Result<PageRange> allocate(PageCount pages, const AllocateOptions& options);
    Result<PageRange> map(const FrameRange& frames, const MapOptions& options);
    Result<PageRange> reserve(PageCount pages, const AllocateOptions& options);
    Status commit(const PageRange& pages);
    Status decommit(const PageRange& pages);
    Status move(const PageRange& from, const PageRange& to);
    Status adopt(const PageRange& pages, const Attributes& attributes, const char* name);
    Status guard(const PageRange& pages, const char* name);
    Status unmap(const PageRange& pages);
    Status protect(const PageRange& pages, Protection protection);

    Result<SpaceQuery> query(VirtualAddress address) const;
    void for_each_region(FunctionRef<bool(const RegionInfo&)> visit) const;
    FaultOutcome fault(const Fault& fault);

    const PageRange& bounds() const { return regions_.bounds(); }
    size_t regions() const { return regions_.size(); }
    PageTable& table() { return table_; }
    const FaultCounters& fault_counters() const { return fault_counters_; }
    RegionRecords records() const { return {nodes_.total(), nodes_.available()}; }
    Status validate() const;

  private:
    // A region to be: all but where it will lie.
    struct Wanted {
        PageCount pages;
        Attributes attributes;
        Backing backing;
        const char* name;
        const Placement& placement;
        Frame first_frame = Frame(0);
    };
    // A population under way.
    struct Population {
        PageRange pages = {};
        Attributes attributes = {};
        FrameCount longest_run = {};  // of frames that are mapped by one call
        PageRange from = {};          // pages whose frames these are; none: frames are taken
        PageCount done = {};          // pages mapped, from the first one on
        FrameRange ready = {};        // frames in a row, cleared, not yet mapped
        bool has_ahead = false;       // one more, which does not follow them
        Frame ahead = Frame(0);
    };
    // A region that was.
    struct Departed {
        PageRange pages;
        const char* name = nullptr;
    };

    enum class Resolution : uint8_t { frame_given, stale_translation };

    // Memory types of frames that are shown twice (memory_types.cpp).
    Status check_memory_type(const FrameRange& frames, MemoryType type) const;
    Status check_direct_map(const FrameRange& frames, MemoryType type) const;

    // Making regions (make_region.cpp).
    Status check_wanted(const Wanted& wanted) const;
    Result<Page> place(const Wanted& wanted) const;
    Result<Region*> insert_region(const Wanted& wanted);
    void undo_insert_region(Region& region);
    Result<Region*> begin_region(const Wanted& wanted);
    Result<PageRange> end_region(Region& region, const Status& furnished);
    Result<PageRange> promise(const Wanted& wanted);
    Status check_expressible(const Region& region);
    Status check_nothing_mapped(const PageRange& pages) const;
    Status check_adoptable(const PageRange& pages, const Attributes& attributes) const;

    // Frames behind pages (populate.cpp).
    [[gnu::noinline]] Status populate();
    Status populate_page(Page page, const Attributes& attributes);
    [[gnu::noinline]] Status fill();
    [[gnu::noinline]] Status gather();
    [[gnu::noinline]] void gather_from_pages();
    void undo_gather() const;
    void undo_fill();
    Result<Frame> take_cleared_frame();
    void undo_take_frame(Frame frame) const;
    Region* reservation_of(const PageRange& pages) const;
    Status check_committable(const PageRange& pages) const;
    Status check_movable(const PageRange& from, const PageRange& to) const;

    // Changing what is there (unmap.cpp, protect.cpp).
    Status check_changeable(const PageRange& pages) const;
    Status check_unmappable(const PageRange& pages) const;
    Status unmap_runs(const PageRange& pages);
    [[gnu::noinline]] bool has_several_runs(const PageRange& pages) const;
    void remove_from_regions(const PageRange& pages);
    void remove_from_region(Region& region, const PageRange& pages);
    Status check_no_guard(const PageRange& pages) const;
    Status protect_mapped(const PageRange& pages, Protection protection);
    void undo_protect_mapped(const PageRange& pages, const Region& end);
    void set_protection(Region& region, const PageRange& pages, Protection protection);
    Region& split_at(Region& region, Page first_of_upper);
    void join_pieces(const PageRange& pages);

    // Records of regions (nodes.cpp).
    void add_node_page();
    Status want_nodes(size_t nodes) const;

    // Faults (fault.cpp).
    void look_up(VirtualAddress address, Translation& found) const;
    Result<Resolution> resolve(const Fault& fault, const Translation& translation);
    bool is_stuck(Page page);
    void fill_in(FaultReport& report) const;
    void remember_departed(const Region& region, const PageRange& pages);
    const Departed* departed_at(Page page) const;
    void changed() { spurious_in_a_row_ = 0; }

    // One change of the page table, spent.
    [[gnu::noinline]] Status change_map(const PageRange& pages, Frame first,
                                        const Attributes& attributes);
    [[gnu::noinline]] Status change_unmap(const PageRange& pages, UnmappedFrames frames);
    [[gnu::noinline]] Status change_split(const PageRange& pages);
    Status change_protect(const PageRange& pages, Protection protection);
    // For what cannot fail unless somebody broke the page table: panics when it did.
    void must(const Status& status, const char* what) const;

    static constexpr size_t departed_kept = 8;

    PageTable& table_;
    FrameSource frames_;
    FrameZeroer& zeroer_;
    TlbInvalidator& tlb_;
    Platform& platform_;
    AddressView view_;
    ShownFrames direct_map_;
    NodeGrowth growth_;
    RegionSet regions_;
    NodePool<Region> nodes_;
    uint64_t next_origin_ = 1;
    FaultCounters fault_counters_;
    Page spurious_page_;
    unsigned spurious_in_a_row_ = 0;
    Departed departed_[departed_kept];
    size_t next_departed_ = 0;
    // Operations exclude one another, so this can stand here and not on the stack, which in a
    // kernel is small.
    Population population_;
};

}  // namespace quire
