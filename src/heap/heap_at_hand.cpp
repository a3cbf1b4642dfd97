// SPDX-License-Identifier: MIT
// What CPUs that keep blocks at hand ask the core for, a bounded number of cells at a time.
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

namespace {

// Cells that go from and to spans at a time: an operation that has to wait for it is not much
// longer than others.
constexpr unsigned batch = 16;
// Medium cells that a CPU keeps, at most.
constexpr size_t most_medium_bytes = size_t{2} << 20;
constexpr size_t most_medium_bytes_of_class = largest_medium;
// What waits in the depot, for each class: of large cells 64, since a magazine has few.
constexpr size_t depot_bytes = size_t{256} << 10;
constexpr size_t depot_bytes_of_large = size_t{1} << 20;

constexpr size_t most_poisoned = [] {
    unsigned index = 0;
    while (size_classes.entries[index + 1].cell_bytes <= most_slack_in_state)
        ++index;
    return size_t{size_classes.entries[index].cell_bytes};
}();

constexpr unsigned depot_magazines(const SizeClass& shape) {
    const size_t bytes = size_t{shape.magazine_cells()} * shape.cell_bytes;
    const size_t most = shape.cell_bytes > largest_cell / 4 ? depot_bytes_of_large : depot_bytes;
    return static_cast<unsigned>(max(most / bytes, size_t{2}));
}

}  // namespace

// What the CPU needs for its fast path. The tables grow, but for the first arena they never move.
void HeapCore::welcome(CpuBlocks& cpu) {
    if (!keeps_at_hand()) return;
    const Arena& arena = arenas_[0];
    if (cpu.map_ == nullptr) {
        for (unsigned index = 0; index < class_count; ++index) {
            const SizeClass& shape = size_classes.entries[index];
            CpuBlocks::Bin& bin = cpu.bins_[index + 1];
            // A medium cell begins where its span does, which may be in any slot.
            const bool medium = shape.medium();
            const size_t stride = medium ? min(slot_bytes, largest_cell) : shape.stride;
            bin.reciprocal = SIZE_MAX / stride + 1;
            bin.mask = static_cast<uint32_t>(medium ? slot_bytes - 1 : shape.span_bytes() - 1);
            bin.cell_bytes = shape.cell_bytes;
            bin.padded_cells = static_cast<uint16_t>(shape.padded_cells());
        }
        cpu.map_ = arena.map();
        cpu.base_ = reinterpret_cast<uintptr_t>(arena.base());
        cpu.most_poisoned_ = options_.poison_freed ? most_poisoned : 0;
        cpu.medium_.most_bytes = min(options_.cached_bytes / 2, most_medium_bytes);
        shared_ = true;
    }
    if (cpu.lane_ == no_lane) enter_lane(cpu);
    // With guards between cells, or where not every request has a byte to watch, the tables say too
    // little.
    const bool all = options_.overrun_check == OverrunCheck::every_block;
    cpu.watched_end_ = all ? watched_limit : 0;
    cpu.quick_end_ = watches_slack() ? 0 : quick_limit + 1;
    (watches_slack() ? cpu.watched_slots_ : cpu.slots_) = arena.recorded_slots();
}

// Whether cells of the class go through CPUs' arrays.
bool HeapCore::may_lie_at_hand(unsigned size_class) const {
    if (size_class == no_class || !keeps_at_hand()) return false;
    if (!watches_slack()) return true;
    return options_.overrun_check == OverrunCheck::every_block &&
           size_classes.entries[size_class].cell_bytes <= watched_limit;
}

CellRef* HeapCore::new_magazine(unsigned size_class) {
    const unsigned shift = size_classes.entries[size_class].magazine_shift;
    MetadataStore& store = arenas_[0].store();
    if (!store.has_room(shift)) return nullptr;
    unsigned char* const piece = store.allocate(pages_, shift);
    if (piece == nullptr) {
        if (pages_.closed()) wanted_piece_ = shift;
        return nullptr;
    }
    return construct_at(reinterpret_cast<Magazine*>(piece), Magazine{nullptr})->cells();
}

void HeapCore::drop_magazine(CellRef* cells, unsigned size_class) {
    arenas_[0].store().free(reinterpret_cast<unsigned char*>(Magazine::of(cells)),
                            size_classes.entries[size_class].magazine_shift);
}

