// SPDX-License-Identifier: MIT
// Pages for a heap from one fixed region: the way of the tutorials, where a contiguous run of
// frames is mapped once and handed to the heap.
//
// It is simple and it is limited. The region cannot grow; address space that is reserved is memory
// that is taken, whether committed or not, so a guard page costs a page, and does not fault. A heap
// on an AddressSpace has none of these limits.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/heap/heap_types.hpp"
#include "quire/heap/page_source.hpp"

namespace quire {

// Keeps a byte for each page in the region's own first pages. Not synchronised (a heap calls its
// source under its own lock). reserve is O(pages of the region), the rest O(pages concerned).
class RegionPageSource final : public PageSource {
  public:
    constexpr RegionPageSource() = default;

    // Takes the region over: memory that can be read and written from `address` on, contents
    // anything, which must stay as long as the source is used. What it held before is forgotten.
    // Errors: misaligned (address or size), overflow, zero_size, bad_argument when nothing would be
    // left beside the bookkeeping; nothing changed.
    Status start(void* address, size_t bytes);

    Result<void*> reserve(size_t bytes, size_t alignment) override;
    Status commit(void* address, size_t bytes) override;
    Status decommit(void* address, size_t bytes) override;
    Status release(void* address, size_t bytes) override;

    // Options that make a heap fit: small arenas, so that most of the region stays for whichever of
    // spans and large blocks needs it.
    HeapOptions heap_options() const;

    size_t total_bytes() const { return pages_ * page_size; }
    size_t committed_bytes() const { return committed_pages_ * page_size; }
    size_t reserved_bytes() const { return reserved_pages_ * page_size; }

  private:
    // Of a page; the bits of its byte.
    enum PageState : uint8_t {
        page_free = 0,
        page_reserved = 1,
        page_committed = 2,
        page_first = 4
    };
    struct Run {
        size_t first;
        size_t count;
    };

    bool is(size_t page, PageState bit) const { return (states_[page] & bit) != 0; }
    // The pages of a part of a reservation. Errors: misaligned, no_region.
    Result<Run> run_of(const void* address, size_t bytes) const;
    // How many pages from `page` on are free, up to `wanted`.
    size_t free_pages_from(size_t page, size_t wanted) const;

    uint8_t* states_ = nullptr;
    unsigned char* base_ = nullptr;  // of page 0, behind the bookkeeping
    size_t pages_ = 0;
    size_t reserved_pages_ = 0;
    size_t committed_pages_ = 0;
};

}  // namespace quire
