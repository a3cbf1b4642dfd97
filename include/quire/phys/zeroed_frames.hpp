// SPDX-License-Identifier: MIT
// Frames filled with zero bytes, some of them ahead of time: by a CPU that has nothing else to do.
#pragma once

#include <stddef.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/result.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

// A pool of at most `capacity` frames that are clear already. `Frames` is a FrameAllocator or
// PerCpuFrames, and outlives this object; so does `zeroer`. Frames in the pool count as given out.
template <class Frames, Lockable L, size_t capacity = 64>
class ZeroedFrames {
  public:
    ZeroedFrames(Frames& frames, FrameZeroer& zeroer) : frames_(frames), zeroer_(zeroer) {}
    ZeroedFrames(const ZeroedFrames&) = delete;
    ZeroedFrames& operator=(const ZeroedFrames&) = delete;

    // A frame of zero bytes: from the pool, or cleared now. Error::out_of_frames, and what clearing
    // fails with; no change then. O(1) from the pool, O(page_size) otherwise.
    Result<Frame> allocate() {
        Frame frame;
        if (take(frame)) return frame;
        return make();
    }
    // Clears one more frame for the pool: for an idle loop, which calls it as long as it says true.
    // False when the pool is full, frames run out, or clearing fails. O(page_size).
    bool prepare_one() {
        if (is_full()) return false;
        const Result<Frame> frame = make();
        if (!frame.ok()) return false;
        if (put(*frame)) return true;
        roll_back_make(*frame);
        return false;
    }
    // Gives all of the pool back: when frames are scarce. How many. O(capacity).
    size_t drain() {
        size_t drained = 0;
        for (Frame frame; take(frame); ++drained)
            roll_back_make(frame);
        return drained;
    }
    size_t ready() const {
        LockGuard guard(lock_);
        return count_;
    }

  private:
    bool take(Frame& frame) {
        LockGuard guard(lock_);
        if (count_ == 0) return false;
        frame = pool_[--count_];
        return true;
    }
    bool put(Frame frame) {
        LockGuard guard(lock_);
        if (count_ == capacity) return false;
        pool_[count_++] = frame;
        return true;
    }
    bool is_full() const { return ready() == capacity; }
    Result<Frame> make() {
        const Result<Frame> frame = frames_.allocate();
        if (!frame.ok()) return frame;
        const Status zeroed = zeroer_.zero(*frame);
        if (zeroed.ok()) return frame;
        roll_back_make(*frame);
        return zeroed.failure();
    }
    // What was given out a moment ago can be given back.
    void roll_back_make(Frame frame) {
        if (!frames_.free(frame).ok()) trap();
    }

    Frames& frames_;
    FrameZeroer& zeroer_;
    mutable L lock_;
    size_t count_ = 0;
    Frame pool_[capacity];
};

}  // namespace quire
