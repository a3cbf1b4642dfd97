// SPDX-License-Identifier: MIT
// Where page tables get their frames from.
#pragma once

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"

namespace quire {

// Anything with `Result<Frame> allocate_frame()` and `Status free_frame(Frame)`, erased: two words
// that refer to the source and do not own it. Called once a table, so that a table born on
// BootFrames moves to FrameAllocator unchanged (see PageTable::set_frame_source).
class FrameSource {
  public:
    template <class Source>
        requires(!same_as<remove_const_reference<Source>, FrameSource>)
    constexpr FrameSource(Source& source) : source_(&source), calls_(&calls_for<Source>) {}

    Result<Frame> allocate_frame() const { return calls_->allocate(source_); }
    // Fails as the source does when it never gave the frame out or has it back already.
    Status free_frame(Frame frame) const { return calls_->free(source_, frame); }

  private:
    struct Calls {
        Result<Frame> (*allocate)(void*);
        Status (*free)(void*, Frame);
    };
    template <class Source>
    static constexpr Calls calls_for{
        [](void* source) { return static_cast<Source*>(source)->allocate_frame(); },
        [](void* source, Frame frame) { return static_cast<Source*>(source)->free_frame(frame); }};

    void* source_;
    const Calls* calls_;
};

}  // namespace quire
