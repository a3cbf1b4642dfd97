// SPDX-License-Identifier: MIT
// What is still live when a heap is about to end.
#pragma once

#include <stddef.h>

#include "quire/heap/heap.hpp"
#include "quire/platform.hpp"

namespace quire {

namespace heap_internal {
// "leaked: 100 bytes at 0x1000, tag files, allocated from 0x2000"; what is null is left out.
void log_leak(Platform& platform, const LiveBlock& block, const char* tag, const void* caller);
// "leaked: 3 blocks, 300 bytes in all"
void log_leaks(Platform& platform, size_t blocks, size_t bytes);
}  // namespace heap_internal

// Logs a line for each live block, as warnings: at most `most_lines`, and one that says how many
// there are in all. Nothing when there are none. The CPUs in front must be drained. Returns how
// many there are. O(heap). A TaggedHeap knows more of its blocks: see its report_leaks.
template <Lockable L>
size_t report_leaks(const BasicHeap<L>& heap, Platform& platform, size_t most_lines = 32) {
    size_t blocks = 0;
    size_t bytes = 0;
    heap.for_each_block([&](const LiveBlock& block) {
        if (blocks < most_lines) heap_internal::log_leak(platform, block, nullptr, nullptr);
        ++blocks;
        bytes += block.bytes;
        return true;
    });
    if (blocks != 0) heap_internal::log_leaks(platform, blocks, bytes);
    return blocks;
}

}  // namespace quire
