// SPDX-License-Identifier: MIT
// How many frames have been promised, taken or not: so that what is promised can be kept.
#pragma once

#include <stddef.h>

#include "quire/base/address.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/result.hpp"

namespace quire {

// Any context; lock-free. Knows nothing of frames but their number: a kernel commits before it
// promises memory (a region that is populated on demand, say) and takes it back with the promise.
class CommitAccount {
  public:
    // At most `limit` frames are promised at a time. A kernel that permits overcommitment says more
    // than it has.
    explicit CommitAccount(FrameCount limit) : limit_(static_cast<size_t>(limit.value())) {}

    // Error::out_of_frames, and no change, when that would be more than the limit. O(1).
    Status commit(FrameCount frames) {
        size_t now = committed_.load(MemoryOrder::relaxed);
        do {
            const bool too_many = now > limit() || frames.value() > limit() - now;
            if (too_many) return Failure{Error::out_of_frames, frames.value()};
        } while (!committed_.compare_exchange(now, now + static_cast<size_t>(frames.value())));
        return {};
    }
    // Error::bad_argument, and no change, when not so many are promised. O(1).
    Status uncommit(FrameCount frames) {
        size_t now = committed_.load(MemoryOrder::relaxed);
        do {
            if (frames.value() > now) return Failure{Error::bad_argument, frames.value()};
        } while (!committed_.compare_exchange(now, now - static_cast<size_t>(frames.value())));
        return {};
    }
    FrameCount committed() const { return FrameCount(committed_.load(MemoryOrder::relaxed)); }
    // May be set below what is promised: then nothing more is until enough was taken back.
    void set_limit(FrameCount limit) { limit_.store(static_cast<size_t>(limit.value())); }

  private:
    size_t limit() const { return limit_.load(MemoryOrder::relaxed); }

    Atomic<size_t> limit_;
    Atomic<size_t> committed_{0};
};

}  // namespace quire
