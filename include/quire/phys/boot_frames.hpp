// SPDX-License-Identifier: MIT
// Frames for the first minutes: handed out by bumping down from the top of what is usable, before
// there is memory to keep books in.
#pragma once

#include <stddef.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"

namespace quire {

// Not synchronised: there is one CPU. Holds a reference to the map, which must outlive it. What it
// gave out is carried over when FrameAllocator starts.
class BootFrames {
  public:
    // Hands out usable frames of `map` that lie inside `reachable` (for a kernel whose boot mapping
    // shows only part of memory; pass the hull for all), the highest first, so that scarce low
    // memory stays free.
    BootFrames(const MemoryMap& map, const FrameRange& reachable);

    // Error::out_of_frames, and no change, when none is left. Amortised O(1).
    Result<Frame> allocate_frame();
    // `count` frames that follow one another. Frames skipped on the way to a run that is long
    // enough stay available for single frames only as far as `skipped` room allows; otherwise they
    // go to FrameAllocator as free. Error::zero_size, Error::out_of_frames; no change.
    Result<FrameRange> allocate_run(FrameCount count);
    // Gives back what was allocated here. Error::foreign or Error::already_free when it is not;
    // then nothing changes. A frame is available again at once. O(runs given out).
    Status free_frame(Frame frame);

    // Every frame given out and not given back, as ascending or descending disjoint runs.
    Span<const FrameRange> given() const;
    FrameCount given_frames() const;
    const MemoryMap& map() const { return map_; }

    // After this, nothing more is given out or taken back: the frames have another owner.
    void close();

  private:
    const MemoryMap& map_;
    // (the implementation's state: a fixed number of runs; allocation fails with Error::too_many
    // rather than lose track)
};

}  // namespace quire
