// SPDX-License-Identifier: MIT
#include "sim/frame_pool.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace quire::sim {

FramePool::FramePool(const Ram& ram, const FrameRange& frames, const FramePoolShape& shape)
    : ram_(ram),
      frames_(frames),
      shape_(shape),
      is_used_(static_cast<size_t>(frames.count().value())),
      violation_([](const std::string& what) {
          std::fprintf(stderr, "sim: %s\n", what.c_str());
          std::abort();
      }) {
    free_.reserve(is_used_.size());
    for (const Frame frame : frames_) {
        ram_.at(frame);  // throws where there is no RAM
        free_.push_back(frame);
    }
    std::reverse(free_.begin(), free_.end());
    if (shape_.scattered) std::shuffle(free_.begin(), free_.end(), std::mt19937_64(shape_.seed));
}

Result<Frame> FramePool::allocate_frame() {
    if (free_.empty()) return Failure{Error::out_of_frames};
    const Frame frame = free_.back();
    free_.pop_back();
    is_used_[index(frame)] = true;
    spoil(frame);
    return frame;
}

Status FramePool::free_frame(Frame frame) {
    if (!owns(frame)) {
        violation_("frame " + std::to_string(frame.value()) +
                   " was freed to a pool it is not from");
        return Failure{Error::foreign, frame.value()};
    }
    if (is_free(frame)) {
        violation_("frame " + std::to_string(frame.value()) + " was freed twice");
        return Failure{Error::already_free, frame.value()};
    }
    is_used_[index(frame)] = false;
    free_.push_back(frame);
    spoil(frame);
    return {};
}

bool FramePool::is_free(Frame frame) const {
    return owns(frame) && !is_used_[index(frame)];
}

void FramePool::spoil(Frame frame) {
    if (shape_.freed == FreedFrames::filled_with_junk) {
        ram_.fill(address_of(frame).value(), page_size, junk);
    }
}

}  // namespace quire::sim
