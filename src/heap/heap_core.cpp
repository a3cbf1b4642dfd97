// SPDX-License-Identifier: MIT
// The heap's life: start, allocate, stop, and its figures.
#include "quire/heap/heap_core.hpp"

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

namespace {

// Arenas double up to this, so that a few suffice, where address space is plentiful: 4 GiB, which
// is zero in 32 bits.
constexpr size_t largest_arena = size_t{1} << 16 << 16;

constexpr size_t round_up_to_spans(size_t bytes) {
    return (bytes + largest_span - 1) & ~(largest_span - 1);
}

}  // namespace

Status HeapCore::start(PageSource& pages, Platform& platform, const HeapOptions& options) {
    if (started()) return Failure{Error::bad_argument};
    if (options.arena_bytes == 0) return Failure{Error::bad_argument};
    if (options.arena_bytes > SIZE_MAX / 2) {
        return Failure{Error::out_of_address_space, options.arena_bytes};
    }
    pages_.start(pages, platform);
    const size_t bytes = round_up_to_spans(options.arena_bytes);
    if (!arenas_[0].create(pages_, bytes)) return pages_.failure();
    arena_count_ = 1;
    options_ = options;
    options_.arena_bytes = next_arena_bytes_ = bytes;
    // Such a block leaves a page range its guard, and must fit the smallest arena that may come.
    const bool medium = !watches_slack() && bytes / 16 >= largest_medium;
    largest_in_span_ = medium ? largest_medium : largest_cell;
    random_.start(options.seed ^ reinterpret_cast<uintptr_t>(arenas_[0].base()) >> page_shift);
    until_sample_ = 1;
    return {};
}

void HeapCore::stop() {
    while (LargeBlock* large = large_.first()) {
        large_.remove(*large);
        pages_.release(large->base, large->reserved, large->committed);
    }
    while (give_back_kept()) {
    }
    while (give_back_retired()) {
    }
    samples_.stop(pages_);
    quarantine_.clear();
    for (auto& of_class : bins_) {
        for (Bin& bin : of_class) {
            while (bin.pop_front() != nullptr) {
            }
        }
    }
    while (empty_spans_.pop_front() != nullptr) {
    }
    for (Arena& arena : arenas())
        arena.destroy(pages_);
    arena_count_ = 0;
    use_ = Use{};
    cached_bytes_ = 0;
    allocations_ = frees_ = 0;
    for (const void*& freed : freed_large_)
        freed = nullptr;
    for (unsigned index = 0; index < class_count; ++index) {
        for (Magazine*& filled : depot_[index])
            filled = nullptr;
        depot_count_[index] = 0;
    }
    late_refusals_ = 0;
    broken_ = nullptr;
    retired_ = nullptr;
    retired_bytes_ = 0;
    wanted_piece_ = 0;
    sizes_vary_ = shared_ = false;
}

unsigned HeapCore::class_of(size_t bytes, size_t alignment) const {
    if (bytes > largest_in_span_ || alignment > page_size) return no_class;
    if (bytes > largest_cell) return medium_class_for(bytes);
    const bool padded = options_.overrun_check == OverrunCheck::every_block;
    const size_t pages = bytes / page_size;
    const bool guarded = padded && options_.guard_pages;
    if (guarded && pages * page_size == bytes && pages - 1 < guarded_classes) {
        return ordinary_classes + static_cast<unsigned>(pages) - 1;
    }
    const size_t needed = bytes + (padded ? 1 : 0);
    if (needed > largest_cell) return no_class;
    unsigned index = class_for(needed);
    // A power of two comes within eight classes.
    while (index < ordinary_classes &&
           (size_classes.entries[index].cell_bytes & (alignment - 1)) != 0)
        ++index;
    return index < ordinary_classes ? index : no_class;
}

