// SPDX-License-Identifier: MIT
// What the heap knows of one span, and of each cell in it. None of it lies in the span itself.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/intrusive_list.hpp"
#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

// Spans with free cells are binned by how full they are, those that a lane has open apart; a span
// without any is in no bin.
inline constexpr unsigned fullness_bins = 4;
inline constexpr unsigned open_bin = fullness_bins;
inline constexpr unsigned span_bins = fullness_bins + 1;
// Each CPU is in a lane, and so is each span: whose CPUs took cells of it last. A CPU takes cells
// of a span that its lane has open, and opens one of its own lane where it can, so that the states
// that two CPUs write lie in cache lines of their own. CPUs share lanes when there are more of
// them.
inline constexpr unsigned lanes = 8;
inline constexpr unsigned no_lane = 0;

struct SpanRecord {
    ListLink<SpanRecord> bin_link;
    ListLink<SpanRecord> empty_link;  // linked while no cell is live
    unsigned char* base;              // where the span starts
    unsigned char* states;
    size_t groups_with_free;  // bit g: group g of cells has a free one
    uint16_t used;            // live cells
    uint16_t touched;         // cells [0, touched) were given out at least once
    uint16_t committed_pages;
    uint8_t size_class;
    bool with_slack;      // what blocks leave of their cells is known
    uint8_t empty_since;  // the heap's tick when its last cell was freed
    uint8_t lane;
    bool open;  // for CPUs of its lane alone, until it is full

    const SizeClass& geometry() const { return size_classes.entries[size_class]; }
    size_t committed_bytes() const { return size_t{committed_pages} << page_shift; }
    bool full() const { return used == geometry().cells; }
    // Cells get memory in the order of their addresses.
    bool has_memory(unsigned cell) const {
        return (size_t{cell} + 1) * geometry().cell_bytes <= committed_bytes();
    }
    // 0 to fullness_bins - 1, the fullest last; or open_bin.
    unsigned bin() const {
        if (open) return open_bin;
        const unsigned quarter = geometry().cells / fullness_bins;
        return (used > quarter ? 1u : 0u) + (used > 2 * quarter ? 1u : 0u) +
               (used > 3 * quarter ? 1u : 0u);
    }

    // Makes the record that of a span without live cells, or memory. `states_chunk` has room for
    // 2^chunk_shift(slack) bytes of the class.
    void begin(unsigned of_class, unsigned char* states_chunk, bool slack);

    // See cell_state.hpp.
    unsigned state(unsigned cell) const;
    // What a live block leaves of its cell; 0 where that is not known.
    unsigned slack(unsigned cell) const;
    // The free cell of the lowest address. There must be one.
    unsigned lowest_free() const;
    // The first free cell at or behind `cell`, or from the start on, that is below `limit`; the
    // lowest free one when there is none.
    unsigned free_from(unsigned cell, unsigned limit) const;
    // The cell, which is free, becomes that of a block of so many bytes.
    void take(unsigned cell, size_t bytes);
    // Up to `wanted` free cells below `limit`, the lowest, become cached; how many. The lowest
    // stands last, to be given out first. `first`: what a CellRef says of the state of cell 0.
    unsigned take_some(CellRef* taken, unsigned wanted, unsigned limit, uintptr_t first);
    // The block in the cell has so many bytes now.
    void set_resized(unsigned cell, size_t bytes);
    void put_back(unsigned cell);
    // A live cell is free, but not to be had yet.
    void keep_waiting(unsigned cell) { write_state(cell, cell_cached); }

    // False when the summaries contradict the states, or more cells are live than `used` says.
    bool consistent() const;

  private:
    void write_state(unsigned cell, unsigned value);
    void write_live(unsigned cell, size_t bytes, unsigned without_slack);
    CellRef* take_word(unsigned cell, CellRef* next, uintptr_t state, size_t stride);
    void note_taken(unsigned group, unsigned end);
    // The first free cell of the group, or the number of cells of a group when all are live.
    unsigned free_in_group(unsigned group) const;
};

}  // namespace quire::heap_internal
