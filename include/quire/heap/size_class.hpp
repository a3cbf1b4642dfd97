// SPDX-License-Identifier: MIT
// Which sizes of cell there are, and how a span is carved into each.
//
// Cells go in steps of the granule up to eight granules, and from there in eight steps a doubling,
// so that rounding up wastes less than a granule or at most an eighth. Every power of two is a
// class of its own, and its cells are naturally aligned. Beyond the ordinary classes stand the
// guarded ones, for requests of whole pages: their cells lie a page apart, and that page never has
// memory behind it, so that the first byte beyond such a block faults. Last come the medium
// classes, larger than an ordinary cell, with a span for each cell.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/config.hpp"
#include "quire/heap/cell_state.hpp"

namespace quire::heap_internal {

// What every block is aligned to: enough for any scalar.
inline constexpr size_t granule = 2 * sizeof(void*);
inline constexpr size_t smallest_cell = 16;
inline constexpr size_t largest_cell = size_t{32} << 10;  // of a span with several
inline constexpr size_t largest_medium = size_t{1} << 20;

// The arena is divided into slots; a span is one, two or four of them, aligned to its size, or as
// many as a medium cell takes, wherever they are.
inline constexpr unsigned slot_shift = page_shift > 14 ? page_shift : 14;
inline constexpr size_t slot_bytes = size_t{1} << slot_shift;
inline constexpr unsigned largest_span_shift = 16;
inline constexpr size_t largest_span = size_t{1} << largest_span_shift;
inline constexpr unsigned span_orders = largest_span_shift - slot_shift + 1;

// A span's cells are found free by groups, one bit of a word for each group.
inline constexpr unsigned groups = bit_width_of<size_t>;
inline constexpr unsigned most_cells = static_cast<unsigned>(slot_bytes / smallest_cell);
inline constexpr unsigned group_cells = most_cells / groups > 16
                                            ? static_cast<unsigned>(most_cells / groups)
                                            : 16;
static_assert(most_cells <= groups * group_cells);

struct SizeClass {
    uint32_t cell_bytes;  // what a block can hold at most
    uint32_t stride;      // from one cell to the next
    uint32_t reciprocal;  // 2^32 / stride, rounded up: index = offset * reciprocal >> 32
    uint16_t cells;
    uint8_t slots;  // of a span
    // Base-2 logarithm of the bytes that the states of a span's cells take; the second, where slack
    // is kept behind them.
    uint8_t states_shift;
    uint8_t slacks_shift;
    // Base-2 logarithm of the bytes that a magazine of its cells takes (see cpu_blocks.hpp).
    uint8_t magazine_shift;
    bool guarded;