size_t HeapCore::natural_alignment(size_t bytes) const {
    const bool natural = options_.overrun_check != OverrunCheck::every_block &&
                         is_power_of_two(bytes) && bytes <= page_size;
    return natural ? bytes : 1;
}

Result<void*> HeapCore::allocate_aligned(size_t bytes, size_t alignment, Fill fill, unsigned lane) {
    if (!started()) return Failure{Error::bad_argument};
    if (!is_power_of_two(alignment)) return Failure{Error::bad_argument, alignment};
    if (void* const sampled = sample(bytes, alignment)) return sampled;
    const unsigned size_class = class_of(bytes, alignment);
    const bool large = size_class == no_class;
    void* const block =
        large ? allocate_large(bytes, alignment, 0)
              : allocate_cell(size_class, bytes, alignment, LargerCell::if_need_be, lane);
    if (block == nullptr || broken_ != nullptr) return judge(block, bytes);
    if (fill == Fill::zero && !fresh_) __builtin_memset(block, 0, bytes);
    return block;
}

// Of an allocation that failed: no memory, or a free block that was written to. Such a block is
// given to nobody.
Result<void*> HeapCore::judge(void* block, size_t bytes) {
    const unsigned char* const where = broken_;
    broken_ = nullptr;
    if (where != nullptr) return Failure{Error::corrupted, reinterpret_cast<uintptr_t>(where)};
    if (block == nullptr) return Failure{Error::out_of_memory, bytes};
    return block;
}

Arena& HeapCore::arena_of(const SpanRecord& span) {
    for (Arena& arena : arenas())
        if (arena.contains(span.base)) return arena;
    trap();
}

// Makes another arena, the last. False when there are too many, or the page source fails.
bool HeapCore::add_arena() {
    if (arena_count_ == max_arenas) return false;
    // Where address space is scarce, a smaller arena is better than none.
    const size_t least = max(options_.arena_bytes / 16, largest_span);
    size_t bytes = next_arena_bytes_;
    while (!arenas_[arena_count_].create(pages_, bytes)) {
        if (pages_.failure().error != Error::out_of_address_space || bytes / 2 < least)
            return false;
        bytes = round_up_to_spans(bytes / 2);
    }
    ++arena_count_;
    next_arena_bytes_ = max(bytes, min(bytes * 2, largest_arena));
    return true;
}

void HeapCore::undo_add_arena() {
    Arena& last = arenas_[arena_count_ - 1];
    next_arena_bytes_ = last.bytes();
    if (last.destroy(pages_)) --arena_count_;
}

size_t HeapCore::trim() {
    const size_t before = pages_.committed_bytes();
    settle();
    drain_depot();
    drain_quarantine();
    give_back_empty_spans();
    for (unsigned i = arena_count_; i-- > 0;) {
        Arena& arena = arenas_[i];
        arena.store().trim(pages_);
        if (i == 0 || !arena.idle() || !arena.destroy(pages_)) continue;
        arena = arenas_[--arena_count_];
    }
    return before - pages_.committed_bytes();
}

HeapCounters HeapCore::counters() const {
    size_t bookkeeping = 0;
    for (const Arena& arena : arenas())
        bookkeeping += arena.bookkeeping_bytes();
    const AtHand between = in_depot();
    return HeapCounters{
        .live_blocks = use_.blocks - between.blocks - quarantine_.count(),
        .live_bytes = use_.live_bytes - between.bytes - quarantine_.bytes(),
        .usable_bytes = use_.usable_bytes - between.bytes - quarantine_.bytes(),
        .committed_bytes = pages_.committed_bytes(),
        .peak_committed_bytes = pages_.peak_committed_bytes(),
        .allocations = allocations_,
        .frees = frees_,
        .reserved_bytes = pages_.reserved_bytes(),
        .bookkeeping_bytes = bookkeeping,
        .cached_bytes = cached_bytes_ + kept_.bytes() + retired_bytes_,
        .large_blocks = large_.size(),
    };
}

}  // namespace quire::heap_internal
