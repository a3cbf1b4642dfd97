// SPDX-License-Identifier: MIT
// Changing a block's size.
#include "quire/base/traits.hpp"
#include "quire/config.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// Room that a block which had to move is given to grow further, where address space allows.
constexpr size_t most_headroom = size_t{16} << 20;

}  // namespace

void HeapCore::undo_allocation(void* block) {
    // A range that the page source refuses as well goes back later.
    pages_.close();
    const Status freed = free(block);
    pages_.open();
    if (debug_checks && !freed.ok()) trap();
    settle();
}

// What was allocated takes the place of the block, whose pages may go back with it.
Result<void*> HeapCore::replace(void* block, void* moved, size_t kept_bytes) {
    __builtin_memcpy(moved, block, kept_bytes);
    const Status freed = free(block);
    if (!freed.ok()) {
        undo_allocation(moved);
        return freed.failure();
    }
    return moved;
}

Result<void*> HeapCore::reallocate(void* block, size_t bytes) {
    const Resized resized = resize_in_place(block, bytes, Shrink::where_sensible);
    if (resized == Resized::misused) return misuse_of(block);
    if (resized == Resized::done) return block;
    const size_t requested = requested_of(block);
    // A large block that has grown once is likely to grow again. What gets smaller had better stay
    // than take a larger cell.
    const size_t headroom =
        requested > largest_cell ? min(bytes / 2, most_headroom) & ~(page_size - 1) : 0;
    const bool shrinks = bytes <= requested;
    const size_t room = shrinks ? bytes : room_of(block, bytes);
    const unsigned size_class = class_of(room, 1);
    if (size_class == no_class && bytes <= SIZE_MAX / 2) {
        void* const moved = move_large(block, bytes, headroom);
        if (moved != nullptr) return moved;
    }
    const auto larger = shrinks || room != bytes ? LargerCell::never : LargerCell::if_need_be;
    void* moved = size_class == no_class
                      ? allocate_large(bytes, 1, headroom)
                      : allocate_cell(size_class, bytes, natural_alignment(bytes), larger);
    if (moved == nullptr && room != bytes) {
        moved = allocate_cell(class_of(bytes, 1), bytes, 1, LargerCell::if_need_be);
    }
    if (broken_ != nullptr) return judge(moved, bytes);
    if (moved != nullptr) {
        if (!shrinks) mark_resized(moved, bytes);
        return replace(block, moved, shrinks ? bytes : requested);
    }
    if (!shrinks) return Failure{Error::out_of_memory, bytes};
    resize_in_place(block, bytes, Shrink::always);
    return block;
}

}  // namespace quire::heap_internal
