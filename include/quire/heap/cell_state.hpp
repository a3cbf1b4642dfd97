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
// With somebody. Small cells of a heap that watches for overruns add their slack.
inline constexpr unsigned char cell_live = 3;
inline constexpr unsigned most_slack_in_state = UINT8_MAX - cell_live;

// A free cell at hand: its block, and where its state is (an offset from the arena's slot map), so
// that giving it out touches nothing else.
struct CellRef {
    unsigned char* block;
    uintptr_t state;
};

}  // namespace quire::heap_internal