SpanRecord* HeapCore::span_of(const void* block) const {
    for (const Arena& arena : arenas())
        if (arena.contains(block)) return arena.span_at(block);
    return nullptr;
}

// Up to so many cells of the span that have memory.
unsigned HeapCore::take_cells(SpanRecord& span, CellRef* cells, unsigned wanted) {
    const SizeClass& shape = span.geometry();
    const unsigned from_bin = span.bin_link.linked() ? span.bin() : no_bin;
    const uintptr_t states =
        reinterpret_cast<uintptr_t>(span.states) - reinterpret_cast<uintptr_t>(arenas_[0].map());
    const unsigned count =
        span.take_some(cells, min(wanted, batch),
                       static_cast<unsigned>(span.committed_bytes() / shape.cell_bytes), states);
    refile(span, from_bin);
    use_.add(shape.cell_bytes, shape.cell_bytes, count);
    return count;
}

// The first of the cells go back to the span, which they are of, or of none; how many.
size_t HeapCore::put_run(SpanRecord& span, const CellRef* cells, size_t count) {
    const uintptr_t first =
        reinterpret_cast<uintptr_t>(span.states) - reinterpret_cast<uintptr_t>(arenas_[0].map());
    const unsigned from_bin = span.full() ? no_bin : span.bin();
    size_t taken_back = 0;
    size_t i = 0;
    for (; i < count; ++i) {
        const uintptr_t cell = cells[i].state - first;
        const bool of_span = cell < span.touched;
        if (!of_span && i != 0) break;
        if (!of_span || span.state(static_cast<unsigned>(cell)) != cell_cached) {
            ++late_refusals_;
            continue;
        }
        span.put_back(static_cast<unsigned>(cell));
        ++taken_back;
    }
    const bool stays = span.used != 0 && !span.full() && span.bin() == from_bin;
    if (taken_back != 0 && !stays) refile(span, from_bin);
    use_.remove(span.geometry().cell_bytes, span.geometry().cell_bytes, taken_back);
    return i;
}

void HeapCore::put_cells(const CellRef* cells, size_t count) {
    for (size_t done = 0; done < count;) {
        SpanRecord* const span = span_of(cells[done].block);
        late_refusals_ += span == nullptr ? 1 : 0;
        done += span == nullptr ? 1 : put_run(*span, cells + done, count - done);
    }
    give_back_surplus();
}

// An array that CPUs of the lane filled becomes the bin's. False when there is none.
bool HeapCore::take_magazine(CpuBlocks::Bin& bin, unsigned size_class, unsigned lane) {
    Magazine*& filled = depot_[size_class][lane];
    if (filled == nullptr) return false;
    if (bin.begin != nullptr) drop_magazine(bin.begin, size_class);
    bin.begin = filled->cells();
    bin.top = bin.end = bin.begin + size_classes.entries[size_class].magazine_cells();
    filled = filled->next;
    --depot_count_[size_class];
    return true;
}

bool HeapCore::take_any_magazine(CpuBlocks::Bin& bin, unsigned size_class) {
    if (depot_count_[size_class] == 0) return false;
    for (unsigned lane = 0; lane <= lanes; ++lane)
        if (take_magazine(bin, size_class, lane)) return true;
    return false;
}

// Cells for a bin without any. False when there are none to be had in the ordinary way, or they are
// too large to be taken before they are wanted.
bool HeapCore::refill(CpuBlocks& cpu, CpuBlocks::Bin& bin, unsigned size_class) {
    if (size_class >= first_medium) return false;
    const SizeClass& shape = size_classes.entries[size_class];
    // Others' cells, where their states' lines belong to other CPUs, before new ones; and at once
    // where no more can wait, so that what one CPU allocates and another frees goes round in
    // arrays.
    if (take_magazine(bin, size_class, cpu.lane_)) return true;
    const bool many = depot_count_[size_class] >= depot_magazines(shape);
    if ((many || own_span(size_class, cpu.lane_) == nullptr) && take_any_magazine(bin, size_class))
        return true;
    if (bin.begin == nullptr) {
        bin.begin = bin.top = new_magazine(size_class);
        if (bin.begin == nullptr) {
            bin.end = nullptr;
            return false;
        }
        bin.end = bin.begin + shape.magazine_cells();
    }
    SpanRecord* const span = find_span(size_class, cpu.lane_);
    if (span != nullptr) bin.top += take_cells(*span, bin.top, shape.magazine_cells());
    return bin.top != bin.begin;
}

