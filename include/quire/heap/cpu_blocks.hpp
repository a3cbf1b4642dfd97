// SPDX-License-Identifier: MIT
// The blocks that one CPU (or one thread, on a host) keeps at hand: for each size class an array of
// free cells, the main one, and a spare. Nothing is written into a free block, and any block can be
// taken back, whoever allocated it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/canary.hpp"
#include "quire/heap/poison.hpp"
#include "quire/heap/size_class.hpp"
#include "quire/heap/slot_map.hpp"

namespace quire::heap_internal {

class HeapCore;

// An array of cells, in a piece of bookkeeping memory.
struct Magazine {
    Magazine* next;      // in the depot
    uint32_t since = 0;  // the heap's tick when it came there
    CellRef* cells() { return reinterpret_cast<CellRef*>(this) + 1; }
    static Magazine* of(CellRef* cells) { return reinterpret_cast<Magazine*>(cells - 1); }
};

#if UINTPTR_MAX > UINT32_MAX
__extension__ using DoubleWord = unsigned __int128;
#else
using DoubleWord = uint64_t;
#endif

// Requests up to this size find their class in a table.
inline constexpr size_t quick_limit = 2048 * granule;
// Up to this size, blocks that are watched lie at hand.
inline constexpr size_t watched_limit = page_size;
struct QuickBins {
    uint16_t of_granules[quick_limit / granule + 1];
};
inline constexpr QuickBins quick_bins = [] {
    QuickBins table{};
    for (size_t i = 0; i <= quick_limit / granule; ++i) {
        table.of_granules[i] =
            static_cast<uint16_t>(SlotEntry::bin_of_class(class_for(i * granule)));
    }
    return table;
}();

// Touched by its CPU alone. It fills and empties its arrays through the core, under its lock.
class CpuBlocks {
  public:
    constexpr CpuBlocks() = default;
    CpuBlocks(const CpuBlocks&) = delete;
    CpuBlocks& operator=(const CpuBlocks&) = delete;

    // The fast paths, for heaps that do not watch what is behind a block. Null, or false, and
    // nothing changed, when it takes the slow one.
    [[gnu::always_inline]] void* allocate(size_t bytes) {
        if (bytes >= quick_end_) return nullptr;
        return take(bin_at(quick_bins.of_granules[(bytes + granule - 1) / granule]), bytes);
    }
    // `alignment`: a power of two. The class of the next whole multiple of it is one, and so are
    // the places of its cells.
    [[gnu::always_inline]] void* allocate_aligned(size_t bytes, size_t alignment) {
        if (bytes >= quick_end_ || alignment > page_size) return nullptr;
        const size_t room = (max(bytes, size_t{1}) + alignment - 1) & ~(alignment - 1);
        return take(bin_at(quick_bins.of_granules[(room + granule - 1) / granule]), bytes);
    }
    [[gnu::always_inline]] bool free(void* block) {
        const Cell cell = find(block);
        return cell.bin != nullptr && put(*cell.bin, block, cell.state);
    }
    // As free, if the block was asked for with so many bytes, as far as its state tells.
    [[gnu::always_inline]] bool free_sized(void* block, size_t bytes) {
        if (bytes >= quick_end_) return false;
        Bin& bin = bin_at(quick_bins.of_granules[(bytes + granule - 1) / granule]);
        const Cell cell = find_cell(block, slots_);
        const bool same = cell.bin == &bin && states()[cell.state] == live_state(bytes);
        return same && put(bin, block, cell.state);
    }
    // What a live block's cell holds, and whether it was resized before; 0 when the fast path
    // cannot tell.
    struct LiveCell {
        size_t bytes;
        bool resized;
    };
    LiveCell live_cell(const void* block) {
        const Cell cell = find(block);
        if (cell.bin == nullptr) return {0, false};
        return {cell.bin->cell_bytes, is_resized(states()[cell.state])};
    }
    // The block, whose cell is that of such a class, gets another size where it stands. False, and
    // nothing changed, where it may not, or the fast path cannot tell.
    [[gnu::always_inline]] bool resize(void* block, size_t bytes) {
        const Cell cell = find(block);
        if (cell.bin == nullptr || cell.bin == bins_) return false;
        if (!stays_in_cell(bytes, cell.bin->cell_bytes)) return false;
        atomic::store(states()[cell.state], resized_state(bytes));
        return true;
    }

