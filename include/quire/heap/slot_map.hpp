// SPDX-License-Identifier: MIT
// From an address to the state of its cell by arithmetic alone: an entry for each slot of an arena.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

// What a CPU wants to know of a slot: where the states of its span's cells begin, as an offset from
// the map's first byte, and which bin (see cpu_blocks.hpp) its cells belong to, as an offset from
// the CPU's first bin. Bin 0 is nobody's, and has no arrays: slots without a span lead there, and
// to the map's first byte as the state, which is always there.
//
// Written under the heap's lock and read without: the slot of a live block does not change, and of
// another nothing is believed but what its state confirms.
class SlotEntry {
  public:
    // A bin takes one cache line, or half of one where pointers are short.
    static constexpr size_t bin_bytes = 8 * sizeof(void*);
    static constexpr uint32_t bin_of_class(unsigned size_class) {
        return static_cast<uint32_t>((size_class + 1) * bin_bytes);
    }

    // `states`: a multiple of `states_unit`, below 2^35.
    void set(uintptr_t states, unsigned size_class) {
        atomic::store(states_, static_cast<uint32_t>(states / states_unit));
        atomic::store(bin_, bin_of_class(size_class));
    }
    void clear() {
        atomic::store(bin_, uint32_t{0});
        atomic::store(states_, uint32_t{0});
    }

    uint32_t bin() const { return atomic::load(bin_); }
    uintptr_t states() const { return uintptr_t{atomic::load(states_)} * states_unit; }

  private:
    static constexpr uintptr_t states_unit = 8;

    uint32_t bin_;
    uint32_t states_;
};

}  // namespace quire::heap_internal
