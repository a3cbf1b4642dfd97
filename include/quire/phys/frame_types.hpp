// SPDX-License-Identifier: MIT
// What requests for frames and answers about them are made of: zones, constraints, counters.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/range.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/block_bits.hpp"

namespace quire {

// Physical memory in bands, from scarce to plentiful. Requests name the best band they can use and
// fall back to scarcer ones. The bands may end at any frame, not only between blocks.
enum class Zone : uint8_t {
    dma,     // below 16 MiB and the direct map's limit: what old devices can reach
    direct,  // what the direct map shows (all the rest, when there is no limit)
    high,    // above the direct map
};
inline constexpr size_t zones = 3;
// "dma", "direct" or "high". Any context.
const char* to_string(Zone zone);

// The first frame that is above the dma zone, when the direct map reaches that far.
inline constexpr Frame dma_limit = frame_of(PhysicalAddress(uint64_t{16} << 20));

// Whether what will lie in the frames can be moved elsewhere later. The two kinds are kept apart: a
// block that has given out frames of one kind gives out others of that kind, as long as there are
// other blocks for the other. So what cannot be moved does not come to lie everywhere.
enum class Mobility : uint8_t { unmovable, movable };
inline constexpr size_t mobilities = 2;

// How far a request goes for frames: blocks in use for its mobility, then one that is free as a
// whole, which it breaks, then blocks in use for the other mobility.
enum class Reach : uint8_t { used_blocks, all_blocks };

// Which frames will do for a request. One word, as it is passed on deep in the stack.
struct Wanted {
    Zone zone;
    Mobility mobility;
    Reach reach;
};

// Whether a request may use the reserve that is kept for those who must not fail.
enum class Urgency : uint8_t { normal, urgent };

// A part of memory that is nearer to some CPUs than to others, by number.
using Node = uint8_t;
struct NodeRange {
    FrameRange frames;
    Node node = 0;
};
// Which memory belongs to which node. Memory that is in none of the ranges belongs to node 0.
struct FrameTopology {
    Span<const NodeRange> ranges;  // ascending, disjoint
    // nodes x nodes, row by row: the farther, the greater. Empty: all others are equally far.
    Span<const uint8_t> distances;

    unsigned nodes() const {
        unsigned count = 1;
        for (const NodeRange& range : ranges)
            if (range.node >= count) count = range.node + 1u;
        return count;
    }
};

// Conditions on a request beside its size.
struct FrameConstraints {
    Zone zone = Zone::high;  // the best zone to use; scarcer ones are fallen back to
    bool fallback = true;    // whether to
    Mobility mobility = Mobility::unmovable;
    Urgency urgency = Urgency::normal;
    Node node = 0;                          // the node to prefer; others follow by distance
    bool only_node = false;                 // whether no other will do
    Frame highest = Frame(Frame::highest);  // no frame of the run lies above this one
    FrameCount alignment = FrameCount(1);   // of the first frame's number; a power of two
    FrameCount boundary =
        FrameCount(0);  // the run crosses no multiple of this power of two; 0: any
};

// Frames given out are total - free.
struct ZoneCounters {
    FrameCount total;  // usable frames of the zone
    FrameCount free;
    friend constexpr bool operator==(const ZoneCounters&, const ZoneCounters&) = default;
};
struct FrameCounters {
    ZoneCounters zone[zones];
    FrameCount total;
    FrameCount free;
    const ZoneCounters& of(Zone which) const { return zone[static_cast<size_t>(which)]; }
    friend constexpr bool operator==(const FrameCounters&, const FrameCounters&) = default;
};

// How whole memory is.
struct FrameStatistics {
    FrameCount total;
    FrameCount free;
    uint64_t whole_blocks = 0;  // blocks (2 MiB) whose frames are all free

    // Of the free frames, how many in a thousand lie in blocks that are broken into: 0 is as good
    // as can be, 1000 means that no block can be given out.
    unsigned fragmentation() const {
        const uint64_t frames = free.value();
        if (frames == 0) return 0;
        uint64_t broken = frames - whole_blocks * block_frames;
        // Without a division of 64 bits: both fit in 22 bits after this, and the quotient hardly
        // changes.
        unsigned shift = 0;
        while (frames >> shift >= uint64_t{1} << 22)
            ++shift;
        broken >>= shift;
        return static_cast<unsigned>(static_cast<uint32_t>(broken) * 1000u /
                                     static_cast<uint32_t>(frames >> shift));
    }
};
// Of each order, how many holes are part of no larger one.
struct HoleHistogram {
    uint64_t holes[block_order + 1] = {};
};

// Free frames that are worth knowing of. All zero: nobody is told and nothing is kept back.
struct FrameWatermarks {
    FrameCount reserve = FrameCount(0);  // kept for urgent requests
    FrameCount low = FrameCount(0);      // fewer: pressure
    FrameCount high =
        FrameCount(0);  // at least so many again: the pressure is over; not below `low`
};

// Told when memory gets scarce and when it no longer is, once each time. Called without locks, by
// the CPU whose request or free passed the mark, in its context; it may free frames.
class FramePressure {
  public:
    virtual void on_pressure(FrameCount free) = 0;
    virtual void on_relief(FrameCount free) = 0;

  protected:
    ~FramePressure() = default;
};

// Kinds of memory that were RAM all along and may be released once nobody needs what they hold.
constexpr bool is_releasable(MemoryKind kind) {
    return kind == MemoryKind::acpi_reclaimable || kind == MemoryKind::boot_information ||
           kind == MemoryKind::module || kind == MemoryKind::kernel;
}

}  // namespace quire
