// SPDX-License-Identifier: MIT
// The frames that one CPU keeps at hand. Touched by that CPU alone, but for the request that others
// leave.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/frame_mask.hpp"

namespace quire {

// When a frame that was given back is given out again.
enum class Reuse : uint8_t {
    // When others have been. Frees are collected, whatever is asked for meanwhile, and go back to
    // their blocks a batch at a time, but for those of blocks that the next batch would be taken
    // from: memory stays whole, and use after free is noticed more often.
    delayed,
    // At once, the last one first: the fastest, since its lines are still in the cache. What a CPU
    // frees and asks for in turn never gets back to the blocks.
    at_once,
};

// How full a magazine may be, as its owner sees it at each operation. Others ask for what a CPU has
// by making that zero: so both are seen by one comparison.
class MagazineLimit {
  public:
    explicit MagazineLimit(size_t frames) : limit_(frames) {}

    // Whether the owner may go on with the n-th frame, counted from 0.
    bool permits(size_t n) const { return n < limit_.load(MemoryOrder::relaxed); }
    bool asked() const { return limit_.load(MemoryOrder::acquire) == 0; }
    void ask() { limit_.store(0, MemoryOrder::release); }
    // By the owner, when all has been given back.
    void answer(size_t frames) { limit_.store(frames, MemoryOrder::release); }

  private:
    Atomic<size_t> limit_;
};

// The lowest last, so that frames are given out in ascending order.
inline void reverse(Frame* frames, size_t count) {
    for (size_t i = 0; i < count / 2; ++i) {
        const Frame other = frames[i];
        frames[i] = frames[count - 1 - i];
        frames[count - 1 - i] = other;
    }
}

// Frames on their way out and frames on their way back, apart.
template <size_t batch>
class DelayedMagazines {
  public:
    static constexpr size_t capacity = batch;

    // False when there is none, or the limit does not permit it.
    bool take(const MagazineLimit& limit, Frame& frame) {
        const size_t n = next_;
        if (!limit.permits(n)) return false;
        frame = out_[n];
        next_ = n + 1;
        return true;
    }
    // Where a refill is written when there is none, and that so many were.
    Span<Frame> room() { return out_; }
    void refilled(size_t frames) {
        next_ = batch - frames;
        if (next_ != 0) __builtin_memmove(out_ + next_, out_, frames * sizeof(Frame));
    }
    bool none_waits() const { return next_ == batch; }
    // Of those on their way back, those that nobody has looked at; and that all have been, and so
    // many of them moved to the front of the room.
    Span<Frame> unjudged() { return {back_ + judged_, returned_ - judged_}; }
    void judged(size_t moved) { judged_ = returned_ -= moved; }

    // False when there is no room, or the limit does not permit it.
    bool put(const MagazineLimit& limit, Frame frame) {
        const size_t n = returned_;
        if (!limit.permits(n)) return false;
        back_[n] = frame;
        returned_ = n + 1;
        return true;
    }
    // What goes back to the blocks when there is no room, and that so many of it went.
    Span<Frame> surplus() { return {back_, returned_}; }
    Span<const Frame> returned() const { return {back_, returned_}; }
    void drop_surplus(size_t gone) {
        returned_ -= gone;
        judged_ -= judged_ < gone ? judged_ : gone;
        __builtin_memmove(back_, back_ + gone, returned_ * sizeof(Frame));
    }
    // What else there is, and that it went.
    Span<const Frame> rest() const { return {out_ + next_, batch - next_}; }
    void drop_rest() { next_ = batch; }

  private:
    size_t next_ = batch;  // of those on their way out
    size_t returned_ = 0;
    size_t judged_ = 0;  // so many of these, the oldest
    Frame out_[batch];
    Frame back_[batch];
};

// One stack for both.
template <size_t batch>
class StackMagazine {
  public:
    static constexpr size_t capacity = 2 * batch;

    bool take(const MagazineLimit& limit, Frame& frame) {
        const size_t n = count_ - 1;
        if (!limit.permits(n)) return false;
        count_ = n;
        frame = frames_[n];
        return true;
    }
    Span<Frame> room() { return Span<Frame>(frames_, batch); }
    void refilled(size_t frames) {
        count_ = frames;
        reverse(frames_, count_);
    }

    bool put(const MagazineLimit& limit, Frame frame) {
        const size_t n = count_;
        if (!limit.permits(n)) return false;
        frames_[n] = frame;
        count_ = n + 1;
        return true;
    }
    // The oldest half, at most.
    Span<Frame> surplus() { return {frames_, count_ < batch ? count_ : batch}; }
    void drop_surplus(size_t gone) {
        count_ -= gone;
        for (size_t i = 0; i < count_; ++i)
            frames_[i] = frames_[i + gone];
    }
    Span<const Frame> rest() const { return {frames_, count_}; }
    void drop_rest() { count_ = 0; }

  private:
    size_t count_ = 0;
    Frame frames_[2 * batch];
};

// Which frames lie in the magazines and which were given out from there, roughly: a frame that is
// said to be here is worth looking for, and most that are here are said to be. Notices a second
// free of a frame for the price of a comparison, and knows the first one for the same.
class RecentFrames {
  public:
    bool is_given_out(Frame frame) const { return frames_[place(frame)] == low_part(frame); }
    bool is_here(Frame frame) const { return frames_[place(frame)] == ~low_part(frame); }
    // Whatever else was remembered in a frame's place is forgotten.
    void went(Frame frame) { frames_[place(frame)] = low_part(frame); }
    void came(Frame frame) { frames_[place(frame)] = ~low_part(frame); }

  private:
    static constexpr size_t places = 256;
    static constexpr size_t place(Frame frame) {
        return static_cast<size_t>(frame.value()) % places;
    }
    static constexpr uint32_t low_part(Frame frame) { return static_cast<uint32_t>(frame.value()); }

    uint32_t frames_[places] = {1};  // of frame 0 nothing is known either
};

template <Reuse reuse, size_t batch>
struct MagazinesFor {
    using Type = DelayedMagazines<batch>;
};
template <size_t batch>
struct MagazinesFor<Reuse::at_once, batch> {
    using Type = StackMagazine<batch>;
};

// All that a CPU has.
template <Reuse reuse, size_t batch>
struct FrameMagazines {
    using Magazines = typename MagazinesFor<reuse, batch>::Type;

    MagazineLimit limit{Magazines::capacity};
    uint32_t home = 0;
    Magazines frames;
    size_t refused = 0;  // frames that turned out not to be given out when they went back
    RecentFrames recent;
    FrameMask near;  // of one word, the frames given out since this CPU last gave back any
};

}  // namespace quire
