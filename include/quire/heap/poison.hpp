// SPDX-License-Identifier: MIT
// What is put into freed blocks, by which a write to one is found when it is given out again.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire::heap_internal {

// As a pointer it leads nowhere, as a size it is too much, and it is no canary.
inline constexpr unsigned char poison_byte = 0xad;
inline constexpr uintptr_t poison_word = static_cast<uintptr_t>(-1) / 0xff * poison_byte;

inline void poison(unsigned char* cell, size_t bytes) {
    __builtin_memset(cell, poison_byte, bytes);
}

// A free cell holds poison all over, or, when it was never given out, zeroes. The first word that
// does not agree with the first one of the cell, or is neither; null when all is well. `bytes` is a
// multiple of the granule, and the cell aligned to it.
inline const unsigned char* broken_poison(const unsigned char* cell, size_t bytes) {
    using Word __attribute__((may_alias)) = uintptr_t;
    const auto* words = reinterpret_cast<const Word*>(cell);
    const uintptr_t expected = words[0];
    if (expected != 0 && expected != poison_word) return cell;
    uintptr_t differ = 0;
    const size_t count = bytes / sizeof(Word);
    for (size_t i = 0; i < count; ++i)
        differ |= words[i] ^ expected;
    if (differ == 0) return nullptr;
    size_t i = 0;
    while (words[i] == expected)
        ++i;
    return cell + i * sizeof(Word);
}

}  // namespace quire::heap_internal
