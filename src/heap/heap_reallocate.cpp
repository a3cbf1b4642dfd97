// SPDX-License-Identifier: MIT
// Changing a block's size.
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// Room that a block which had to move is given to grow further, where address space allows.
constexpr size_t most_headroom = size_t{16} << 20;

}  // namespace

void HeapCore::undo_allocation(void* block) {
    static_cast<void>(free(block));
}

Result<void*> HeapCore::reallocate(void* block, size_t bytes) {
    const Result<Resized> resized = resize_in_place(block, bytes, Shrink::where_sensible);
    if (!resized.ok()) return resized.failure();
    if (resized->done) return block;
    // A large block that has grown once is likely to grow again. What gets smaller had better stay
    // than take a larger cell.
    const size_t headroom =
        resized->was_large ? round_up_to_pages(min(bytes / 2, most_headroom)) : 0;
    const bool shrinks = bytes <= resized->requested;
    const unsigned size_class = class_of(bytes, 1);
    void* const moved = size_class == no_class
                            ? allocate_large(bytes, 1, headroom)
                            : allocate_cell(size_class, bytes, natural_alignment(bytes),
                                            shrinks ? LargerCell::never : LargerCell::if_need_be);
    if (moved == nullptr) {
        if (!shrinks) return Failure{Error::out_of_memory, bytes};
        static_cast<void>(resize_in_place(block, bytes, Shrink::always));
        return block;
    }
    __builtin_memcpy(moved, block, min(bytes, resized->requested));
    // Freed last, since it may give the block's own pages back.
    const Status freed = free(block);
    if (!freed.ok()) {
        undo_allocation(moved);
        return freed.failure();
    }
    return moved;
}

}  // namespace quire::heap_internal
