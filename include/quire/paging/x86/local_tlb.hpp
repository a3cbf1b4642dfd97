// SPDX-License-Identifier: MIT
// This CPU's TLB, on x86.
#pragma once

#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/paging/tlb.hpp"

namespace quire {

class X86LocalTlb {
  public:
    // INVLPG: drops the page's translation, global or not, and all paging-structure caches of the
    // current address space (SDM vol. 3A 4.10.4.1). Privileged. Does nothing on other machines,
    // where such tables are only edited, never used.
    void flush_page(VirtualAddress address) const {
#if defined(__i386__) || defined(__x86_64__)
        // The operand is the address itself, through a register: never a variable that holds it.
        __asm__ __volatile__("invlpg (%0)" : : "r"(address.value()) : "memory");
#else
        static_cast<void>(address);
#endif
    }
};

static_assert(LocalTlb<X86LocalTlb>);

}  // namespace quire
