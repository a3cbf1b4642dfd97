// SPDX-License-Identifier: MIT
// Blocks taken from a heap beforehand, so that what must not fail cannot fail.
#pragma once

#include <stddef.h>

#include "quire/base/traits.hpp"
#include "quire/heap/heap_ref.hpp"

namespace quire {

// Holds blocks of one size, and gives them out without asking the heap: in any context, in O(1).
// Not synchronised. The blocks are the heap's: whoever takes one frees it there, with free, or
// free_sized with block_bytes() and the alignment.
class HeapReservation {
  public:
    // Of blocks for so many bytes, or a pointer's size where that is more.
    constexpr HeapReservation(HeapRef heap, size_t bytes, size_t alignment = 1)
        : heap_(heap), bytes_(bytes < sizeof(Held) ? sizeof(Held) : bytes), alignment_(alignment) {}
    HeapReservation(const HeapReservation&) = delete;
    HeapReservation& operator=(const HeapReservation&) = delete;
    // In a thread: gives back what it holds.
    ~HeapReservation() { release(); }

    // Holds at least `count` blocks from now on: so many calls of take cannot fail. In a thread.
    // Errors as the heap's allocate_aligned; then it holds what it held. O(blocks).
    Status prefill(size_t count) {
        const size_t before = count_;
        while (count_ < count) {
            const Result<void*> block = heap_.allocate_aligned(bytes_, alignment_);
            if (!block.ok()) {
                undo_prefill(before);
                return block.failure();
            }
            put(*block);
        }
        return {};
    }
    // One of the blocks, contents anything; null when it holds none.
    void* take() {
        Held* const block = first_;
        if (block == nullptr) return nullptr;
        first_ = block->next;
        --count_;
        return block;
    }
    // Keeps a block of the heap, which must be of this size and alignment, for the next take.
    void put(void* block) {
        first_ = construct_at(static_cast<Held*>(block), Held{first_});
        ++count_;
    }
    // Gives back what it holds. In a thread.
    void release() { undo_prefill(0); }

    size_t count() const { return count_; }
    size_t block_bytes() const { return bytes_; }
    size_t alignment() const { return alignment_; }

  private:
    struct Held {
        Held* next;
    };

    void undo_prefill(size_t count) {
        while (count_ > count)
            heap_.free_sized(take(), bytes_, alignment_);
    }

    HeapRef heap_;
    size_t bytes_;
    size_t alignment_;
    Held* first_ = nullptr;
    size_t count_ = 0;
};

}  // namespace quire
