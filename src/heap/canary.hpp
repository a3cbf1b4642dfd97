// SPDX-License-Identifier: MIT
// The bytes behind a block, by which an overrun is found when the block is freed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

// Bytes that are written and checked; an overrun is a run of bytes from the block's end.
inline constexpr size_t longest_canary = 32;

// Differs from block to block, and is never zero, all ones or text, which is what overruns write.
inline unsigned char canary_byte(const unsigned char* block) {
    const auto address = reinterpret_cast<uintptr_t>(block);
    return static_cast<unsigned char>(0xc0 | ((address >> 4 ^ address >> 12) & 0x1f));
}

inline void write_canary(unsigned char* block, size_t requested, size_t capacity) {
    const size_t length = min(capacity - requested, longest_canary);
    if (length != 0) __builtin_memset(block + requested, canary_byte(block), length);
}

// The first byte behind the block that was overwritten; null when none was.
inline const unsigned char* broken_canary(const unsigned char* block, size_t requested,
                                          size_t capacity) {
    const size_t length = min(capacity - requested, longest_canary);
    const unsigned char expected = canary_byte(block);
    for (const unsigned char* byte = block + requested; byte != block + requested + length; ++byte)
        if (*byte != expected) return byte;
    return nullptr;
}

}  // namespace quire::heap_internal
