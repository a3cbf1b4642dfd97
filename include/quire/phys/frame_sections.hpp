// SPDX-License-Identifier: MIT
// Which memory the frame allocator keeps books of, and where each frame's entry in them is.
//
// Books are kept of sections: stretches of memory without large holes, so that RAM at 0 and at
// 1 TiB costs nothing for what lies between. A section lies in one zone; where a zone ends inside a
// block, the block appears in both sections, in each without the other's frames.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/block_bits.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

// A run of blocks whose numbers follow one another, and the frames in them that are managed.
struct FrameSection {
    uint64_t first = 0;  // frames
    uint64_t last = 0;
    uint32_t first_block = 0;
    Zone zone = Zone::dma;
    Node node = 0;

    bool contains(uint64_t frame) const { return frame - first <= last - first; }
    // The number of the block that a frame of the section lies in.
    uint32_t block_of(uint64_t frame) const {
        return first_block + static_cast<uint32_t>((frame >> block_order) - (first >> block_order));
    }
    uint32_t blocks() const {
        return static_cast<uint32_t>((last >> block_order) - (first >> block_order)) + 1;
    }
    friend constexpr bool operator==(const FrameSection&, const FrameSection&) = default;
};

// Where zones end: the number of the first frame above each.
class ZoneEnds {
  public:
    constexpr ZoneEnds() : ZoneEnds(Frame(Frame::highest)) {}
    // `direct_limit` is the first frame that the direct map does not show.
    constexpr explicit ZoneEnds(Frame direct_limit)
        : end_{min(dma_limit, direct_limit).value(), direct_limit.value(), Frame::highest + 1} {}

    constexpr uint64_t first(Zone zone) const {
        return zone == Zone::dma ? 0 : end_[static_cast<size_t>(zone) - 1];
    }
    constexpr uint64_t end(Zone zone) const { return end_[static_cast<size_t>(zone)]; }
    constexpr Zone of(uint64_t frame) const {
        if (frame < end(Zone::dma)) return Zone::dma;
        return frame < end(Zone::direct) ? Zone::direct : Zone::high;
    }

  private:
    uint64_t end_[zones];
};

// Frames of one block that follow one another.
struct BlockPiece {
    static constexpr uint32_t outside = UINT32_MAX;

    uint32_t block = outside;  // or outside: these frames are in no section
    unsigned first = 0;        // position in the block
    uint64_t count = 0;        // at most block_frames unless outside
};

// How much the books of a map take at most, whatever the direct map's limit will be.
struct FrameLayout {
    uint64_t sections = 0;
    uint64_t blocks = 0;
    uint64_t masks = 0;  // blocks of which only a part is usable
};
// O(entries).
FrameLayout frame_layout(const MemoryMap& map, const FrameTopology& topology = {});

// A run of memory that the allocator keeps books of: usable, or of a kind that may be released.
struct ManagedRun {
    FrameRange frames;
    MemoryKind kind = MemoryKind::usable;
};

// The managed runs of a map, in ascending order. Releasable memory counts no further than 32 MiB
// outside the hull of what is usable: a firmware table that claims to fill a terabyte shall cost
// nothing. O(entries) for all.
class ManagedRuns {
  public:
    explicit ManagedRuns(const MemoryMap& map);
    // The next run; one without frames when there are no more.
    ManagedRun next();

  private:
    Span<const MemoryEntry> entries_;
    size_t index_ = 0;
    FrameRange window_;
};

// The table of sections, in ascending order. Reading is O(1) for the largest
// section and O(log sections) for others; there are 2 or 3.
class FrameSections {
  public:
    FrameSections() = default;
    // Fills `table`, which has room for frame_layout(map, topology).sections. Of a topology, the
    // ranges must stay. O(entries).
    FrameSections(const MemoryMap& map, const ZoneEnds& ends, Span<FrameSection> table,
                  const FrameTopology& topology = {});

    Span<const FrameSection> all() const { return table_; }
    uint32_t blocks() const;

    // The piece of `frames` that starts at its first frame: to the end of the block, the section,
    // or the hole between sections. `frames` must not be empty.
    BlockPiece piece(const FrameRange& frames) const;
    // The section that a frame lies in, or nullptr. Frames of the largest are found at once.
    const FrameSection* section_of(uint64_t frame) const {
        return main_.contains(frame) ? &main_ : search(frame);
    }
    // Whether a frame lies in the largest section, and if so, its number among the frames of all
    // blocks.
    bool in_main(uint64_t frame) const { return frame - main_.first <= main_span_; }
    uint64_t main_bit(uint64_t frame) const { return frame - main_shift_; }
    const FrameSection& section_of_block(uint32_t block) const {
        return block - main_.first_block < main_.blocks() ? main_ : search_block(block);
    }
    // The first frame of a block that belongs to its section.
    Frame first_frame(uint32_t block) const;
    // The frame at a position of a block.
    Frame frame(uint32_t block, unsigned position) const {
        const uint64_t in_largest = (uint64_t{block} << block_order) + position + main_shift_;
        if (in_main(in_largest)) return Frame(in_largest);
        const FrameSection& section = search_block(block);
        const uint64_t number = (section.first >> block_order) + (block - section.first_block);
        return Frame((number << block_order) + position);
    }
    // From the first frame of the first section to the last of the last; empty without sections.
    FrameRange hull() const;
    // Whether a frame lies in the hull.
    bool reach_to(uint64_t frame) const {
        return !table_.empty() && frame >= table_[0].first &&
               frame <= table_[table_.size() - 1].last;
    }
    // Whether the table still holds what it was filled with. O(entries).
    bool agrees_with(const MemoryMap& map, const ZoneEnds& ends) const;

  private:
    const FrameSection* search(uint64_t frame) const;
    const FrameSection& search_block(uint32_t block) const;

    Span<FrameSection> table_;
    // A copy of the largest, for quick answers; at first one that no frame is in.
    FrameSection main_{UINT64_MAX, UINT64_MAX};
    uint64_t main_span_ = 0;
    uint64_t main_shift_ = 0;
    Span<const NodeRange> nodes_;
};

}  // namespace quire
