// SPDX-License-Identifier: MIT
// Where page tables get their frames from.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"

namespace quire {

// A word for each of a run of frames. The value of a frame's word is the page table's while it has
// the frame as a table, and nobody's otherwise: nothing needs to be cleared.
struct TableWords {
    FrameRange frames;
    uint16_t* words = nullptr;  // as many

    // Null for a frame that has none. O(1).
    uint16_t* word_of(Frame frame) const {
        const uint64_t number = frame.value() - frames.first().value();
        return number < frames.count().value() ? words + number : nullptr;
    }
};

// Anything with `Result<Frame> allocate_frame()` and `Status free_frame(Frame)`, erased: two words
// that refer to the source and do not own it. Called once a table, so that a table born on
// BootFrames moves to FrameAllocator unchanged (see PageTable::set_frame_source).
//
// A source that can look for a frame no higher than some other one also has `Result<Frame>
// allocate_frame_up_to(Frame highest)`: roots of PAE must lie below 4 GiB.
//
// One that keeps a word for each frame also has `TableWords table_words()`. There page tables count
// what their tables hold, so that freeing an emptied one, and unmapping a full one, is O(1).
class FrameSource {
  public:
    template <class Source>
        requires(!same_as<remove_const_reference<Source>, FrameSource>)
    constexpr FrameSource(Source& source) : source_(&source), calls_(&calls_for<Source>) {}

    Result<Frame> allocate_frame() const { return calls_->allocate(source_); }
    // One that does not lie above `highest`. Errors: as the source; unreachable (the source can
    // only give what it gives, and that lies above).
    Result<Frame> allocate_frame_up_to(Frame highest) const {
        return calls_->allocate_up_to(source_, highest);
    }
    // None where the source keeps no words.
    TableWords table_words() const { return calls_->words(source_); }
    // Fails as the source does when it never gave the frame out or has it back already.
    Status free_frame(Frame frame) const { return calls_->free(source_, frame); }

  private:
    struct Calls {
        Result<Frame> (*allocate)(void*);
        Result<Frame> (*allocate_up_to)(void*, Frame);
        Status (*free)(void*, Frame);
        TableWords (*words)(void*);
    };
    template <class Source>
    static Result<Frame> allocate_from(void* source) {
        return static_cast<Source*>(source)->allocate_frame();
    }
    template <class Source>
    static Result<Frame> allocate_up_to_from(void* from, Frame highest) {
        Source& source = *static_cast<Source*>(from);
        if constexpr (requires { source.allocate_frame_up_to(highest); }) {
            return source.allocate_frame_up_to(highest);
        } else {
            const Result<Frame> frame = source.allocate_frame();
            if (!frame.ok() || *frame <= highest) return frame;
            const Status freed = source.free_frame(*frame);
            if (!freed.ok()) return freed.failure();
            return Failure{Error::unreachable, address_of(*frame).value()};
        }
    }
    template <class Source>
    static Status free_to(void* source, Frame frame) {
        return static_cast<Source*>(source)->free_frame(frame);
    }
    template <class Source>
    static TableWords words_of(void* source) {
        if constexpr (requires(Source& from) { from.table_words(); }) {
            return static_cast<Source*>(source)->table_words();
        } else {
            return TableWords();
        }
    }
    template <class Source>
    static constexpr Calls calls_for{&allocate_from<Source>, &allocate_up_to_from<Source>,
                                     &free_to<Source>, &words_of<Source>};

    void* source_;
    const Calls* calls_;
};

}  // namespace quire
