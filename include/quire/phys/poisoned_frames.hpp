// SPDX-License-Identifier: MIT
// Frames whose bytes are overwritten when they are given back and looked at when they are given out
// again: what was written in between was written by somebody who no longer owned them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/result.hpp"

namespace quire {

// In front of any source of single frames, for kernels that want it; who does not, does not pay.
// Only frames that came back through here are looked at when they go out: poison in the first or
// the last word tells them. Locking as the source's; the access's rules hold. O(page_size) each.
template <class Frames, FrameAccess Access>
class PoisonedFrames {
  public:
    static constexpr uint32_t poison = 0xdeadf00d;

    PoisonedFrames(Frames& frames, Access& access) : frames_(frames), access_(access) {}

    // As the source's, and Error::corrupted with the address of the first changed byte's word; that
    // frame then stays taken, for whoever looks into it.
    Result<Frame> allocate() {
        const Result<Frame> frame = frames_.allocate();
        if (!frame.ok()) return frame;
        auto opened = access_.open(*frame);
        if (!opened.ok()) {
            undo_allocate(*frame);
            return opened.failure();
        }
        uint32_t* const words = static_cast<uint32_t*>(opened.value().data());
        // Never poisoned, or overwritten at both ends, which looks the same.
        if (words[0] != poison && words[count - 1] != poison) return frame;
        for (size_t i = 0; i < count; ++i) {
            if (words[i] == poison) continue;
            return Failure{Error::corrupted, address_of(*frame).value() + i * sizeof(uint32_t)};
        }
        words[0] = words[count - 1] = 0;
        return frame;
    }
    // As the source's; also what the access fails with. Nothing changes then but the frame's bytes.
    Status free(Frame frame) {
        auto opened = access_.open(frame);
        if (!opened.ok()) return opened.failure();
        uint32_t* const words = static_cast<uint32_t*>(opened.value().data());
        for (size_t i = 0; i < count; ++i)
            words[i] = poison;
        return frames_.free(frame);
    }
    Result<Frame> allocate_frame() { return allocate(); }
    Status free_frame(Frame frame) { return free(frame); }

  private:
    static constexpr size_t count = page_size / sizeof(uint32_t);

    void undo_allocate(Frame frame) {
        if (!frames_.free(frame).ok()) trap();
    }

    Frames& frames_;
    Access& access_;
};

}  // namespace quire
