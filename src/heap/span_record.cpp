// SPDX-License-Identifier: MIT
#include "quire/heap/span_record.hpp"

namespace quire::heap_internal {

namespace {

// The low bit of every lane of a word, for lanes of one or two bytes.
constexpr size_t lane_ones(unsigned lane_bytes) {
    return static_cast<size_t>(-1) / (lane_bytes == 1 ? 0xffu : 0xffffu);
}

// A word whose lowest set bit is the top bit of the first zero lane; zero when no lane is zero.
// Lanes above a zero lane may be flagged wrongly, so only the lowest means anything.
constexpr size_t zero_lanes(size_t word, unsigned lane_bytes) {
    const size_t ones = lane_ones(lane_bytes);
    return (word - ones) & ~word & (ones << (lane_bytes * 8 - 1));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes are counted from the low end");

}  // namespace

void SpanRecord::begin(unsigned of_class, unsigned char* states_chunk) {
    size_class = static_cast<uint8_t>(of_class);
    states = states_chunk;
    used = touched = committed_pages = 0;
    const SizeClass& shape = geometry();
    const unsigned all_groups = (shape.cells + group_cells - 1) / group_cells;
    groups_with_free = static_cast<size_t>(bit_run(0, all_groups));
    // What lies beyond the last cell never looks free.
    const size_t live_bytes = size_t{shape.cells} * shape.state_bytes;
    __builtin_memset(states, 0, live_bytes);
    __builtin_memset(states + live_bytes, 0xff, (size_t{1} << shape.chunk_shift) - live_bytes);
}

unsigned SpanRecord::state(unsigned cell) const {
    if (geometry().state_bytes == 1) return states[cell];
    uint16_t value = 0;
    __builtin_memcpy(&value, states + size_t{cell} * 2, sizeof value);
    return value;
}

void SpanRecord::write_state(unsigned cell, unsigned value) {
    if (geometry().state_bytes == 1) {
        states[cell] = static_cast<unsigned char>(value);
        return;
    }
    const auto narrow = static_cast<uint16_t>(value);
    __builtin_memcpy(states + size_t{cell} * 2, &narrow, sizeof narrow);
}

unsigned SpanRecord::free_in_group(unsigned group) const {
    const unsigned lane_bytes = geometry().state_bytes;
    const unsigned lanes = sizeof(size_t) / lane_bytes;
    const unsigned char* from = states + size_t{group} * group_cells * lane_bytes;
    for (unsigned cell = 0; cell < group_cells; cell += lanes, from += sizeof(size_t)) {
        size_t word = 0;
        __builtin_memcpy(&word, from, sizeof word);
        const size_t zeros = zero_lanes(word, lane_bytes);
        if (zeros != 0) return cell + lowest_bit(zeros) / (lane_bytes * 8);
    }
    return group_cells;
}

unsigned SpanRecord::lowest_free() const {
    const unsigned group = lowest_bit(groups_with_free);
    return group * group_cells + free_in_group(group);
}

void SpanRecord::take(unsigned cell, unsigned slack) {
    write_state(cell, slack + 1);
    ++used;
    if (cell >= touched) touched = static_cast<uint16_t>(cell + 1);
    const unsigned group = cell / group_cells;
    if (free_in_group(group) == group_cells) groups_with_free &= ~(size_t{1} << group);
}

void SpanRecord::set_slack(unsigned cell, unsigned slack) {
    write_state(cell, slack + 1);
}

void SpanRecord::put_back(unsigned cell) {
    write_state(cell, 0);
    --used;
    groups_with_free |= size_t{1} << (cell / group_cells);
}

bool SpanRecord::consistent() const {
    const SizeClass& shape = geometry();
    unsigned live = 0;
    size_t with_free = 0;
    for (unsigned cell = 0; cell < shape.cells; ++cell) {
        const unsigned value = state(cell);
        if (value == 0) {
            with_free |= size_t{1} << (cell / group_cells);
            continue;
        }
        if (value - 1 > shape.cell_bytes || cell >= touched) return false;
        ++live;
    }
    return live == used && with_free == groups_with_free && touched <= shape.cells;
}

}  // namespace quire::heap_internal
