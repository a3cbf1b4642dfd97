// SPDX-License-Identifier: MIT
// From an address to the state of its cell by arithmetic alone: one word for each slot of an arena.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

// What a CPU wants to know of a slot: where the states of its span's cells begin, as an offset from
// the map's first byte, and which bin (see cpu_blocks.hpp) its cells belong to, as an offset from
// the CPU's first bin. Bin 0 is nobody's: slots without a span lead there.
//
// A word is written under the heap's lock and read without: the slot of a live block does not
// change, and of another nothing is believed but what its state confirms.
class SlotEntry {
  public:
    static constexpr bool wide = sizeof(uintptr_t) == 8;
    // A bin takes one cache line, or half of one where pointers are short.
    static constexpr unsigned bin_shift = wide ? 6 : 5;
    static constexpr size_t bin_bytes = size_t{1} << bin_shift;
    static constexpr uintptr_t bin_of_class(unsigned size_class) {
        return uintptr_t{size_class + 1} << bin_shift;
    }

    // `states`: a multiple of 16, below 2^48, or 2^28 where words have 32 bits.
    void set(uintptr_t states, unsigned size_class) {
        atomic::store(
            word_, wide ? states << 16 | bin_of_class(size_class) : states << 4 | (size_class + 1));
    }
    void clear() { atomic::store(word_, uintptr_t{0}); }

    uintptr_t word() const { return atomic::load(word_); }
    static uintptr_t bin(uintptr_t word) {
        return wide ? word & 0xffff : (word & 0xff) << bin_shift;
    }
    static uintptr_t states(uintptr_t word) { return wide ? word >> 16 : word >> 8 << 4; }

  private:
    uintptr_t word_;
};

static_assert(SlotEntry::bin_of_class(class_count) <= 0xffff);

}  // namespace quire::heap_internal
