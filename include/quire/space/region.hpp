// SPDX-License-Identifier: MIT
// A region: a run of pages with one backing and one protection.
#pragma once

#include <stdint.h>

#include "quire/base/intrusive_list.hpp"
#include "quire/base/intrusive_tree.hpp"
#include "quire/base/range.hpp"
#include "quire/paging/attributes.hpp"

namespace quire {

enum class Backing : uint8_t {
    anonymous,  // frames of the space's own, all there
    on_demand,  // frames of the space's own, as accesses need them
    reserved,   // nothing, or frames of the space's own where committed
    frames,     // given frames that follow one another
    adopted,    // mapped by others before the space knew of it
    guard,      // nothing, for ever
};
const char* to_string(Backing backing);

// What the space tells about a region; a copy.
struct RegionInfo {
    PageRange pages;         // guards excluded
    PageCount guard_before;  // pages that belong to the region and are never mapped
    PageCount guard_after;
    Attributes attributes;
    Backing backing = Backing::anonymous;
    Frame first_frame;  // Backing::frames only
    const char* name = "";

    // Guards included.
    constexpr PageRange extent() const {
        return PageRange(pages.first() - guard_before, guard_before + pages.count() + guard_after);
    }
};

// The largest gap below any region of a subtree.
struct LargestGap {
    PageCount pages;
    friend constexpr bool operator==(const LargestGap&, const LargestGap&) = default;
};

// A space's record of a region: what it tells, and its place among the others. Users see it only to
// know how large it is.
struct Region : RegionInfo {
    PageCount gap_below;  // free pages between this extent and the one below, or the bounds' start
    uint64_t origin = 0;  // which creation it comes from; the pieces of a cut region share it
    bool pinned = false;  // the space needs it itself: neither unmapped nor protected
    TreeLink<Region, LargestGap> link;
    ListLink<Region> special_link;  // among those that show frames, and not as write-back
};

}  // namespace quire
