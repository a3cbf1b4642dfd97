// SPDX-License-Identifier: MIT
// The bytes behind a block, by which an overrun is found when the block is freed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

// Bytes that are written and checked: behind the block, where an overrun begins, and before the
// next one, where an underrun of that one ends.
inline constexpr size_t canary_head = 32;
inline constexpr size_t canary_tail = 16;

// Differs from block to block, and is never zero, all ones or text, which is what overruns write.
inline unsigned char canary_byte(const unsigned char* block) {
    const auto address = reinterpret_cast<uintptr_t>(block);
    return static_cast<unsigned char>(0xc0 | ((address >> 4 ^ address >> 12) & 0x1f));
}

inline void write_canary(unsigned char* block, size_t requested, size_t capacity) {
    const size_t slack = capacity - requested;
    const size_t head = min(slack, canary_head);
    const size_t tail = min(slack - head, canary_tail);
    if (head != 0) __builtin_memset(block + requested, canary_byte(block), head);
    if (tail != 0) __builtin_memset(block + capacity - tail, canary_byte(block), tail);
}

// The first byte behind the block that was overwritten; null when none was.
inline const unsigned char* broken_canary(const unsigned char* block, size_t requested,
                                          size_t capacity) {
    const unsigned char expected = canary_byte(block);
    const unsigned char* const end = block + capacity;
    const size_t slack = capacity - requested;
    const unsigned char* byte = block + requested;
    for (size_t i = min(slack, canary_head); i > 0; --i, ++byte)
        if (*byte != expected) return byte;
    byte = end - min(static_cast<size_t>(end - byte), canary_tail);
    for (; byte != end; ++byte)
        if (*byte != expected) return byte;
    return nullptr;
}

}  // namespace quire::heap_internal
