// SPDX-License-Identifier: MIT
// From an address to a block, and the end of blocks.
#include "quire/heap/canary.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

uint64_t address_value(const void* address) {
    return reinterpret_cast<uintptr_t>(address);
}

}  // namespace

Result<HeapCore::Block> HeapCore::locate_in_span(const SpanRecord& span,
                                                 const void* address) const {
    const SizeClass& shape = span.geometry();
    const auto offset = static_cast<size_t>(static_cast<const unsigned char*>(address) - span.base);
    const unsigned cell = shape.index_of(offset);
    const bool at_start = size_t{cell} * shape.stride == offset;
    if (cell >= span.touched) return Failure{Error::foreign, address_value(address)};
    if (!at_start) return Failure{Error::misaligned, address_value(address)};
    const unsigned state = span.state(cell);
    if (state < cell_live) return Failure{Error::already_free, address_value(address)};
    return Block{
        .start = span.base + offset,
        .span = const_cast<SpanRecord*>(&span),
        .large = nullptr,
        .guarded = nullptr,
        .cell = cell,
        .requested = shape.cell_bytes - span.slack(cell),
        .capacity = shape.cell_bytes,
    };
}

Result<HeapCore::Block> HeapCore::locate_sample(const void* address) const {
    const GuardedBlocks::Block& block = samples_.nearest(address);
    const auto* const at = static_cast<const unsigned char*>(address);
    const bool inside = at > block.start && at < block.start + block.bytes;
    if (block.start == nullptr || (at != block.start && !(block.live && inside))) {
        return Failure{Error::foreign, address_value(address)};
    }
    if (!block.live) return Failure{Error::already_free, address_value(address)};
    if (inside) return Failure{Error::misaligned, address_value(address)};
    return Block{
        .start = block.start,
        .span = nullptr,
        .large = nullptr,
        .guarded = const_cast<GuardedBlocks::Block*>(&block),
        .cell = 0,
        .requested = block.bytes,
        .capacity = GuardedBlocks::capacity_of(block),
    };
}

Result<HeapCore::Block> HeapCore::locate(const void* address) const {
    if (samples_.contains(address)) return locate_sample(address);
    for (const Arena& arena : arenas()) {
        if (!arena.contains(address)) continue;
        const SpanRecord* const span = arena.span_at(address);
        if (span != nullptr) return locate_in_span(*span, address);
        const bool freed = arena.began_block(address);
        return Failure{freed ? Error::already_free : Error::foreign, address_value(address)};
    }
    LargeBlock* large = large_.find(address);
    if (large == nullptr) {
        if (kept_.holds(address)) return Failure{Error::already_free, address_value(address)};
        for (const void* freed : freed_large_)
            if (freed == address && freed != nullptr) {
                return Failure{Error::already_free, address_value(address)};
            }
        return Failure{Error::foreign, address_value(address)};
    }
    if (large->base != address) return Failure{Error::misaligned, address_value(address)};
    return Block{
        .start = large->base,
        .span = nullptr,
        .large = large,
        .guarded = nullptr,
        .cell = 0,
        .requested = kept_bytes(large->requested, large->committed),
        .capacity = large->committed,
    };
}

const unsigned char* HeapCore::broken_byte(const Block& block) {
    if (block.guarded != nullptr) return GuardedBlocks::broken(*block.guarded);
    return broken_canary(block.start, block.requested, block.capacity);
}

Result<HeapCore::Block> HeapCore::locate_intact(const void* address) const {
    const Result<Block> located = locate(address);
    if (!located.ok()) return located;
    const unsigned char* const broken = broken_byte(*located);
    if (broken != nullptr) return Failure{Error::corrupted, address_value(broken)};
    return located;
}

Status HeapCore::free_block(const Block& block) {
    if (block.large != nullptr) return free_large(block);
    block.guarded != nullptr ? free_sample(block) : free_cell(block);
    return {};
}

Status HeapCore::free(void* block) {
    if (block == nullptr) return {};
    const Result<Block> located = locate_intact(block);
    if (!located.ok()) return located.failure();
    return free_block(*located);
}

// Where slack is not kept, what the state of its cell says of it.
bool HeapCore::is_size_of(const Block& block, size_t bytes, size_t alignment) const {
    if (watches_slack() || block.guarded != nullptr) return bytes == block.requested;
    if (block.large != nullptr) return bytes == block.large->requested;
    if (bytes > block.capacity) return false;
    const unsigned state = block.span->state(block.cell);
    if (is_resized(state)) {
        return state == resized_state(bytes) &&
               (sizes_vary_ || stays_in_cell(bytes, block.capacity));
    }
    return state == live_state(bytes) &&
           (sizes_vary_ || class_of(bytes, alignment) == block.span->size_class);
}

Status HeapCore::free_sized(void* block, size_t bytes, size_t alignment) {
    if (block == nullptr) return {};
    const Result<Block> located = locate_intact(block);
    if (!located.ok()) return located.failure();
    if (!is_size_of(*located, bytes, alignment))
        return Failure{Error::bad_argument, address_value(block)};
    return free_block(*located);
}

Result<size_t> HeapCore::usable_size(const void* block) const {
    const Result<Block> located = locate(block);
    if (!located.ok()) return located.failure();
    return located->requested;
}

// A block stays in its cell when the bytes, and one to watch, fit there and use half of it.
bool HeapCore::fits_in_place(const Block& block, size_t bytes) const {
    const bool padded =
        options_.overrun_check == OverrunCheck::every_block && !block.span->geometry().guarded;
    if (bytes > block.capacity - (padded ? 1 : 0)) return false;
    return stays_in_cell(bytes, block.capacity);
}

size_t HeapCore::room_for(const Block& block, size_t bytes) const {
    const bool again = !watches_slack() && block.span != nullptr && bytes > block.capacity &&
                       is_resized(block.span->state(block.cell));
    // Powers of two keep their alignment.
    if (!again || natural_alignment(bytes) > granule) return bytes;
    return room_to_grow(bytes, largest_in_span_);
}

// A size not above the block's own always fits.
HeapCore::Resized HeapCore::resize_in_place(void* address, size_t bytes, Shrink shrink) {
    const Result<Block> located = locate_intact(address);
    if (!located.ok()) return Resized::misused;
    if (located->guarded != nullptr) {
        const bool stays = shrink == Shrink::always || bytes == located->requested;
        return stays && shrink_sample(*located, bytes) ? Resized::done : Resized::must_move;
    }
    if (located->large != nullptr) {
        const bool stays = shrink == Shrink::always || class_of(bytes, 1) == no_class;
        return stays && resize_large(*located, bytes) ? Resized::done : Resized::must_move;
    }
    const bool stays = shrink == Shrink::always || fits_in_place(*located, bytes);
    if (!stays && !resize_medium(*located, bytes)) return Resized::must_move;
    if (shrink == Shrink::always) sizes_vary_ = true;
    resize_cell(*located, bytes);
    return Resized::done;
}

// Of a block that is known to be good.
size_t HeapCore::requested_of(const void* block) const {
    return locate(block).value().requested;
}

size_t HeapCore::room_of(const void* block, size_t bytes) const {
    return room_for(locate(block).value(), bytes);
}

// A block of a span that did not have this size when it was allocated.
void HeapCore::mark_resized(const void* block, size_t bytes) {
    const Block located = locate(block).value();
    if (located.span != nullptr) located.span->set_resized(located.cell, bytes);
}

// Of a block that is known not to be.
Failure HeapCore::misuse_of(const void* block) const {
    return locate_intact(block).failure();
}

}  // namespace quire::heap_internal
