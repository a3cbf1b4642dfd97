// SPDX-License-Identifier: MIT
// Two words for each frame: who uses it, and how many do. For kernels that share frames; others pay
// nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/base/traits.hpp"

namespace quire {

// What is known of a frame that is in use.
struct FrameWord {
    Atomic<uint32_t> references{0};
    Atomic<uint32_t> owner{0};  // the kernel's own: what it is for, or who maps it
};
static_assert(sizeof(FrameWord) == 8);

// The words of a run of frames, and frames that are given back with their last reference. `Frames`
// is a FrameAllocator or PerCpuFrames. All operations are lock-free but for what `Frames` does; any
// context that it permits. A frame freed once too often is noticed whoever does it, and at once.
template <class Frames>
class CountedFrames {
  public:
    // Bytes of words for so many frames.
    static constexpr Bytes metadata_bytes(FrameCount frames) {
        return Bytes(sizeof(FrameWord)) * frames.value();
    }
    // Frames outside `covered` are refused. `memory` must have metadata_bytes(covered.count())
    // bytes that are zero, aligned to 8, and stays in use. Traps when it is too small.
    CountedFrames(Frames& frames, const FrameRange& covered, Span<unsigned char> memory)
        : frames_(frames), covered_(covered) {
        if (memory.size() < metadata_bytes(covered.count()).value()) trap();
        words_ = reinterpret_cast<FrameWord*>(memory.data());
    }

    // A frame with one reference. As the allocator's errors; Error::foreign when the frame has no
    // word, and Error::corrupted when it was still referenced: it is given back, or left alone.
    Result<Frame> allocate(uint32_t owner = 0) {
        const Result<Frame> frame = frames_.allocate();
        if (!frame.ok()) return frame;
        FrameWord* const word = find(*frame);
        if (word == nullptr) {
            undo_allocate(*frame);
            return Failure{Error::foreign, frame->value()};
        }
        uint32_t none = 0;
        const bool unused = word->references.compare_exchange(none, 1);
        if (!unused) return Failure{Error::corrupted, frame->value()};
        word->owner.store(owner, MemoryOrder::relaxed);
        return frame;
    }
    // One reference more. Errors, and no change: foreign, already_free (it has none: it is
    // nobody's), too_many.
    Status hold(Frame frame) {
        FrameWord* const word = find(frame);
        if (word == nullptr) return Failure{Error::foreign, frame.value()};
        uint32_t now = word->references.load(MemoryOrder::relaxed);
        do {
            if (now == 0) return Failure{Error::already_free, frame.value()};
            if (now == UINT32_MAX) return Failure{Error::too_many, frame.value()};
        } while (!word->references.compare_exchange(now, now + 1));
        return {};
    }
    // One reference less; with the last one the frame is given back. Errors, and no change:
    // foreign, already_free. As the allocator's, after which the frame has no reference.
    Status drop(Frame frame) {
        FrameWord* const word = find(frame);
        if (word == nullptr) return Failure{Error::foreign, frame.value()};
        uint32_t now = word->references.load(MemoryOrder::relaxed);
        do {
            if (now == 0) return Failure{Error::already_free, frame.value()};
        } while (!word->references.compare_exchange(now, now - 1));
        return now == 1 ? frames_.free(frame) : Status();
    }
    // How many references a frame has, and its owner; 0 for frames without a word.
    uint32_t references(Frame frame) const {
        const FrameWord* const word = find(frame);
        return word == nullptr ? 0 : word->references.load();
    }
    uint32_t owner(Frame frame) const {
        const FrameWord* const word = find(frame);
        return word == nullptr ? 0 : word->owner.load();
    }
    // By whoever holds a reference. Error::foreign.
    Status set_owner(Frame frame, uint32_t owner) {
        FrameWord* const word = find(frame);
        if (word == nullptr) return Failure{Error::foreign, frame.value()};
        word->owner.store(owner);
        return {};
    }

    Result<Frame> allocate_frame() { return allocate(); }
    Status free_frame(Frame frame) { return drop(frame); }

  private:
    FrameWord* find(Frame frame) const {
        if (!covered_.contains(frame)) return nullptr;
        return words_ + static_cast<size_t>((frame - covered_.first()).value());
    }
    void undo_allocate(Frame frame) {
        if (!frames_.free(frame).ok()) trap();
    }

    Frames& frames_;
    FrameRange covered_;
    FrameWord* words_ = nullptr;
};

}  // namespace quire
