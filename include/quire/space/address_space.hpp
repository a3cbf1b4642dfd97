// SPDX-License-Identifier: MIT
// An address space: a page table, and the regions promised in it. The address-only interface: no
// caller ever sees a page-table entry.
//
//     auto pages = space.allocate(PageCount(4));          // memory, somewhere
//     auto registers = space.map(device_frames, {.attributes = {read_write, MemoryType::device}});
//     space.unmap(*pages);
//
// Every operation either does all it says or changes nothing (an operation that fails may have made
// room for records of regions before; and the page table may have split a large page, which maps
// what it mapped). Frames of anonymous memory belong to the space; frames that a caller gave to
// `map` stay the caller's.
//
// One lock a space, held throughout each operation. Lock order: heap, space, page table, zone of
// frames, platform: nothing here calls what stands to its left. Any context that may wait for the
// lock; when fault() can interrupt a holder on the same CPU, the lock must be one that keeps that
// away (the space itself never touches memory on demand).
#pragma once

#include "quire/base/lock.hpp"
#include "quire/space/space_core.hpp"

namespace quire {

template <Lockable L>
class BasicAddressSpace {
  public:
    using Query = SpaceQuery;

    // A space over `bounds`, inside the table's reach (it panics otherwise). `first_nodes` is raw
    // storage for the first records of regions, at least 8 * sizeof(Region); with
    // NodeGrowth::in_itself, more come from pages that the space allocates in itself before the
    // last ones are used (regions named "region nodes", which can be neither unmapped nor
    // protected). What the space holds when it is destroyed stays mapped: unmap it before.
    BasicAddressSpace(const SpaceParts& parts, const PageRange& bounds,
                      Span<unsigned char> first_nodes, NodeGrowth growth = NodeGrowth::in_itself)
        : core_(parts, bounds, first_nodes, growth) {}

    // Anonymous zeroed memory. Returns its pages, guards excluded. Errors: zero_size, misaligned
    // (alignment no power of two, or `at` not a multiple of it), out_of_range (fixed, and not
    // inside the bounds), out_of_address_space, already_mapped (fixed, and a region is there, with
    // the first address that is taken; or the table maps something that no region tells of),
    // out_of_frames, out_of_nodes, unsupported. O(log regions + pages).
    Result<PageRange> allocate(PageCount pages, const AllocateOptions& options = {}) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.allocate(pages, options);
    }

    // Shows given frames (a device, or RAM the caller owns). Errors: as allocate; out_of_range for
    // frames beyond the format's reach; in_use, with the physical address, for frames that have
    // another memory type already in the direct map or in another mapping of this space. What CPUs
    // have cached of frames that had another type before is the caller's to write back (x86:
    // WBINVD; SDM vol. 3A 12.12.4). O(log regions + pages), and looks at the mappings that are not
    // write-back; for one that is not, at all regions.
    Result<PageRange> map(const FrameRange& frames, const MapOptions& options = {}) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.map(frames, options);
    }

    // Sets address space aside with nothing behind it, for commit and decommit. Errors: as
    // allocate. O(log regions), and O(tables already in the range).
    Result<PageRange> reserve(PageCount pages, const AllocateOptions& options = {}) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.reserve(pages, options);
    }
    // Zeroed frames behind a part of a reservation where there are none; all or nothing. Errors:
    // zero_size, no_region (not wholly inside one reservation), already_mapped (with the first page
    // that is), out_of_frames. O(log regions + pages).
    Status commit(const PageRange& pages) {
        const LockGuard guard(lock_);
        return core_.commit(pages);
    }
    // Gives the frames behind a part of a reservation back; holes are passed over. Errors:
    // zero_size, no_region; never for want of frames, since reservations are mapped by single
    // pages. O(log regions + pages).
    Status decommit(const PageRange& pages) {
        const LockGuard guard(lock_);
        return core_.decommit(pages);
    }

    // Has the frames behind a part of a reservation lie behind as many pages of another, of any
    // reservation, where there are none; what they hold stays. Pages without a frame have none
    // there either. All or nothing. Errors: zero_size, no_region (not wholly inside one
    // reservation), already_mapped (with the first page that is), bad_argument (the two are not as
    // long as each other, or overlap), out_of_frames (for page tables). O(log regions + pages).
    Status move(const PageRange& from, const PageRange& to) {
        const LockGuard guard(lock_);
        return core_.move(from, to);
    }

    // Records pages that the table maps already (kernel image, direct map) as a region, so that the
    // space knows of them. Nothing is mapped or freed, now or by a later unmap. Errors: as allocate
    // with a fixed place; not_mapped and bad_argument, with the first page that the table does not
    // map, or maps with other attributes. O(log regions + entries).
    Status adopt(const PageRange& pages, const Attributes& attributes, const char* name) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.adopt(pages, attributes, name);
    }

    // Keeps pages empty, whose place says that an access there is a mistake: below a stack, in the
    // holes of a direct map. Faults there are reported as guard_hit. Errors: as allocate with a
    // fixed place. O(log regions).
    Status guard(const PageRange& pages, const char* name) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.guard(pages, name);
    }

    // Ends the regions, or the parts of regions, inside the range; anonymous frames are freed after
    // the TLBs have been flushed. Regions it cuts are split. Guards at an end that goes, go too.
    // Errors: zero_size, out_of_range, no_region (with the first page of the range that belongs to
    // none), in_use (the space's own nodes), out_of_nodes, out_of_frames (a large page is cut).
    // O(log regions + regions and pages in the range).
    Status unmap(const PageRange& pages) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.unmap(pages);
    }

    // Changes the protection of the regions, or parts, in the range. Pieces of one region that
    // become equal again are joined. Errors: as unmap, unsupported, guard_hit (with the first page
    // of a region that is a guard).
    Status protect(const PageRange& pages, Protection protection) {
        const LockGuard guard(lock_);
        core_.make_room();
        return core_.protect(pages, protection);
    }

    // Errors: out_of_range, no_region. O(log regions).
    Result<Query> query(VirtualAddress address) const {
        const LockGuard guard(lock_);
        return core_.query(address);
    }
    // In ascending order, until `visit` returns false. `visit` must not use the space.
    void for_each_region(FunctionRef<bool(const RegionInfo&)> visit) const {
        const LockGuard guard(lock_);
        core_.for_each_region(visit);
    }

    // To be called from the page-fault handler. Resolves demand faults, and faults that a stale
    // translation in the TLB caused, by flushing it; reports what cannot be resolved, changing
    // nothing. On out_of_frames it reports that. A CPU that keeps refusing what the page table
    // allows is reported in the end. O(log regions).
    FaultOutcome fault(const Fault& fault) {
        const LockGuard guard(lock_);
        return core_.fault(fault);
    }

    // Never changes; takes no lock.
    PageRange bounds() const { return core_.bounds(); }
    size_t regions() const {
        const LockGuard guard(lock_);
        return core_.regions();
    }
    RegionRecords records() const {
        const LockGuard guard(lock_);
        return core_.records();
    }
    FaultCounters fault_counters() const {
        const LockGuard guard(lock_);
        return core_.fault_counters();
    }
    // Changes to it behind the space's back are what validate() and fault() then complain of.
    PageTable& table() { return core_.table(); }
    // Regions disjoint, ordered, gaps right, and the table agrees with every region. Error:
    // corrupted, with the first address concerned. O(all).
    Status validate() const {
        const LockGuard guard(lock_);
        return core_.validate();
    }

  private:
    mutable L lock_;
    SpaceCore core_;
};

using AddressSpace = BasicAddressSpace<SpinLock>;

}  // namespace quire
