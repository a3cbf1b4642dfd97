// SPDX-License-Identifier: MIT
// Which slots of an arena are taken: a bit each, in memory that the arena supplies.
#pragma once

#include <stddef.h>

#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

// Not synchronised. A search passes whole words, and starts where the last one of its order ended
// or something was freed since, so that filling an arena costs O(1) a run.
class SlotBits {
  public:
    static constexpr size_t none = SIZE_MAX;

    constexpr SlotBits() = default;
    static constexpr size_t bytes_for(size_t slots) {
        return (slots + bit_width_of<size_t> - 1) / bit_width_of<size_t> * sizeof(size_t);
    }
    // `words` is zeroed memory of bytes_for(slots); `slots` is a multiple of the largest span's.
    void start(size_t* words, size_t slots);

    // The lowest free run of so many slots; `none` when there is none. One of up to
    // aligned_slots is aligned to its length, which must be a power of two, and found in O(1) words
    // as a rule; a longer one may lie anywhere, and is found in O(words).
    size_t find(unsigned slots);
    // Whether so many slots from here on are there and free.
    bool free_at(size_t slot, unsigned slots) const;
    void take(size_t slot, unsigned slots);
    void put_back(size_t slot, unsigned slots);
    bool taken(size_t slot) const;
    static constexpr unsigned aligned_slots = 1u << (span_orders - 1);
    size_t taken_slots() const { return taken_; }

  private:
    size_t find_aligned(unsigned order);
    size_t find_long(unsigned slots);
    size_t next(size_t from, size_t end, bool wanted_taken) const;

    size_t* words_ = nullptr;
    size_t word_count_ = 0;
    size_t taken_ = 0;
    size_t first_word_[span_orders] = {};  // words before it have no run of that order
};

}  // namespace quire::heap_internal
