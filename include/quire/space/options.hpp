// SPDX-License-Identifier: MIT
// What an address space stands on, and what its callers may ask for.
#pragma once

#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/range.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/frame_source.hpp"
#include "quire/paging/page_table.hpp"
#include "quire/paging/tlb.hpp"
#include "quire/platform.hpp"

namespace quire {

// Where a new region goes, and what surrounds it.
struct Placement {
    bool fixed = false;  // exactly at `at` (the first page after guard_before), or fail
    Page at = {};        // used when fixed
    PageCount alignment = PageCount(1);  // of the first page; a power of two
    PageCount guard_before = {};         // pages that belong to the region and are never mapped
    PageCount guard_after = {};
};

enum class Populate : uint8_t {
    at_once,    // frames are there when the call returns
    on_demand,  // frames come with the first access, through fault()
};

struct AllocateOptions {
    Protection protection = read_write | Protection::global;
    Populate populate = Populate::at_once;  // not looked at by reserve()
    Placement placement = {};
    const char* name = "anonymous";  // a string that outlives the space, which remembers it
};

struct MapOptions {
    Attributes attributes = {};
    Placement placement = {};
    const char* name = "mapping";  // as above
};

// Where the records of regions come from once the first ones are used up.
enum class NodeGrowth : uint8_t {
    in_itself,  // from pages that the space allocates in itself: the kernel's own space
    none,       // from nowhere: a space that the running code does not see
};

// RAM that the kernel sees all the time: its direct map. What a page table shows elsewhere of the
// same frames has the same memory type there, or the CPU's caches contradict one another (SDM vol.
// 3A 12.12.4).
struct ShownFrames {
    const PageTable* table = nullptr;  // that shows them; null: there is no direct map
    FrameRange frames;
    Page first;  // where the first of them is, or would be: there may be holes
};

// What an AddressSpace stands on. All of it must outlive the space.
struct SpaceParts {
    PageTable& table;
    // For anonymous memory. They are given back through the table (UnmappedFrames::release), so
    // this and the table's own source must be faces of the same allocator.
    FrameSource frames;
    FrameZeroer& zeroer;  // clears a frame before it is shown
    TlbInvalidator& tlb;
    Platform& platform;
    AddressView view = {};  // how the running code sees this space; NodeGrowth::in_itself only
    // Looked at by `map`, without another space's lock: the tables of these pages stay.
    ShownFrames direct_map = {};
};

}  // namespace quire
