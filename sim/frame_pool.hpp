// SPDX-License-Identifier: MIT
// A plain supply of frames for tests that want one without the library's own allocator.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/frame_source.hpp"
#include "sim/ram.hpp"

namespace quire::sim {

enum class FreedFrames : uint8_t { kept, filled_with_junk };

struct FramePoolShape {
    FreedFrames freed = FreedFrames::filled_with_junk;
    // Hand out frames scattered over the range and not in ascending order.
    bool scattered = false;
    uint64_t seed = 1;
};

// Owns a run of frames of a Ram. Frames come filled with junk, unless kept; a freed frame is reused
// at once, which is the worst that can happen to whoever still looks at it. Not synchronised.
class FramePool {
  public:
    static constexpr uint8_t junk = 0xa5;

    // All frames of the range must lie in RAM: throws std::out_of_range.
    FramePool(const Ram& ram, const FrameRange& frames, const FramePoolShape& shape = {});

    // Error::out_of_frames.
    Result<Frame> allocate_frame();
    // A violation, and Error::foreign or Error::already_free with the frame's number, for a frame
    // that is not the pool's or was not given out.
    Status free_frame(Frame frame);

    // From now on there is a word for each frame (see FrameSource), at first with junk in it.
    void keep_table_words() { words_.assign(frames_.count().value(), 0xa5a5); }
    TableWords table_words() {
        return words_.empty() ? TableWords() : TableWords{frames_, words_.data()};
    }

    bool owns(Frame frame) const { return frames_.contains(frame); }
    bool is_free(Frame frame) const;
    FrameCount free() const { return FrameCount(free_.size()); }
    FrameCount used() const { return frames_.count() - free(); }
    const FrameRange& frames() const { return frames_; }

    // What happens upon a wrong free. By default it is printed and the process aborts.
    void on_violation(std::function<void(const std::string&)> handler) {
        violation_ = std::move(handler);
    }

  private:
    void spoil(Frame frame);
    size_t index(Frame frame) const {
        return static_cast<size_t>((frame - frames_.first()).value());
    }

    const Ram& ram_;
    const FrameRange frames_;
    const FramePoolShape shape_;
    std::vector<Frame> free_;  // the next one to give out is the last
    std::vector<bool> is_used_;
    std::vector<uint16_t> words_;
    std::function<void(const std::string&)> violation_;
};

}  // namespace quire::sim
