// SPDX-License-Identifier: MIT
// The byte that says what a cell is. It lies apart from the cell, so that a bad free is known for
// what it is without reading anything that the user could have written.
//
// Whoever owns a cell writes its byte, plainly: the heap core under its lock, or the CPU that frees
// or allocates the block. Other CPUs may look at the byte at the same time, and see one or the
// other.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire::heap_internal {

inline constexpr unsigned char cell_free = 0;  // in its span, to be had; what fresh memory reads as
inline constexpr unsigned char cell_cached =
    1;                                         // at hand with some CPU, or on its way between CPUs
inline constexpr unsigned char cell_none = 2;  // behind a span's last cell
// With somebody, from here on. In a heap that watches for overruns, small cells add their slack. In
// any other one the state says what was asked for, as far as it can.
inline constexpr unsigned char cell_live = 3;
inline constexpr unsigned most_slack_in_state = UINT8_MAX - cell_live;

// Of a block that was asked for with so many bytes, which got a cell of their class: the sum of
// their digits to base 128, by one multiplication. Two sizes of a class have the same state when
// they differ by a multiple of 127, and by nothing else: so never when they differ by less, or by a
// power of two.
[[gnu::always_inline]] constexpr unsigned char live_state(size_t bytes) {
    return static_cast<unsigned char>(0x80 | static_cast<uint32_t>(bytes) * 0x02040810 >> 25);
}
// Of a block that `reallocate` brought to so many bytes, which may have a larger cell than they
// deserve. The same to base 64: it passes for sizes that differ by a multiple of 63.
constexpr unsigned char resized_state(size_t bytes) {
    return static_cast<unsigned char>(0x40 | static_cast<uint32_t>(bytes) * 0x04104104 >> 26);
}
constexpr bool is_resized(unsigned state) {
    return (state & 0xc0) == 0x40;
}

// A free cell at hand: its block, and where its state is (an offset from the arena's slot map), so
// that giving it out touches nothing else.
struct CellRef {
    unsigned char* block;
    uintptr_t state;
};

}  // namespace quire::heap_internal
