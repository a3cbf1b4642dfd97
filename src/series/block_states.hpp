// SPDX-License-Identifier: MIT
// Two bits for each block: what the series' calls have made of it, beside what the frame allocator
// knows.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/span.hpp"

namespace quire::series {

enum class BlockState : uint8_t {
    withheld,   // never called free, or called used since
    available,  // free or given out
    table,      // given out to Quire itself, for a page table or a directory
    kept,       // in use for good: nothing makes it free
};

class BlockStates {
  public:
    static constexpr size_t bytes_for(uint64_t frames) {
        return static_cast<size_t>((frames + 3) / 4);
    }

    constexpr BlockStates() = default;
    // All withheld. `room` has bytes_for(frames) bytes.
    BlockStates(Span<unsigned char> room, uint64_t frames) : bytes_(room.data()), frames_(frames) {
        __builtin_memset(room.data(), 0, bytes_for(frames));
    }

    uint64_t frames() const { return frames_; }
    // `frame` is below frames().
    BlockState of(uint64_t frame) const {
        return static_cast<BlockState>((bytes_[frame / 4] >> shift(frame)) & 3U);
    }
    void set(uint64_t frame, BlockState state) {
        unsigned char& byte = bytes_[frame / 4];
        const unsigned rest = byte & ~(3U << shift(frame));
        byte = static_cast<unsigned char>(rest | (static_cast<unsigned>(state) << shift(frame)));
    }

  private:
    static unsigned shift(uint64_t frame) { return static_cast<unsigned>(frame % 4) * 2; }

    unsigned char* bytes_ = nullptr;
    uint64_t frames_ = 0;
};

}  // namespace quire::series
