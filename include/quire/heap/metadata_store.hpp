// SPDX-License-Identifier: MIT
// Small pieces of bookkeeping memory, of powers of two in size, apart from all user memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

// Lives in a part of a reservation that it commits a page at a time. Not synchronised. A piece
// freed serves the next request of its size, or of a smaller one.
//
// Pages come in segments. The first piece of a segment counts, for each of its pages, the pieces
// that are in use; it stays, and so does its page, until the whole store is idle.
class MetadataStore {
  public:
    static constexpr unsigned smallest_shift = 4;  // a free piece holds a pointer
    static constexpr unsigned largest_shift = page_shift - 1;

    constexpr MetadataStore() = default;
    void start(unsigned char* base, size_t bytes);

    // Whether `allocate` would find room, if there are pages; smallest_shift to largest_shift.
    bool has_room(unsigned shift) const;
    // 2^shift bytes, aligned to their size. Their contents are anything. There must be room. Null,
    // and nothing changed, when the page source fails.
    unsigned char* allocate(PageAccount& pages, unsigned shift);
    // The piece must have come from this store, with this shift.
    void free(unsigned char* piece, unsigned shift);
    // Gives the pages back in which nothing is in use, but for those that the source refuses.
    // O(free pieces + pages).
    void trim(PageAccount& pages);

    unsigned char* base() const { return base_; }
    bool contains(const void* address) const;
    // Whether there is memory at the address.
    bool has_memory(const void* address) const;
    bool idle() const { return pieces_ == 0; }
    size_t committed_bytes() const { return (reached_ - holes_) << page_shift; }
    // False when a free piece lies outside the store or out of alignment, or there are more of
    // them than can be, or the pages' counts contradict each other.
    bool consistent() const;

  private:
    struct Piece {
        Piece* next;
    };
    static constexpr unsigned counts_shift = page_shift - 4;
    static constexpr size_t segment_pages = (size_t{1} << counts_shift) / sizeof(uint16_t);
    // Instead of a count: the page has no memory.
    static constexpr uint16_t hole = UINT16_MAX;

    size_t page_of(const void* address) const {
        return static_cast<size_t>(static_cast<const unsigned char*>(address) - base_) >>
               page_shift;
    }
    unsigned char* start_of(size_t page) const { return base_ + (page << page_shift); }
    size_t segments() const { return (reached_ + segment_pages - 1) / segment_pages; }
    uint16_t& count_of(size_t page) const {
        const size_t in_segment = page % segment_pages;
        return reinterpret_cast<uint16_t*>(start_of(page - in_segment))[in_segment];
    }
    void push(unsigned char* piece, unsigned shift);
    unsigned char* take_free(unsigned shift);
    // Apart from what calls the page source, whose stack is short.
    [[gnu::noinline]] unsigned char* page_without_memory();
    [[gnu::noinline]] unsigned char* take_of_new_page(size_t page, unsigned shift);
    void push_pieces_of(size_t page);
    void drop_unused_pieces();
    void give_back_unused_pages(PageAccount& pages);

    unsigned char* base_ = nullptr;
    size_t bytes_ = 0;
    size_t reached_ = 0;     // pages from here on never had memory
    size_t holes_ = 0;       // pages before that have none
    size_t first_hole_ = 0;  // no hole lies before it
    size_t pieces_ = 0;      // in use
    Piece* free_[largest_shift - smallest_shift + 1] = {};
};

}  // namespace quire::heap_internal
