// SPDX-License-Identifier: MIT
// Changing a block's size.
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// Room that a block which had to move is given to grow further, where address space allows.
constexpr size_t most_headroom = size_t{16} << 20;

}  // namespace

// A block stays in its cell when the bytes, and one to watch, fit there and use half of it.
bool HeapCore::fits_in_place(const Block& block, size_t bytes) const {
    const bool padded =
        options_.overrun_check == OverrunCheck::every_block && !block.span->geometry().guarded;
    if (bytes > block.capacity - (padded ? 1 : 0)) return false;
    return bytes >= block.capacity / 2 || block.capacity == smallest_cell;
}

void HeapCore::undo_allocation(void* block) {
    static_cast<void>(free(block));
}

Result<void*> HeapCore::reallocate(void* block, size_t bytes) {
    if (block == nullptr) return allocate(bytes, Fill::none);
    const Result<Block> located = locate_intact(block);
    if (!located.ok()) return located.failure();
    const Block& old = *located;
    const unsigned size_class = class_of(bytes, 1);
    if (old.large == nullptr && fits_in_place(old, bytes)) {
        resize_cell(old, bytes);
        return block;
    }
    if (old.large != nullptr && size_class == no_class && resize_large(old, bytes).ok()) {
        return block;
    }
    // A block that has grown once is likely to grow again.
    const size_t headroom =
        old.large != nullptr ? round_up_to_pages(min(bytes / 2, most_headroom)) : 0;
    // What gets smaller had better stay than take a larger cell.
    const LargerCell larger = bytes > old.requested ? LargerCell::if_need_be : LargerCell::never;
    const Result<void*> moved =
        size_class == no_class ? allocate_large(bytes, 1, headroom)
                               : allocate_cell(size_class, bytes, natural_alignment(bytes), larger);
    if (!moved.ok()) {
        if (bytes > old.requested) return moved;
        // Smaller fits where it is.
        if (old.large != nullptr) return resize_large(old, bytes).ok() ? block : moved;
        resize_cell(old, bytes);
        return block;
    }
    __builtin_memcpy(*moved, block, min(bytes, old.requested));
    // Freed last, since it may give the block's own pages back.
    const Status freed = free_block(old);
    if (!freed.ok()) {
        undo_allocation(*moved);
        return freed.failure();
    }
    return moved;
}

}  // namespace quire::heap_internal
