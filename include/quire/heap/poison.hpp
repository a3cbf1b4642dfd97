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
// Whole granules, at least one, and few.
inline void poison_granules(unsigned char* cell, size_t bytes) {
    const PoisonGranule poisoned = {poison_word, poison_word};
    const unsigned char* const end = cell + bytes;
    do {
        *reinterpret_cast<PoisonGranule*>(cell) = poisoned;
        cell += sizeof poisoned;
        __asm__("" : "+r"(cell));  // lest the loop becomes a call of memset
    } while (cell != end);
}

// Whether a cell, of at least one granule, holds nothing but the pattern.
inline bool is_poisoned(const unsigned char* cell, size_t bytes) {
    PoisonGranule all = PoisonGranule{} + poison_word;
    PoisonGranule any = all;
    const unsigned char* const end = cell + bytes;
    do {
        all &= *reinterpret_cast<const PoisonGranule*>(cell);
        any |= *reinterpret_cast<const PoisonGranule*>(cell);
        cell += sizeof all;
        __asm__("" : "+r"(cell));
    } while (cell != end);
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
