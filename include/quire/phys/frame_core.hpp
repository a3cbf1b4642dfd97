// SPDX-License-Identifier: MIT
// The frame allocator without its lock. Use it through FrameAllocator (frame_allocator.hpp), where
// each operation's contract stands.
//
// A bitmap and a header for each block of 512 frames, blocks indexed by their largest hole and by
// how full they are (block_index.hpp). Requests that fit in a block and ask for no more than the
// alignment that a hole of their size has anyway are answered from the index; everything else by a
// walk over the free runs, block by block and word by word.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/block_bits.hpp"
#include "quire/phys/block_index.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_sections.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

class FrameCore {
  public:
    static Bytes metadata_bytes(const MemoryMap& map);

    FrameCore() = default;
    FrameCore(const FrameCore&) = delete;
    FrameCore& operator=(const FrameCore&) = delete;

    Status start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit);

    Result<Frame> allocate(Zone zone);
    Result<FrameRange> allocate_order(unsigned order, Zone zone);
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints);
    Status allocate_at(const FrameRange& frames);
    Status allocate_batch(Span<Frame> frames, Zone zone);

    Status free(Frame frame);
    Status free(const FrameRange& frames);
    Status free_batch(Span<const Frame> frames);
    Status release_reserved(const FrameRange& frames);

    bool is_free(Frame frame) const;
    Zone zone_of(Frame frame) const { return ends_.of(frame.value()); }
    FrameCounters counters() const;
    FrameCount largest_free_run() const;
    Status validate() const;

  private:
    // What a run of frames must be before an operation changes it.
    enum class Expect : uint8_t { given_out, free };
    // The frames that a search may use: from the first to below the end.
    struct Window {
        uint64_t first;
        uint64_t end;
    };
    struct Found {
        uint32_t block;
        Hole hole;
    };

    // frame_core.cpp: how the books come to be
    void place_books(const FrameLayout& layout, Span<unsigned char> metadata);
    void fill_bitmaps();
    void add_masks();
    void list_blocks();
    void take_given(Span<const FrameRange> given);

    // frame_pieces.cpp: runs, piece by piece
    Status check(const FrameRange& frames, Expect expected) const;
    Failure refusal(const BlockPiece& piece, uint64_t frame, Expect expected) const;
    unsigned next_reserved(uint32_t block, unsigned from) const;
    unsigned next_usable(uint32_t block, unsigned from) const;
    void take(const FrameRange& frames);
    void give(const FrameRange& frames);
    void take_piece(uint32_t block, unsigned first, unsigned count, unsigned hole_order);
    void give_piece(uint32_t block, unsigned first, unsigned count);
    void file(uint32_t block, unsigned free, unsigned largest);

    // frame_allocate.cpp: where frames are taken from
    bool find_hole(unsigned order, Zone zone, Found& found) const;
    FrameRange take_from_hole(const Found& found, FrameCount count);
    FrameRange search(FrameCount count, const FrameConstraints& constraints,
                      const Window& window) const;
    Window window_of(Zone lowest, const FrameConstraints& constraints) const;
    bool lies_below(Zone zone, Frame highest) const;
    FrameCount free_frames(Zone zone) const { return counters_[static_cast<size_t>(zone)].free; }

    // frame_free.cpp: how they come back
    void undo_frees(Span<const Frame> frames);
    Status check_releasable(const FrameRange& frames) const;

    // frame_validate.cpp
    Status check_block(const FrameSection& section, uint32_t block, ZoneCounters& sums) const;
    Status check_usable() const;
    Status check_index() const;
    FrameCount usable_of(const FrameRange& run) const;
    Failure corrupted(uint32_t block) const;

    const MemoryMap* map_ = nullptr;  // set by start
    ZoneEnds ends_;
    FrameSections sections_;
    Span<BlockHeader> headers_;
    Span<BlockBits> bits_;   // set: free
    Span<BlockBits> masks_;  // set: usable, free or not; one for each block usable in part
    uint32_t masks_used_ = 0;
    ZoneCounters counters_[zones];
    FrameCount released_;
    BlockIndex index_[zones];
};

}  // namespace quire
