// SPDX-License-Identifier: MIT
// The one heap of a process, with blocks at hand for each thread.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "quire/heap/cpu_blocks.hpp"

namespace quire::hosted {

// This thread's blocks. All zero until its first call takes the slow path, which introduces it.
extern constinit thread_local heap_internal::CpuBlocks blocks_at_hand;

// Slow paths. They start the heap at a process's first call, even before constructors have run.
// Null and errno ENOMEM when there is no memory, or EINVAL for an alignment that is no power of
// two.
void* allocate_slowly(size_t bytes);
void* allocate_aligned_slowly(size_t bytes, size_t alignment);
void* allocate_zeroed(size_t bytes);
// A bad pointer is reported on the standard error stream, and ends the process.
void free_slowly(void* block);
void free_sized_slowly(void* block, size_t bytes, size_t alignment);
void* reallocate_slowly(void* block, size_t bytes);
size_t usable_size(void* block);
// Whether anything went back to the host.
bool trim();

struct Usage {
    size_t live_bytes;
    size_t committed_bytes;
    size_t free_bytes;
    size_t large_blocks;
};
Usage usage();

[[gnu::always_inline]] inline void* allocate(size_t bytes) {
    void* const block = blocks_at_hand.allocate(bytes);
    if (__builtin_expect(block != nullptr, 1)) return block;
    return allocate_slowly(bytes);
}

[[gnu::always_inline]] inline void* allocate_aligned(size_t bytes, size_t alignment) {
    if (__builtin_expect(is_power_of_two(alignment), 1)) {
        void* const block = blocks_at_hand.allocate_aligned(bytes, alignment);
        if (__builtin_expect(block != nullptr, 1)) return block;
    }
    return allocate_aligned_slowly(bytes, alignment);
}

[[gnu::always_inline]] inline void free(void* block) {
    if (__builtin_expect(blocks_at_hand.free(block), 1)) return;
    free_slowly(block);
}

// Of nothing, for a block that is null.
[[gnu::always_inline]] inline void* reallocate(void* block, size_t bytes) {
    if (__builtin_expect(blocks_at_hand.resize(block, bytes), 1)) return block;
    return reallocate_slowly(block, bytes);
}

// As free, when a request of so many bytes would get such a block; otherwise the slow path says
// what is wrong.
[[gnu::always_inline]] inline void free_sized(void* block, size_t bytes) {
    if (__builtin_expect(blocks_at_hand.free_sized(block, bytes), 1)) return;
    free_sized_slowly(block, bytes, 1);
}

}  // namespace quire::hosted
