// SPDX-License-Identifier: MIT
// The CPUs beyond the first, and the invalidation that reaches all of them.
#pragma once

#include "../../machine.hpp"
#include "quire/paging/x86/cpu.hpp"

namespace kernel::smp {

// A window is shared by all CPUs here: what is found shown is flushed from this CPU's TLB before it
// is used, as another may have pointed the window at it.
struct LocalTlb : quire::X86LocalTlb {
    static constexpr bool shares_windows = true;
};

// Sets up this CPU, the first, for invalidation; the platform is who interrupts others. Call once,
// before there is a page table.
void start_first(quire::Platform& platform);
// For the kernel's page table, which every CPU runs.
quire::TlbInvalidator& invalidator();

// For the trap entry.
void serve_interrupt();

}  // namespace kernel::smp
