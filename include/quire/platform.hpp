// SPDX-License-Identifier: MIT
// The porting contract: all that a kernel supplies at run time that is not hot. What is hot (which
// CPU is this, keep interrupts away, drop a page from this CPU's TLB) are policy types, given to
// the templates that need them: see base/lock.hpp, base/cpu_local.hpp and paging/tlb.hpp.
#pragma once

#include <stdint.h>

#include "quire/base/cpu_mask.hpp"
#include "quire/base/report.hpp"

namespace quire {

enum class Severity : uint8_t { debug, info, warning, error };

// Derive from it and override what your kernel can do better; the least is `panic`.
class Platform {
  public:
    // One line of text without its line break. May be called with Quire's locks held, from any
    // context that calls Quire, so it must not call back into it. The default drops the line.
    virtual void log(Severity, const char*) {}

    // An invariant is broken: memory was overwritten, or a caller broke a contract. Show the
    // report (quire::write makes text of it) and stop. Must not return; the default traps.
    [[noreturn]] virtual void panic(const Report&) { trap(); }

    // How many CPUs run, numbered from 0. Example: a kernel that never starts another says 1.
    virtual unsigned cpu_count() const { return 1; }

    // Tells whoever runs here from all others that may run at the same time, so that a heap which
    // is called by its own page source refuses instead of waiting for itself. Where locks keep
    // threads on their CPU that is the CPU's number, from 1; where threads take turns on locks that
    // sleep, or are preempted with locks held, the thread's. 0 stands for not known; the default is
    // 1 where there is one CPU, and not known otherwise. Any context; with locks held.
    virtual uintptr_t caller() const { return cpu_count() == 1 ? 1 : 0; }

    // Interrupts other CPUs, never the calling one: each soon calls Shootdown::serve, or whatever
    // else the kernel has it look after. What the caller wrote before is visible to the handlers.
    // Returns without waiting for them; an interrupt that is still pending need not be sent twice.
    // The default does nothing, for a kernel of one CPU.
    virtual void interrupt(const CpuMask&) {}

  protected:
    ~Platform() = default;
};

}  // namespace quire
