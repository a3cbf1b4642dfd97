// SPDX-License-Identifier: MIT
// The bytes behind a block, by which an overrun is found when the block is freed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/traits.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

// Bytes that are written and checked: behind the block, where an overrun begins, and before the
// next one, where an underrun of that one ends.
inline constexpr size_t canary_head = 32;
inline constexpr size_t canary_tail = 2 * sizeof(uintptr_t);

// The pattern of free blocks: in a heap that fills them, a block's slack holds it already when the
// block is given out.
inline constexpr unsigned char canary_byte = poison_byte;
inline constexpr uintptr_t canary_word = poison_word;
// It is written and checked a word at a time; a cell begins and ends at a whole one.
using CanaryWord = uintptr_t;
inline constexpr size_t canary_step = sizeof(CanaryWord);

inline CanaryWord load_word(const unsigned char* from) {
    CanaryWord word = 0;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}
inline void store_word(unsigned char* to, CanaryWord word) {
    __builtin_memcpy(to, &word, sizeof word);
}
// The last so many bytes of a word in memory, at least one and less than all.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's last byte is its highest");
inline CanaryWord last_bytes(size_t count) {
    return static_cast<CanaryWord>(-1) << (8 * (canary_step - count));
}
// How many of the bytes behind the block are written from its end on; there are more than two
// words of them. The last two words are written besides.
inline size_t canary_head_bytes(size_t slack) {
    return min(slack - canary_step, canary_head);
}

// Where the slack is more than two words.
[[gnu::noinline]] inline void write_long_canary(unsigned char* slack_start, size_t slack) {
    for (size_t at = 0; at < canary_head_bytes(slack); at += canary_step)
        store_word(slack_start + at, canary_word);
    store_word(slack_start + slack - 2 * canary_step, canary_word);
    store_word(slack_start + slack - canary_step, canary_word);
}
[[gnu::noinline]] inline bool long_canary_intact(const unsigned char* slack_start, size_t slack) {
    CanaryWord differ = 0;
    for (size_t at = 0; at < canary_head_bytes(slack); at += canary_step)
        differ |= load_word(slack_start + at) ^ canary_word;
    differ |= load_word(slack_start + slack - 2 * canary_step) ^ canary_word;
    return (differ | (load_word(slack_start + slack - canary_step) ^ canary_word)) == 0;
}

inline void write_canary(unsigned char* block, size_t requested, size_t capacity) {
    const size_t slack = capacity - requested;
    if (slack > 2 * canary_step) return write_long_canary(block + requested, slack);
    unsigned char* const last = block + capacity - canary_step;
    if (slack >= canary_step) {
        store_word(last, canary_word);
        store_word(block + requested, canary_word);
    } else if (slack != 0) {
        const CanaryWord mask = last_bytes(slack);
        store_word(last, (load_word(last) & ~mask) | (canary_word & mask));
    }
}

// Whether every byte of so much slack is written.
inline bool canary_is_whole(size_t slack) {
    return slack <= canary_head + canary_tail;
}

// Of a slack of one byte to two words.
inline bool short_canary_intact(const unsigned char* block, size_t slack, size_t capacity) {
    const unsigned char* const end = block + capacity;
    const CanaryWord last = load_word(end - canary_step);
    if (slack < canary_step) return ((last ^ canary_word) & last_bytes(slack)) == 0;
    return last == canary_word && load_word(end - slack) == canary_word;
}
inline bool canary_intact(const unsigned char* block, size_t requested, size_t capacity) {
    const size_t slack = capacity - requested;
    if (slack > 2 * canary_step) return long_canary_intact(block + requested, slack);
    return slack == 0 || short_canary_intact(block, slack, capacity);
}

// The first byte behind the block that was overwritten; null when none was.
inline const unsigned char* broken_canary(const unsigned char* block, size_t requested,
                                          size_t capacity) {
    if (canary_intact(block, requested, capacity)) return nullptr;
    const unsigned char* byte = block + requested;
    while (*byte == canary_byte)
        ++byte;
    // Bytes between the two parts say nothing.
    const size_t slack = capacity - requested;
    const bool in_head = static_cast<size_t>(byte - block) - requested < canary_head;
    if (in_head || canary_is_whole(slack)) return byte;
    byte = block + capacity - canary_tail;
    while (*byte == canary_byte)
        ++byte;
    return byte;
}

// As broken_canary, of a block that its owner may be writing to: nothing of his is read.
inline const unsigned char* broken_beside_owner(const unsigned char* block, size_t requested,
                                                size_t capacity) {
    if (capacity - requested >= canary_step) return broken_canary(block, requested, capacity);
    for (size_t at = requested; at < capacity; ++at)
        if (block[at] != canary_byte) return block + at;
    return nullptr;
}

}  // namespace quire::heap_internal
