// SPDX-License-Identifier: MIT
#include "quire/heap/span_record.hpp"

#include "quire/base/atomic.hpp"

namespace quire::heap_internal {

namespace {

// States are looked at a word at a time, one in each byte.
constexpr size_t low_bits = static_cast<size_t>(-1) / 0xff;
constexpr size_t high_bits = low_bits << 7;

// The top bit of every byte that is zero.
constexpr size_t zero_bytes(size_t word) {
    return ~(((word & ~high_bits) + ~high_bits) | word) & high_bits;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are counted from the low end");
static_assert(cell_free == 0);

// Other CPUs may write states of cells that are not free.
size_t load_states(const unsigned char* states) {
    return atomic::load(*reinterpret_cast<const size_t*>(states));
}

}  // namespace

void SpanRecord::begin(unsigned of_class, unsigned char* states_chunk, bool slack) {
    size_class = static_cast<uint8_t>(of_class);
    states = states_chunk;
    with_slack = slack;
    lane = no_lane;
    open = false;
    used = touched = committed_pages = 0;
    const SizeClass& shape = geometry();
    const unsigned padded = shape.padded_cells();
    groups_with_free = static_cast<size_t>(bit_run(0, padded / group_cells));
    // What lies beyond the last cell never looks free.
    __builtin_memset(states, cell_free, shape.cells);
    __builtin_memset(states + shape.cells, cell_none,
                     (size_t{1} << shape.chunk_shift(slack)) - shape.cells);
}

unsigned SpanRecord::state(unsigned cell) const {
    return atomic::load(states[cell]);
}

void SpanRecord::write_state(unsigned cell, unsigned value) {
    atomic::store(states[cell], static_cast<unsigned char>(value));
}

unsigned SpanRecord::slack(unsigned cell) const {
    if (!with_slack) return 0;
    const SizeClass& shape = geometry();
    if (!shape.long_slack()) return state(cell) - cell_live;
    uint16_t value = 0;
    __builtin_memcpy(&value, states + shape.padded_cells() + size_t{cell} * 2, sizeof value);
    return value;
}

// `without_slack`: the state where slack is not kept.
void SpanRecord::write_live(unsigned cell, size_t bytes, unsigned without_slack) {
    if (!with_slack) return write_state(cell, without_slack);
    const SizeClass& shape = geometry();
    const size_t slack = shape.cell_bytes - bytes;
    if (!shape.long_slack()) return write_state(cell, static_cast<unsigned>(cell_live + slack));
    write_state(cell, cell_live);
    const auto value = static_cast<uint16_t>(slack);
    __builtin_memcpy(states + shape.padded_cells() + size_t{cell} * 2, &value, sizeof value);
}

void SpanRecord::set_resized(unsigned cell, size_t bytes) {
    write_live(cell, bytes, resized_state(bytes));
}

unsigned SpanRecord::free_in_group(unsigned group) const {
    const unsigned char* from = states + size_t{group} * group_cells;
    for (unsigned cell = 0; cell < group_cells; cell += sizeof(size_t), from += sizeof(size_t)) {
        const size_t zeros = zero_bytes(load_states(from));
        if (zeros != 0) return cell + lowest_bit(zeros) / 8;
    }
    return group_cells;
}

unsigned SpanRecord::lowest_free() const {
    const unsigned group = lowest_bit(groups_with_free);
    return group * group_cells + free_in_group(group);
}

unsigned SpanRecord::free_from(unsigned cell, unsigned limit) const {
    for (unsigned i = cell; i < limit; ++i)
        if (state(i) == cell_free) return i;
    for (unsigned i = 0; i < cell; ++i)
        if (state(i) == cell_free) return i;
    return lowest_free();
}

// Cells below `end` were taken, some of them of the group.
void SpanRecord::note_taken(unsigned group, unsigned end) {
    if (end > touched) touched = static_cast<uint16_t>(end);
    if (free_in_group(group) == group_cells) groups_with_free &= ~(size_t{1} << group);
}

void SpanRecord::take(unsigned cell, size_t bytes) {
    write_live(cell, bytes, live_state(bytes));
    ++used;
    note_taken(cell / group_cells, cell + 1);
}

// A word's cells, all of which are free, so that nobody else writes there.
CellRef* SpanRecord::take_word(unsigned cell, CellRef* next, uintptr_t state, size_t stride) {
    atomic::store(*reinterpret_cast<size_t*>(states + cell), low_bits * cell_cached);
    unsigned char* block = base + cell * stride;
    for (unsigned i = 0; i < sizeof(size_t); ++i, block += stride)
        *--next = CellRef{block, state + i};
    return next;
}

unsigned SpanRecord::take_some(CellRef* taken, unsigned wanted, unsigned limit, uintptr_t first) {
    const size_t stride = geometry().stride;
    CellRef* next = taken + wanted;
    while (next != taken && groups_with_free != 0) {
        const unsigned group = lowest_bit(groups_with_free);
        const CellRef* const before = next;
        unsigned end = 0;
        for (unsigned word = group * group_cells; word < (group + 1) * group_cells && word < limit;
             word += sizeof(size_t)) {
            size_t zeros = zero_bytes(load_states(states + word));
            if (zeros == 0) continue;
            const auto room = static_cast<size_t>(next - taken);
            if (zeros == high_bits && room >= sizeof(size_t) && limit - word >= sizeof(size_t)) {
                next = take_word(word, next, first + word, stride);
                end = word + static_cast<unsigned>(sizeof(size_t));
                continue;
            }
            for (; zeros != 0 && next != taken; zeros &= zeros - 1) {
                const unsigned cell = word + lowest_bit(zeros) / 8;
                if (cell >= limit) break;
                write_state(cell, cell_cached);
                *--next = CellRef{base + cell * stride, first + cell};
                end = cell + 1;
            }
            if (next == taken) break;
        }
        if (next == before) break;
        note_taken(group, end);
    }
    const auto count = static_cast<unsigned>(taken + wanted - next);
    if (next != taken) __builtin_memmove(taken, next, count * sizeof *next);
    used = static_cast<uint16_t>(used + count);
    return count;
}

void SpanRecord::put_back(unsigned cell) {
    write_state(cell, cell_free);
    --used;
    groups_with_free |= size_t{1} << (cell / group_cells);
}

bool SpanRecord::consistent() const {
    const SizeClass& shape = geometry();
    unsigned taken = 0;
    size_t with_free = 0;
    for (unsigned cell = 0; cell < shape.cells; ++cell) {
        const unsigned value = state(cell);
        if (value == cell_free) {
            with_free |= size_t{1} << (cell / group_cells);
            continue;
        }
        if (value == cell_none || cell >= touched) return false;
        if (value >= cell_live && slack(cell) > shape.cell_bytes) return false;
        if (value > cell_live && with_slack && shape.long_slack()) return false;
        if (value >= cell_live && !with_slack && value < resized_state(0)) return false;
        ++taken;
    }
    return taken == used && with_free == groups_with_free && touched <= shape.cells;
}

}  // namespace quire::heap_internal
