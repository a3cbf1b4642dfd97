// SPDX-License-Identifier: MIT
// Small pieces of bookkeeping memory, of powers of two in size, apart from all user memory.
#pragma once

#include <stddef.h>

#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

// Lives in a part of a reservation that it commits a page at a time. Not synchronised. A piece
// freed serves the next request of its size, or of a smaller one; the pages go back all together,
// when no piece is in use.
class MetadataStore {
  public:
    static constexpr unsigned smallest_shift = 4;  // a free piece holds a pointer

    constexpr MetadataStore() = default;
    void start(unsigned char* base, size_t bytes);

    // Whether `allocate` would find room, if there are pages; smallest_shift to page_shift.
    bool has_room(unsigned shift) const;
    // 2^shift bytes, aligned to their size. Their contents are anything. There must be room. Null,
    // and nothing changed, when the page source fails.
    unsigned char* allocate(PageAccount& pages, unsigned shift);
    // The piece must have come from this store, with this shift.
    void free(unsigned char* piece, unsigned shift);
    // Gives the pages back when nothing is in use; otherwise, or when the source refuses, does
    // nothing.
    void trim(PageAccount& pages);

    bool contains(const void* address) const;
    bool idle() const { return pieces_ == 0; }
    size_t committed_bytes() const { return committed_; }
    // False when a free piece lies outside the store or out of alignment, or there are more of
    // them than can be.
    bool consistent() const;

  private:
    struct Piece {
        Piece* next;
    };

    void push(unsigned char* piece, unsigned shift);
    unsigned char* pop(unsigned shift);

    unsigned char* base_ = nullptr;
    size_t bytes_ = 0;
    size_t committed_ = 0;
    size_t pieces_ = 0;  // in use
    Piece* free_[page_shift - smallest_shift + 1] = {};
};

}  // namespace quire::heap_internal
