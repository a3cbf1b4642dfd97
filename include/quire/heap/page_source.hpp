// SPDX-License-Identifier: MIT
// All that the heap ever knows of the virtual memory manager.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/config.hpp"

namespace quire {

// Hands out page-aligned memory by address. Sizes are in bytes and multiples of page_size.
// AddressSpace, through the facade, is one; a static array, or somebody else's VMM, is another.
class PageSource {
  public:
    // Sets `bytes` of address space aside, aligned to `alignment` (a power of two of at least
    // page_size), with no memory behind it. Errors: zero_size, misaligned, overflow,
    // out_of_address_space, out_of_nodes.
    virtual Result<void*> reserve(size_t bytes, size_t alignment) = 0;
    // Puts zeroed memory behind a part of a reservation where there is none: all of it, or on
    // failure none. Errors: out_of_frames, misaligned, not reserved (no_region), already_mapped.
    virtual Status commit(void* address, size_t bytes) = 0;
    // Takes the memory behind a part of a reservation away; its contents are lost. The part stays
    // reserved. Pages without memory are passed over. Errors: misaligned, no_region.
    virtual Status decommit(void* address, size_t bytes) = 0;
    // Ends a whole reservation, decommitting what is committed. Errors: no_region when it is not
    // exactly one that `reserve` returned.
    virtual Status release(void* address, size_t bytes) = 0;

    // How much of a reservation there is, and how much has memory: its first bytes.
    struct Extent {
        size_t reserved_bytes;
        size_t committed_bytes;
    };
    // Optional. Ends a whole reservation in favour of a larger one, anywhere, that begins with the
    // same memory: pages move, not their bytes. What is committed beyond is zero. Errors, nothing
    // changed: as reserve and commit; unsupported, which is the default: then the heap copies.
    virtual Result<void*> move(void* address, const Extent& from, const Extent& to) {
        (void)from, (void)to;
        return Failure{Error::unsupported, reinterpret_cast<uintptr_t>(address)};
    }

  protected:
    ~PageSource() = default;
};

}  // namespace quire
