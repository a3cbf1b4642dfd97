// SPDX-License-Identifier: MIT
// The CPUs beyond the first, and the invalidation that reaches all of them.
#pragma once

#include "../../machine.hpp"
#include "cpu.hpp"
#include "quire/paging/shootdown.hpp"
#include "quire/paging/x86/cpu.hpp"

namespace kernel::smp {

// A window is shared by all CPUs here: what is found shown is flushed from this CPU's TLB before it
// is used, as another may have pointed the window at it.
struct LocalTlb : quire::X86LocalTlb {
    static constexpr bool shares_windows = true;
};

struct ThisCpu {
    static unsigned index() { return machine::this_cpu(); }
};
struct Interrupts {
    static uintptr_t disable() {
        const uintptr_t flags = cpu::read_flags();
        cpu::disable_interrupts();
        return flags;
    }
    static void restore(uintptr_t flags) { cpu::write_flags(flags); }
};
// Nothing moves running code to another CPU here.
using Cpus = quire::PinnedCpu<ThisCpu, quire::NoExclusion>;
using KernelShootdown = quire::Shootdown<quire::X86Cpu, Cpus, Interrupts>;

// Sets up this CPU, the first, for invalidation; the platform is who interrupts others. Call once,
// before there is a page table.
void start_first(quire::Platform& platform);
// For the kernel's page table, which every CPU runs.
quire::TlbInvalidator& invalidator();
// For spaces of their own.
KernelShootdown& kernel_shootdown();

// For the trap entry.
void serve_interrupt();

}  // namespace kernel::smp