// Room for a cell in a bin whose main array is full, or not there. False when bookkeeping memory
// cannot be had.
bool HeapCore::make_room(CpuBlocks& cpu, CpuBlocks::Bin& bin, unsigned size_class) {
    const size_t capacity = size_classes.entries[size_class].magazine_cells();
    if (size_class >= first_medium) return make_medium_room(cpu, bin);
    if (bin.begin == nullptr) {
        bin.begin = bin.top = new_magazine(size_class);
        bin.end = bin.begin == nullptr ? nullptr : bin.begin + capacity;
        return bin.begin != nullptr;
    }
    if (bin.spare_count == capacity &&
        depot_count_[size_class] < depot_magazines(size_classes.entries[size_class])) {
        Magazine* const full = Magazine::of(bin.spare);
        full->next = depot_[size_class][cpu.lane_];
        full->since = tick_;
        depot_[size_class][cpu.lane_] = full;
        ++depot_count_[size_class];
        bin.spare = nullptr;
        bin.spare_count = 0;
    }
    if (bin.spare == nullptr) bin.spare = new_magazine(size_class);
    if (bin.spare == nullptr) return false;
    // What was freed first goes back to its spans.
    const unsigned surplus = min(static_cast<unsigned>(bin.spare_count), batch);
    bin.spare_count = static_cast<uint8_t>(bin.spare_count - surplus);
    put_cells(bin.spare + bin.spare_count, surplus);
    CpuBlocks::turn(bin, capacity);
    return true;
}

// Null when there is nothing to be had in the ordinary way, or the next cell was written to while
// it was free: then it is taken out, and `broken_` says where.
void* HeapCore::take_at_hand(CpuBlocks& cpu, unsigned size_class, size_t bytes) {
    CpuBlocks::Bin& bin = cpu.bins_[size_class + 1];
    if (bin.top == bin.begin && !cpu.turn_to_full(bin) && !refill(cpu, bin, size_class))
        return nullptr;
    if (!watches_slack()) return cpu.take(bin, bytes);
    void* const block = cpu.take_watched(bin, bytes);
    if (block == nullptr) {
        --bin.top;
        broken_ = broken_poison(bin.top->block, bin.cell_bytes);
    }
    return block;
}

Result<void*> HeapCore::allocate_for(CpuBlocks& cpu, size_t bytes, size_t alignment, Fill fill) {
    if (!is_power_of_two(alignment)) return Failure{Error::bad_argument, alignment};
    welcome(cpu);
    const unsigned size_class = class_of(bytes, alignment);
    if (may_lie_at_hand(size_class)) {
        if (void* const sampled = sample(bytes, alignment)) return sampled;
        void* const block = take_at_hand(cpu, size_class, bytes);
        if (broken_ != nullptr) return judge(nullptr, bytes);
        if (block != nullptr && fill == Fill::zero) __builtin_memset(block, 0, bytes);
        if (block != nullptr) return block;
    }
    const Result<void*> block = allocate_aligned(bytes, alignment, fill, cpu.lane_);
    if (block.ok() || block.error() != Error::out_of_memory) return block;
    drain(cpu);
    drain_depot();
    return allocate_aligned(bytes, alignment, fill);
}

// What becomes of a block that its owner gave back: a cell stays with the CPU.
Status HeapCore::keep_at_hand(CpuBlocks& cpu, const Block& block) {
    if (block.span == nullptr) return free_block(block);
    SpanRecord& span = *block.span;
    if (!may_lie_at_hand(span.size_class)) return free_block(block);
    CpuBlocks::Bin& bin = cpu.bins_[span.size_class + 1];
    if (bin.top == bin.end && !cpu.turn_to_empty(bin) && !make_room(cpu, bin, span.size_class)) {
        return free_block(block);
    }
    cpu.put_watched(bin, block.start, state_of(block), block.capacity - block.requested);
    return {};
}

uintptr_t HeapCore::state_of(const Block& block) const {
    return reinterpret_cast<uintptr_t>(block.span->states + block.cell) -
           reinterpret_cast<uintptr_t>(arenas_[0].map());
}