    constexpr size_t span_bytes() const { return slot_bytes * slots; }
    constexpr bool medium() const { return cell_bytes > largest_cell; }
    // Whether a state has no room for the slack, which then takes two bytes of its own.
    constexpr bool long_slack() const { return cell_bytes > most_slack_in_state; }
    constexpr unsigned chunk_shift(bool with_slack) const {
        return with_slack ? slacks_shift : states_shift;
    }
    constexpr unsigned magazine_cells() const {
        return static_cast<unsigned>((size_t{1} << magazine_shift) / sizeof(CellRef)) - 1;
    }
    // How many states there are, those of no cell included.
    constexpr unsigned padded_cells() const {
        return (cells + group_cells - 1) / group_cells * group_cells;
    }
    // `offset` must lie inside a span.
    constexpr unsigned index_of(size_t offset) const {
        return static_cast<unsigned>((uint64_t{static_cast<uint32_t>(offset)} * reciprocal) >> 32);
    }
};

inline constexpr unsigned linear_limit = 8 * granule;
inline constexpr unsigned first_linear = smallest_cell / granule;
inline constexpr unsigned linear_classes = 8 - first_linear + 1;
inline constexpr unsigned steps_per_doubling = 8;
inline constexpr unsigned ordinary_classes =
    linear_classes + steps_per_doubling * (highest_bit(largest_cell) - highest_bit(linear_limit));

// Guarded classes are of one page, two pages, and so on.
inline constexpr unsigned guarded_classes = [] {
    unsigned count = 0;
    while (count < 4 && largest_span / ((count + 2) * page_size) >= 2)
        ++count;
    return count;
}();
inline constexpr unsigned first_medium = ordinary_classes + guarded_classes;
inline constexpr unsigned class_count =
    first_medium + steps_per_doubling * (highest_bit(largest_medium) - highest_bit(largest_cell));
static_assert(class_count <= UINT8_MAX);

// The smallest ordinary class whose cells hold `bytes`, which is at most largest_cell.
constexpr unsigned class_for(size_t bytes) {
    const auto size = static_cast<uint32_t>(bytes < smallest_cell ? smallest_cell : bytes);
    if (size <= linear_limit) {
        return static_cast<unsigned>((size + granule - 1) / granule) - first_linear;
    }
    const unsigned doubling = 31 - static_cast<unsigned>(__builtin_clz(size - 1));
    return linear_classes + (doubling - highest_bit(linear_limit)) * steps_per_doubling +
           ((size - 1) >> (doubling - 3)) - steps_per_doubling;
}
// The smallest medium class whose cells hold `bytes`: more than largest_cell, at most
// largest_medium.
constexpr unsigned medium_class_for(size_t bytes) {
    return class_for(bytes) + guarded_classes;
}

constexpr size_t cell_bytes_of(unsigned size_class) {
    if (size_class >= first_medium) {
        size_class -= guarded_classes;
    } else if (size_class >= ordinary_classes) {
        return (size_class - ordinary_classes + 1) * page_size;
    }
    if (size_class < linear_classes) return (size_class + first_linear) * granule;
    const unsigned step = size_class - linear_classes;
    const size_t doubling = size_t{linear_limit} << (step / steps_per_doubling);
    return doubling + doubling / steps_per_doubling * (step % steps_per_doubling + 1);
}

constexpr SizeClass describe_class(unsigned index) {
    SizeClass result{};
    const size_t cell = cell_bytes_of(index);
    result.guarded = index >= ordinary_classes && index < first_medium;
    const size_t stride = cell + (result.guarded ? page_size : 0);
    // At least eight cells a span where the largest span has room for them.
    unsigned order = 0;
    while (order + 1 < span_orders && (slot_bytes << order) / stride < 8)
        ++order;
    const bool medium = index >= first_medium;
    const size_t cells = medium ? 1 : (slot_bytes << order) / stride;
    result.cell_bytes = static_cast<uint32_t>(cell);
    result.stride = static_cast<uint32_t>(stride);
    result.reciprocal = static_cast<uint32_t>(((uint64_t{1} << 32) + stride - 1) / stride);
    result.cells = static_cast<uint16_t>(cells);
    result.slots =
        static_cast<uint8_t>(medium ? (cell + slot_bytes - 1) / slot_bytes : size_t{1} << order);
    // A magazine holds up to 64 KiB, of cells of a kibibyte and more; of the largest cells up to
    // 112 KiB, three at least.
    const unsigned size_shift = log2_ceil(cell);
    const unsigned large = size_shift == 14 ? 3 : 2;
    const unsigned magazine = size_shift < 10 ? 6 : size_shift < 14 ? 16 - size_shift : large;
    result.magazine_shift = static_cast<uint8_t>(magazine + log2_ceil(sizeof(CellRef)));
    const size_t states = result.padded_cells();
    const size_t slacks = result.long_slack() ? cells * sizeof(uint16_t) : 0;
    result.states_shift = static_cast<uint8_t>(max(log2_ceil(states), 6u));
    result.slacks_shift = static_cast<uint8_t>(log2_ceil(states + slacks));
    return result;
}

// Whether a block that changes its size stays in its cell: it must fit, and use half of it.
constexpr bool stays_in_cell(size_t bytes, size_t cell_bytes) {
    return bytes <= cell_bytes && (bytes >= cell_bytes / 2 || cell_bytes == smallest_cell);
}

// What a block's cell should hold when it gets so many bytes: one that has grown before, and grows
// again, will grow further. Such a block stays in its cell.
constexpr size_t room_to_grow(size_t bytes, size_t most) {
    return bytes < most ? (bytes + bytes / 4 < most ? bytes + bytes / 4 : most) : bytes;
}

struct SizeClassTable {
    SizeClass entries[class_count];
};
inline constexpr SizeClassTable size_classes = [] {
    SizeClassTable table{};
    for (unsigned index = 0; index < class_count; ++index)
        table.entries[index] = describe_class(index);
    return table;
}();

}  // namespace quire::heap_internal