    // The same for heaps that watch what lies behind a block; every request has a byte to watch.
    void* allocate_watched(size_t bytes);
    bool free_watched(void* block) { return watched_slots_ != 0 && put_if_intact(block); }
    // The fast paths where free cells are filled besides, for small blocks that leave up to two
    // words of a cell.
    [[gnu::always_inline]] void* allocate_poisoned(size_t bytes) {
        if (bytes >= most_poisoned_) return nullptr;
        Bin& bin = bin_at(quick_bins.of_granules[bytes / granule + 1]);
        const size_t cell_bytes = bin.cell_bytes;
        CellRef* const top = bin.top;
        if (top == bin.begin) return nullptr;
        unsigned char* const block = top[-1].block;
        if (block == nullptr) __builtin_unreachable();
        if (!is_poisoned(block, cell_bytes)) return nullptr;
        bin.top = top - 1;
        const size_t slack = cell_bytes - bytes;
        atomic::store(states()[top[-1].state], static_cast<unsigned char>(cell_live + slack));
        slack_ += slack;
        return block;
    }
    [[gnu::always_inline]] bool free_poisoned(void* block) {
        if (most_poisoned_ == 0) return false;
        const Cell cell = find_cell(block, watched_slots_);
        if (cell.bin == nullptr) return false;
        Bin& bin = *cell.bin;
        const size_t cell_bytes = bin.cell_bytes;
        const size_t slack = size_t{states()[cell.state]} - cell_live;
        if (cell_bytes > most_poisoned_ || slack - 1 >= 2 * canary_step) return false;
        auto* const start = static_cast<unsigned char*>(block);
        if (!short_canary_intact(start, slack, cell_bytes)) return false;
        CellRef* const top = bin.top;
        if (top == bin.end) return false;
        slack_ -= slack;
        atomic::store(states()[cell.state], cell_cached);
        bin.top = top + 1;
        *top = CellRef{start, cell.state};
        poison_granules(start, cell_bytes);
        return true;
    }

    // As allocate, for all that lies in spans; null also when there is nothing at hand.
    void* allocate_cell(size_t bytes) {
        if (quick_end_ == 0) return nullptr;
        if (bytes > largest_medium) return nullptr;
        const unsigned larger = bytes > largest_cell ? guarded_classes : 0;
        Bin& bin = bins_[class_for(bytes) + larger + 1];
        if (bin.top == bin.begin && !turn_to_full(bin)) return nullptr;
        return take(bin, bytes);
    }
    // As free, and turns to the spare array.
    bool free_cell(void* block) {
        const Cell cell = find(block);
        if (cell.bin == nullptr) return false;
        if (cell.bin->top == cell.bin->end && !turn_to_empty(*cell.bin)) return false;
        return put(*cell.bin, block, cell.state);
    }
    // Has the next allocation take the slow path, and be sampled there.
    void sample_next() {
        quick_end_ = watched_end_ = 0;
        sample_next_ = true;
    }
    unsigned lane() const { return lane_; }
    // How many cells of the class lie here.
    size_t count(unsigned size_class) const {
        const Bin& bin = bins_[size_class + 1];
        return static_cast<size_t>(bin.top - bin.begin) + bin.spare_count;
    }

  private:
    friend class HeapCore;

    // Of one class. `top` is behind the last cell of the main array.
    struct alignas(SlotEntry::bin_bytes) Bin {
        CellRef* top;
        CellRef* begin;
        CellRef* end;
        CellRef* spare;
        uintptr_t reciprocal;  // of the stride: 2^(bits of a word) / stride, rounded up
        uint32_t mask;         // from an address to its place in the span
        uint32_t cell_bytes;
        uint8_t spare_count;
        bool spare_seen;  // by `age`, as it is now
        uint16_t padded_cells;
    };
    static_assert(sizeof(Bin) == SlotEntry::bin_bytes);

    // Arrays for medium cells, which only the classes have that were freed last.
    struct MediumArrays {
        static constexpr unsigned count = 8;
        static constexpr unsigned most_cells = 4;
        unsigned next;  // the one that another class gets next
        size_t bytes;   // of as many cells as there is room for
        size_t most_bytes;
        Bin* bins[count];      // null when nobody has it
        CellRef* seen[count];  // their tops, by `age`
        CellRef cells[count][most_cells];
    };

