// SPDX-License-Identifier: MIT
// An address space: a page table, and the regions promised in it. The address-only interface: no
// caller ever sees a page-table entry.
//
// Every operation either does all it says or changes nothing. Frames of anonymous memory belong to
// the space; frames that a caller gave to `map` stay the caller's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/function_ref.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/node_pool.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/page_table.hpp"
#include "quire/paging/tlb.hpp"
#include "quire/platform.hpp"
#include "quire/space/fault.hpp"
#include "quire/space/region.hpp"

namespace quire {

// Where a new region goes, and what surrounds it.
struct Placement {
    bool fixed = false;           // exactly at `at` (the first page after guard_before), or fail
    Page at;                      // used when fixed
    PageCount alignment = PageCount(1);  // of the first page; a power of two
    PageCount guard_before;       // pages that belong to the region and are never mapped
    PageCount guard_after;
};

enum class Populate : uint8_t {
    at_once,    // frames are there when the call returns
    on_demand,  // frames come with the first access, through fault()
};

struct AllocateOptions {
    Protection protection = read_write | Protection::global;
    Populate populate = Populate::at_once;
    Placement placement;
    const char* name = "anonymous";  // a string that outlives the region
};

struct MapOptions {
    Attributes attributes;
    Placement placement;
    const char* name = "mapping";
};

// What an AddressSpace stands on. All of it must outlive the space.
struct SpaceParts {
    PageTable& table;
    FrameSource frames;       // for anonymous memory
    FrameZeroer& zeroer;      // clears a frame before it is shown
    TlbInvalidator& tlb;
    Platform& platform;
};

template <Lockable L>
class BasicAddressSpace {
  public:
    // A space over `bounds`, inside the table's reach. `first_nodes` is raw storage for the first
    // region nodes (at least 8 * sizeof(Region)); when `self_hosting`, further nodes come from pages
    // that the space allocates in itself (the kernel's own space; regions named "region nodes").
    BasicAddressSpace(const SpaceParts& parts, const PageRange& bounds,
                      Span<unsigned char> first_nodes);
    ~BasicAddressSpace() = default;

    // Anonymous zeroed memory. Returns its pages, guards excluded. Errors: zero_size, misaligned
    // (alignment no power of two, or `at` not a multiple of it), out_of_range, out_of_address_space,
    // already_mapped (fixed, and a region is there), out_of_frames, out_of_nodes, unsupported.
    // O(log regions + pages).
    Result<PageRange> allocate(PageCount pages, const AllocateOptions& options = {});

    // Shows given frames (a device, or RAM the caller owns). Errors: as allocate.
    Result<PageRange> map(const FrameRange& frames, const MapOptions& options = {});

    // Sets address space aside with nothing behind it, for commit and decommit. Errors: as allocate.
    Result<PageRange> reserve(PageCount pages, const AllocateOptions& options = {});
    // Zeroed frames behind a part of a reservation where there are none; all or nothing. Errors:
    // no_region (not wholly inside one reservation), already_mapped, out_of_frames.
    Status commit(const PageRange& pages);
    // Gives the frames behind a part of a reservation back; holes are passed over. Errors: no_region,
    // out_of_frames (never: reservations are mapped by single pages unless they say otherwise).
    Status decommit(const PageRange& pages);

    // Records pages that the table maps already (kernel image, direct map) as a region, so that the
    // space knows of them. Nothing is mapped or freed. Errors: as allocate with a fixed place.
    Status adopt(const PageRange& pages, const Attributes& attributes, const char* name);

    // Ends the regions, or the parts of regions, inside the range; anonymous frames are freed after
    // the TLBs have been flushed. Regions it cuts are split. Guards at an end that goes, go too.
    // Errors: zero_size, out_of_range, no_region (the first page of the range that belongs to none),
    // out_of_nodes, out_of_frames.
    Status unmap(const PageRange& pages);

    // Changes the protection of the regions, or parts, in the range. Errors: as unmap, unsupported.
    Status protect(const PageRange& pages, Protection protection);

    struct Query {
        RegionInfo region;
        Translation translation;
    };
    // Errors: out_of_range, no_region. O(log regions).
    Result<Query> query(VirtualAddress address) const;
    // In ascending order, until `visit` returns false. `visit` must not change the space.
    void for_each_region(FunctionRef<bool(const RegionInfo&)> visit) const;

    // To be called from the page-fault handler. Resolves demand faults; reports what cannot be
    // resolved, changing nothing. On out_of_frames it reports that. O(log regions).
    FaultOutcome fault(const Fault& fault);

    PageRange bounds() const;
    size_t regions() const;
    PageTable& table();
    // Regions disjoint, ordered, gaps right, and the table agrees with every region. O(all).
    Status validate() const;
};

using AddressSpace = BasicAddressSpace<SpinLock>;

}  // namespace quire
