// SPDX-License-Identifier: MIT
// Getting stale translations out of TLBs: what the kernel supplies.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"

namespace quire {

// Hot and local: drops one page's translation, and all paging-structure caches, from this CPU's
// TLB (x86: INVLPG, SDM vol. 3A 4.10.4.1). A copyable object, stored where it is used.
template <class T>
concept LocalTlb = requires(const T& tlb, VirtualAddress address) { tlb.flush_page(address); };

// A local TLB for windows that several CPUs use: the CPU that finds a frame shown may not be the
// one that has shown it, and so cannot rely on its own TLB.
template <class T>
concept SharesWindows = LocalTlb<T> && T::shares_windows;

// A number that a CPU tags translations with, so that those of several page tables can stay (x86:
// process-context identifier, SDM vol. 3A 4.10.1).
using Pcid = uint16_t;
// Whether what is cached under a PCID may be used further, or is dropped as the root is loaded.
enum class Cached : uint8_t { keep, drop };

// What has to go from the TLBs.
struct FlushRequest {
    Frame root;           // of the page table that was changed
    PageRange pages;      // whose translations may be stale
    bool global = false;  // whether entries may be marked global, and so survive a root reload

    // Past so many pages a full flush is cheaper than one page at a time.
    static constexpr uintptr_t full_flush_pages = 64;
    bool prefers_full_flush() const { return pages.count().value() > full_flush_pages; }

    // Makes this request cover another one of the same root as well. Ranges that do not touch
    // become one that has all between them, and so mostly a full flush. O(1).
    void include(const FlushRequest& other) {
        if (!other.pages.empty()) {
            pages = pages.empty() ? other.pages
                                  : PageRange::between(min(pages.first(), other.pages.first()),
                                                       max(pages.last(), other.pages.last()));
        }
        global = global || other.global;
    }
};

// Cold: every CPU that runs the space. SingleCpuInvalidator and ShootdownInvalidator are two.
class TlbInvalidator {
  public:
    // Returns when no CPU can use a translation of the request any more. It may drop more. Called
    // with the space's lock held, so it must not call back.
    virtual void invalidate(const FlushRequest& request) = 0;

  protected:
    ~TlbInvalidator() = default;
};

}  // namespace quire
