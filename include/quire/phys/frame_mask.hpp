// SPDX-License-Identifier: MIT
// Some of the frames that share a word of a bitmap.
#pragma once

#include <stdint.h>

#include "quire/base/address.hpp"

namespace quire {

// Of the 64 frames from `first` on, those whose bits are set.
struct FrameMask {
    static constexpr unsigned frames = 64;
    static constexpr uint64_t nowhere = UINT64_MAX;

    uint64_t first = nowhere;  // a frame's number, a multiple of 64
    uint64_t bits = 0;

    bool has(Frame frame) const {
        return first_of(frame) == first && (bits >> (frame.value() % frames) & 1) != 0;
    }
    static constexpr uint64_t first_of(Frame frame) {
        return frame.value() & ~uint64_t{frames - 1};
    }
};

}  // namespace quire