// Takes an array for medium cells back.
void HeapCore::empty_medium(CpuBlocks& cpu, unsigned index) {
    CpuBlocks::Bin* const bin = cpu.medium_.bins[index];
    if (bin == nullptr) return;
    put_cells(bin->begin, static_cast<size_t>(bin->top - bin->begin));
    cpu.medium_.bytes -= static_cast<size_t>(bin->end - bin->begin) * bin->cell_bytes;
    bin->top = bin->begin = bin->end = nullptr;
    cpu.medium_.bins[index] = nullptr;
}

// Room for a medium cell: an array, taken from those that got theirs first. False when the cells
// are too large to be kept, or have an array already, which is full.
bool HeapCore::make_medium_room(CpuBlocks& cpu, CpuBlocks::Bin& bin) {
    CpuBlocks::MediumArrays& arrays = cpu.medium_;
    const size_t room = min(min(most_medium_bytes_of_class, arrays.most_bytes) / bin.cell_bytes,
                            size_t{arrays.most_cells});
    if (bin.begin != nullptr || room == 0) return false;
    unsigned index = 0;
    do {
        index = arrays.next;
        arrays.next = (index + 1) % arrays.count;
        empty_medium(cpu, index);
    } while (arrays.bytes + room * bin.cell_bytes > arrays.most_bytes);
    arrays.bins[index] = &bin;
    arrays.bytes += room * bin.cell_bytes;
    bin.begin = bin.top = arrays.cells[index];
    bin.end = bin.begin + room;
    return true;
}

Status HeapCore::free_for(CpuBlocks& cpu, void* block) {
    welcome(cpu);
    const Result<Block> located = locate_intact(block);
    if (!located.ok()) return located.failure();
    return keep_at_hand(cpu, *located);
}

Status HeapCore::free_sized_for(CpuBlocks& cpu, void* block, size_t bytes, size_t alignment) {
    welcome(cpu);
    const Result<Block> located = locate_intact(block);
    if (!located.ok()) return located.failure();
    if (!is_size_of(*located, bytes, alignment)) {
        return Failure{Error::bad_argument, reinterpret_cast<uintptr_t>(block)};
    }
    return keep_at_hand(cpu, *located);
}

void HeapCore::drain(CpuBlocks& cpu) {
    leave_lane(cpu);
    for (unsigned index = 0; index < CpuBlocks::MediumArrays::count; ++index)
        empty_medium(cpu, index);
    for (unsigned index = 0; index < class_count; ++index) {
        CpuBlocks::Bin& bin = cpu.bins_[index + 1];
        put_cells(bin.begin, static_cast<size_t>(bin.top - bin.begin));
        put_cells(bin.spare, bin.spare_count);
        if (bin.begin != nullptr) drop_magazine(bin.begin, index);
        if (bin.spare != nullptr) drop_magazine(bin.spare, index);
        bin.top = bin.begin = bin.end = bin.spare = nullptr;
        bin.spare_count = 0;
    }
}

void HeapCore::drop_from_depot(Magazine* full, unsigned size_class) {
    while (full != nullptr) {
        Magazine* const next = full->next;
        put_cells(full->cells(), size_classes.entries[size_class].magazine_cells());
        drop_magazine(full->cells(), size_class);
        --depot_count_[size_class];
        full = next;
    }
}

void HeapCore::drain_depot() {
    for (unsigned index = 0; index < class_count; ++index) {
        for (Magazine*& filled : depot_[index]) {
            drop_from_depot(filled, index);
            filled = nullptr;
        }
    }
}

AtHand HeapCore::at_hand(const CpuBlocks& cpu) const {
    AtHand sum{0, 0, cpu.slack_};
    for (unsigned index = 0; index < class_count; ++index) {
        const size_t count = cpu.count(index);
        sum.blocks += count;
        sum.bytes += count * size_classes.entries[index].cell_bytes;
    }
    return sum;
}

AtHand HeapCore::in_depot() const {
    AtHand sum{};
    for (unsigned index = 0; index < class_count; ++index) {
        const SizeClass& shape = size_classes.entries[index];
        const size_t count = size_t{depot_count_[index]} * shape.magazine_cells();
        sum.blocks += count;
        sum.bytes += count * shape.cell_bytes;
    }
    return sum;
}

}  // namespace quire::heap_internal
