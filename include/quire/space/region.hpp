// SPDX-License-Identifier: MIT
// A region: a run of pages with one backing and one protection.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/paging/attributes.hpp"

namespace quire {

enum class Backing : uint8_t {
    anonymous,  // frames of the space's own, all there
    on_demand,  // frames of the space's own, as accesses need them
    reserved,   // nothing, or frames of the space's own where committed
    frames,     // given frames that follow one another
    adopted,    // mapped by others before the space knew of it
};
const char* to_string(Backing backing);

// What the space tells about a region; a copy.
struct RegionInfo {
    PageRange pages;  // guards excluded
    PageCount guard_before;
    PageCount guard_after;
    Attributes attributes;
    Backing backing = Backing::anonymous;
    Frame first_frame;  // Backing::frames only
    const char* name = "";
};

}  // namespace quire
