// SPDX-License-Identifier: MIT
#include "fault_cause.hpp"

namespace quire {
namespace {

// Whether two extents have no page between them.
bool touch(const RegionInfo& low, const RegionInfo& high) {
    return high.extent().first() - low.extent().last() == PageCount(1);
}

const char* cause_in_guard(const FaultReport& report) {
    const RegionInfo& region = report.region;
    if (region.backing == Backing::guard) {
        if (report.has_above && touch(region, report.above)) {
            return "stack overflow, or an index below zero, in the region above: this guard lies "
                   "right below it";
        }
        return "overrun, or a wild pointer: nothing is ever mapped in this guard";
    }
    if (page_of(report.fault.address) > region.pages.last()) {
        return "overrun: something ran past the end of this region, into the guard above it";
    }
    if (report.has_below && touch(report.below, region)) {
        return "stack overflow, or an index below zero, in this region; or an overrun of the "
               "region below, which ends where this guard begins";
    }
    return "stack overflow, or an index below zero: something ran out of this region at its low "
           "end, into the guard below it";
}

const char* cause_of_denial(const FaultReport& report) {
    const Fault& fault = report.fault;
    const Protection protection = report.region.attributes.protection;
    if (fault.user && !has(protection, Protection::user)) {
        return "user code reached for memory of the kernel";
    }
    if (fault.access == AccessKind::write) {
        return "a write to read-only memory: to a constant, to code, or to a page that was made "
               "read-only after it was filled";
    }
    if (fault.access == AccessKind::execute) {
        return "data was to be executed: a wild jump, a bad function pointer, or a return address "
               "that was overwritten";
    }
    return "a read of memory that nobody may read";
}

const char* cause_of_disagreement(const FaultReport& report) {
    const Translation& found = report.translation;
    if (found.state == EntryState::empty) {
        return "the page table maps nothing where this region has memory: it was changed behind "
               "the space's back, or overwritten";
    }
    if (found.state == EntryState::absent) {
        return "the page table holds a parked entry where this region has memory: it was changed "
               "behind the space's back, or overwritten";
    }
    const Protection right = report.fault.access == AccessKind::write     ? Protection::write
                             : report.fault.access == AccessKind::execute ? Protection::execute
                                                                          : Protection::read;
    const Protection wanted = report.fault.user ? right | Protection::user : right;
    if (has(found.attributes.protection, wanted)) {
        return "the page table allows this access, yet the CPU refuses it again and again: it runs "
               "on another table, or refuses for a reason that is not in the table's rights";
    }
    return "the page table grants less than this region promises: it was changed behind the "
           "space's back, or overwritten";
}

const char* cause_outside(const FaultReport& report, const PageRange& bounds) {
    const VirtualAddress address = report.fault.address;
    const Page page = page_of(address);
    if (address.value() < null_reach) {
        return "null pointer: the address is that of a member or an element of an object at zero";
    }
    if (report.had_region) {
        return "use after free: this memory belonged to a region that has been unmapped";
    }
    if (!bounds.contains(page)) {
        return "wild or uninitialised pointer: the address lies outside of all that this space "
               "covers";
    }
    if (report.has_below && page - report.below.pages.last() <= near_pages) {
        return "overrun: the address lies just past the end of the region below";
    }
    if (report.has_above && report.above.pages.first() - page <= near_pages) {
        return "stack overflow, or an index below zero: the address lies just before the region "
               "above";
    }
    return "wild or uninitialised pointer: no region is near";
}

}  // namespace

const char* likely_cause(const FaultReport& report, const PageRange& bounds) {
    switch (report.error) {
        case Error::no_region:
            return cause_outside(report, bounds);
        case Error::guard_hit:
            return cause_in_guard(report);
        case Error::access_denied:
            return cause_of_denial(report);
        case Error::corrupted:
            return cause_of_disagreement(report);
        case Error::not_mapped:
            return "nothing is committed here: the region only reserves addresses, and this part "
                   "never got memory, or gave it back";
        case Error::out_of_frames:
            return "out of memory: the region gets its frames on demand, and no frame was free";
        default:
            return "a frame on demand could not be cleared or mapped";
    }
}

}  // namespace quire
