// SPDX-License-Identifier: MIT
// Frames for the first minutes: handed out from the top of what is usable downward, before there is
// memory to keep books in.
#pragma once

#include <stddef.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"

namespace quire {

// Remembers what it gave out, as runs: frames given out one after the other follow one another and
// make one run, so that a few dozen runs are plenty. Whatever is in no run is free.
//
// Not synchronised: there is one CPU. Holds a reference to the map, which must outlive it. What it
// gave out is carried over when FrameAllocator starts.
class BootFrames {
  public:
    // Runs that can be given out at a time. A run ends where a hole of the map or a frame given
    // back interrupts it.
    static constexpr size_t capacity = 64;

    // Hands out usable frames of `map` that lie inside `reachable` (for a kernel whose boot mapping
    // shows only part of memory; pass the hull for all), the highest first, so that scarce low
    // memory stays free.
    BootFrames(const MemoryMap& map, const FrameRange& reachable);

    // The highest free frame. Error::out_of_frames when none is left, Error::too_many when it would
    // need a run more than can be remembered; no change then. O(map entries + runs).
    Result<Frame> allocate_frame() { return take_highest(FrameCount(1)); }
    // The same, but not above `highest`.
    Result<Frame> allocate_frame_up_to(Frame highest);
    // `count` frames that follow one another, as high as possible. Free frames above stay
    // available. Error::zero_size, and as allocate_frame; no change then. O(map entries + runs).
    Result<FrameRange> allocate_run(FrameCount count);
    // Gives back a frame of either. It is available again at once. Errors, and no change:
    // foreign, when it is no frame that could have been given out here; already_free;
    // too_many, when it splits a run and no more can be remembered. O(runs).
    Status free_frame(Frame frame);

    // Every frame given out and not given back, as descending disjoint runs.
    Span<const FrameRange> given() const { return {given_, runs_}; }
    FrameCount given_frames() const;
    const MemoryMap& map() const { return map_; }

    // After this, nothing more is given out (out_of_frames) or taken back (foreign): the frames
    // have another owner.
    void close() { closed_ = true; }
    bool closed() const { return closed_; }

  private:
    // A free run: its last frame, and the first of the given runs that lies below it.
    struct Gap {
        bool found = false;
        Frame last;
        size_t run_below = 0;
    };
    Result<Frame> take_highest(FrameCount count);
    Gap highest_gap(FrameCount count) const;
    bool give(const FrameRange& run, size_t below);
    [[gnu::noinline]] Status remove_frame(size_t at, Frame frame);
    void insert_run(size_t at, const FrameRange& run);
    void remove_run(size_t at);

    const MemoryMap& map_;
    FrameRange reachable_;
    FrameRange given_[capacity];  // descending
    size_t runs_ = 0;
    bool closed_ = false;
};

}  // namespace quire