    Bin& bin_at(uintptr_t offset) {
        return *reinterpret_cast<Bin*>(reinterpret_cast<unsigned char*>(bins_) + offset);
    }
    unsigned char* states() const { return reinterpret_cast<unsigned char*>(map_); }
    [[gnu::always_inline]] void* take(Bin& bin, size_t bytes) {
        CellRef* top = bin.top;
        if (top == bin.begin) return nullptr;
        bin.top = --top;
        atomic::store(states()[top->state], live_state(bytes));
        unsigned char* const block = top->block;
        if (block == nullptr) __builtin_unreachable();
        return block;
    }
    // A cell for so many bytes, which leave at least one of it. Null, and nothing changed, when
    // there is none, or it was written to while it was free.
    [[gnu::noinline]] void* take_watched(Bin& bin, size_t bytes);
    bool put_if_intact(void* block);
    // A block that leaves so many bytes of its cell, found intact.
    void put_watched(Bin& bin, unsigned char* block, uintptr_t state, size_t slack);
    // Where the slack of a cell is kept whose state has no room for it. `cell`: its number.
    uint16_t& slack_at(const Bin& bin, uintptr_t state, size_t cell) const {
        const uintptr_t first = state - cell;
        return reinterpret_cast<uint16_t*>(states() + first + bin.padded_cells)[cell];
    }
    size_t number_of(const Bin& bin, const void* block) const {
        const auto offset = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(block)) & bin.mask;
        return product(offset, bin.reciprocal).high;
    }

    static constexpr uintptr_t least_reciprocal = SIZE_MAX / largest_cell;
    static_assert(least_reciprocal >= largest_span);
    struct Product {
        uintptr_t high;
        uintptr_t low;
    };
    [[gnu::always_inline]] static Product product(uintptr_t a, uintptr_t b) {
        const DoubleWord whole = DoubleWord{a} * b;
        return {static_cast<uintptr_t>(whole >> bit_width_of<uintptr_t>),
                static_cast<uintptr_t>(whole)};
    }

    struct Cell {
        Bin* bin;  // null when it is no live block, as far as the fast path can tell
        uintptr_t state;
    };
    // The start of a cell of a span, whose state is to be looked at yet; or of nobody's bin, which
    // has no arrays.
    [[gnu::always_inline]] Cell find_cell(const void* block, size_t slots) {
        const auto address = reinterpret_cast<uintptr_t>(block);
        const uintptr_t slot = (address - base_) >> slot_shift;
        if (slot >= slots) return {};
        Bin& bin = bin_at(map_[slot].bin());
        // A whole multiple of the stride leaves less than the span has bytes in the low word,
        // anything else at least the reciprocal.
        const Product place = product(static_cast<uint32_t>(address) & bin.mask, bin.reciprocal);
        if (place.low > least_reciprocal) return {};
        return {&bin, place.high + map_[slot].states()};
    }
    [[gnu::always_inline]] Cell find(const void* block) {
        const Cell cell = find_cell(block, slots_);
        // Nobody but its owner writes a live block's state, so this need not be atomic.
        if (cell.bin == nullptr || states()[cell.state] < cell_live) return {};
        return cell;
    }
    [[gnu::always_inline]] bool put(Bin& bin, void* block, uintptr_t state) {
        CellRef* const top = bin.top;
        if (top == bin.end) return false;
        atomic::store(states()[state], cell_cached);
        // So that the compiler counts in memory: one instruction where there would be two.
        __asm__("" : "+m"(bin.top));
        ++bin.top;
        *top = CellRef{static_cast<unsigned char*>(block), state};
        return true;
    }
    static void turn(Bin& bin, size_t capacity) {
        CellRef* const main = bin.begin;
        const auto count = static_cast<uint8_t>(bin.top - main);
        bin.begin = bin.spare;
        bin.top = bin.spare + bin.spare_count;
        bin.end = bin.spare + capacity;
        bin.spare = main;
        bin.spare_count = count;
        bin.spare_seen = false;
    }
    // The main array is empty: false when the spare is too.
    static bool turn_to_full(Bin& bin) {
        if (bin.spare_count == 0) return false;
        turn(bin, static_cast<size_t>(bin.end - bin.begin));
        return true;
    }
    // The main array is full: false when the spare is not empty, or not there.
    static bool turn_to_empty(Bin& bin) {
        if (bin.spare == nullptr || bin.spare_count != 0) return false;
        turn(bin, static_cast<size_t>(bin.end - bin.begin));
        return true;
    }

    // Of the first arena, as far as this CPU knows. All zero: every call takes the slow path.
    size_t quick_end_ = 0;
    size_t watched_end_ = 0;
    uintptr_t base_ = 0;
    size_t slots_ = 0;
    size_t watched_slots_ = 0;
    SlotEntry* map_ = nullptr;
    size_t slack_ = 0;  // of blocks given out, less that of blocks taken back
    // Where free cells are filled: the largest cell whose slack lies in its state, so that whatever
    // is smaller than it gets one of these. Else zero.
    size_t most_poisoned_ = 0;
    Bin bins_[class_count + 1] = {};
    MediumArrays medium_ = {};
    bool sample_next_ = false;
    uint8_t lane_ = 0;  // see span_record.hpp
};

}  // namespace quire::heap_internal
