// SPDX-License-Identifier: MIT
// Getting stale translations out of TLBs: what the kernel supplies.
#pragma once

#include "quire/base/range.hpp"

namespace quire {

// Hot and local: drops one page's translation, and all paging-structure caches, from this CPU's
// TLB (x86: INVLPG, SDM vol. 3A 4.10.4.1). A copyable object, stored where it is used.
template <class T>
concept LocalTlb = requires(const T& tlb, VirtualAddress address) { tlb.flush_page(address); };

// What has to go from the TLBs.
struct FlushRequest {
    Frame root;           // of the page table that was changed
    PageRange pages;      // whose translations may be stale
    bool global = false;  // whether entries may be marked global, and so survive a root reload

    // Past so many pages a full flush is cheaper than one page at a time.
    static constexpr uintptr_t full_flush_pages = 64;
    bool prefers_full_flush() const { return pages.count().value() > full_flush_pages; }
};

// Cold: every CPU that runs the space.
class TlbInvalidator {
  public:
    // Returns when no CPU can use a translation of the request any more. It may drop more. Called
    // with the space's lock held, so it must not call back.
    virtual void invalidate(const FlushRequest& request) = 0;

  protected:
    ~TlbInvalidator() = default;
};

}  // namespace quire
