// SPDX-License-Identifier: MIT
// What is put into freed blocks, by which a write to one is found when it is given out again.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire::heap_internal {

// As a pointer it leads nowhere, as a size it is too much, and it is no canary.
inline constexpr unsigned char poison_byte = 0xad;
inline constexpr uintptr_t poison_word = static_cast<uintptr_t>(-1) / 0xff * poison_byte;

// Any bytes, anywhere.
inline void poison(unsigned char* from, size_t bytes) {
    __builtin_memset(from, poison_byte, bytes);
}

// Cells begin at a granule and are made of whole ones: two words, which are one register where
// vectors may be used.
using PoisonGranule __attribute__((vector_size(2 * sizeof(uintptr_t)), may_alias)) = uintptr_t;
// The loops below go over a cell by two granules, after the first one where their number is odd.
[[gnu::always_inline]] inline size_t odd_bytes(size_t bytes) {
    return bytes & sizeof(PoisonGranule);
}
// Whole granules, at least one, and few.
[[gnu::always_inline]] inline void poison_granules(unsigned char* cell, size_t bytes) {
    const PoisonGranule poisoned = {poison_word, poison_word};
    const unsigned char* const end = cell + bytes;
    *reinterpret_cast<PoisonGranule*>(cell) = poisoned;
    for (cell += odd_bytes(bytes); cell != end; cell += 2 * sizeof poisoned) {
        __asm__("" : "+r"(cell));  // lest the loop becomes a call of memset
        auto* const pair = reinterpret_cast<PoisonGranule*>(cell);
        pair[0] = pair[1] = poisoned;
    }
}

// Whether a cell, of at least one granule, holds nothing but the pattern.
[[gnu::always_inline]] inline bool is_poisoned(const unsigned char* cell, size_t bytes) {
    const PoisonGranule first = *reinterpret_cast<const PoisonGranule*>(cell);
    PoisonGranule all = first & (PoisonGranule{} + poison_word);
    PoisonGranule any = first | (PoisonGranule{} + poison_word);
    const unsigned char* const end = cell + bytes;
    for (cell += odd_bytes(bytes); cell != end; cell += 2 * sizeof all) {
        __asm__("" : "+r"(cell));
        const auto* const pair = reinterpret_cast<const PoisonGranule*>(cell);
        all = all & pair[0] & pair[1];
        any = any | pair[0] | pair[1];
    }
    const PoisonGranule differ = all ^ any;
    return (differ[0] | differ[1]) == 0;
}

// A free cell holds poison all over, or, when it was never given out, zeroes. The first word that
// does not agree with the first one of the cell, or is neither; null when all is well.
inline const unsigned char* broken_poison(const unsigned char* cell, size_t bytes) {
    using Word __attribute__((may_alias)) = uintptr_t;
    if (is_poisoned(cell, bytes)) return nullptr;
    const auto* word = reinterpret_cast<const Word*>(cell);
    const auto* const end = reinterpret_cast<const Word*>(cell + bytes);
    const uintptr_t expected = *word;
    if (expected != 0 && expected != poison_word) return cell;
    while (word != end && *word == expected)
        ++word;
    return word == end ? nullptr : reinterpret_cast<const unsigned char*>(word);
}

}  // namespace quire::heap_internal
