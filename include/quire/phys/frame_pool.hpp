// SPDX-License-Identifier: MIT
// The blocks that are given out from together: those of one zone and one home.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/config.hpp"
#include "quire/phys/block_index.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

// A home is a part of memory that some CPUs turn to first: a node, or a share of one where several
// CPUs would otherwise wait for each other. Each has a lock of its own.
inline constexpr unsigned most_homes = 16;

struct alignas(cache_line) FramePool {
    // By mobility. Blocks that are free as a whole are in the first, and belong to neither kind.
    BlockIndex index[mobilities];
    // Frames. `free` and `whole` are read without the lock to see whether it is worth taking.
    size_t total = 0;
    size_t free = 0;
    // Blocks whose frames are all free, in groups opened and not.
    size_t whole = 0;
    uint32_t fresh_groups = 0;
    uint32_t fresh_cursor = 0;  // none of its fresh groups lies below this one

    bool seems_empty() const { return atomic::load(free) == 0; }
    // No block is in use in part.
    bool seems_whole() const { return atomic::load(free) == atomic::load(whole) * block_frames; }
    void add_whole() { atomic::store(whole, whole + 1); }
    void remove_whole() { atomic::store(whole, whole - 1); }
    void add_free(size_t frames) { atomic::store(free, free + frames); }
    void remove_free(size_t frames) { atomic::store(free, free - frames); }
};

}  // namespace quire
