// SPDX-License-Identifier: MIT
// The series' blocks on Quire's frame allocator: memory is called free and used again piece by
// piece, in any order, which the allocator, started from a finished map, does not know.
//
// So the allocator is started on a map in which all memory is usable, and everything is taken at
// once. What is called free is given to it; what is called used is taken from it. BlockStates keeps
// apart who has what the allocator takes for given out. Not synchronised.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "block_states.hpp"
#include "quire/base/late.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_allocator.hpp"

namespace quire::series {

// Which blocks a request may have.
enum class Shown : uint8_t {
    first,  // those that the map shows before others, as long as tables keep a reserve
    last,   // others before those
};

class Blocks {
  public:
    static constexpr size_t room_alignment = 64;
    // Bytes of books for that much memory, at most.
    static constexpr size_t room_bytes(uint64_t memory_kib) {
        const uint64_t frames = frames_of(memory_kib);
        // One run from frame one or zero up, whose ends may lie inside a block; two ends of zones
        // cut it, each into one more section and block with a part of its frames on either side.
        const FrameLayout layout{
            .sections = 3, .blocks = frames / block_frames + 1 + 2, .masks = 2 + 4};
        return round_up(FrameCore::metadata_bytes(layout).value()) + BlockStates::bytes_for(frames);
    }

    constexpr Blocks() = default;
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;

    // All blocks are withheld. `shown_end`: the first frame that the map of tables does not show;
    // `reserve`: how many of those that it shows are left for tables while there are others.
    // Errors, nothing changed: in_use (started), no_usable_memory (less than two blocks),
    // misaligned, out_of_nodes (with the bytes wanted).
    Status start(uint64_t memory_kib, Span<unsigned char> room, Frame shown_end, uint64_t reserve);
    bool started() const { return states_.frames() != 0; }

    // Whole frames inside a region become free unless they are given out or kept. Errors:
    // zero_size, out_of_range. O(frames).
    Status make_free(const PhysicalRange& region);
    // All frames that a region touches are withheld; those given out are kept. Errors: as above.
    Status make_used(const PhysicalRange& region);
    // All frames that a region touches are kept, whoever has them. Errors: as above.
    Status keep(const PhysicalRange& region);
    // One frame, if nobody has it; for live page tables. Frames outside memory are passed over.
    void keep_unowned(Frame frame);

    // Error: out_of_frames.
    Result<Frame> allocate(Shown shown);
    // Frames that follow one another. Errors: out_of_frames, zero_size.
    Result<FrameRange> allocate_run(FrameCount count);
    // Errors: out_of_range, reserved, already_free, in_use (a table).
    Status check_free(const FrameRange& frames) const;
    // The same, and zero_size; nothing changed.
    Status free(const FrameRange& frames);
    // One that check_free has let pass. If it was freed meanwhile, it stays so.
    void free_checked(Frame frame);

    // A frame for a page table, and back. What was kept meanwhile stays with nobody.
    Result<Frame> allocate_table();
    void free_table(Frame frame);
    bool is_table(Frame frame) const { return state_is(frame, BlockState::table); }

    uint64_t memory_kib() const { return memory_kib_; }
    FrameCount count() const { return FrameCount(states_.frames()); }
    FrameCount free_count() const { return frames_.counters().free; }
    bool contains(Frame frame) const { return frame.value() < states_.frames(); }
    bool is_available(Frame frame) const { return state_is(frame, BlockState::available); }
    // Error::corrupted.
    Status validate() const;

  private:
    static constexpr uint64_t frames_of(uint64_t memory_kib) {
        const uint64_t frames = memory_kib >> (page_shift - 10);
        constexpr uint64_t most = uint64_t{1} << (32 - page_shift);
        return frames < most ? frames : most;
    }
    static constexpr size_t round_up(uint64_t bytes) {
        return static_cast<size_t>(bytes + room_alignment - 1) & ~(room_alignment - 1);
    }
    bool state_is(Frame frame, BlockState state) const {
        return contains(frame) && states_.of(frame.value()) == state;
    }
    [[gnu::noinline]] Status check_start(uint64_t memory_kib, Span<unsigned char> room);
    [[gnu::noinline]] Status make_map(uint64_t frames);
    [[gnu::noinline]] Status start_books(Span<unsigned char> room, Frame shown_end);
    [[gnu::noinline]] size_t allocator_bytes() const;
    [[gnu::noinline]] bool leaves_reserve(FrameCount count) const;
    Result<FrameRange> clip(const FrameRange& frames, PhysicalAddress asked) const;
    FrameRange equal_run(const FrameRange& frames) const;
    void set(const FrameRange& frames, BlockState state);

    MemoryMap map_;
    Late<BootFrames> boot_;
    BasicFrameAllocator<NoLock> frames_;
    BlockStates states_;
    uint64_t memory_kib_ = 0;
    uint64_t reserve_ = 0;
};

}  // namespace quire::series
