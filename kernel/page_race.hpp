// SPDX-License-Identifier: MIT
// CPUs that map, touch, unmap and reuse the same pages against each other.
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel {

// What the CPUs did and saw, all of them together.
struct RaceOutcome {
    uint32_t maps = 0;
    uint32_t unmaps = 0;
    uint32_t looks_at_mapped = 0;    // while nobody changed the page
    uint32_t looks_at_unmapped = 0;  // likewise
    uint32_t looks_at_changing = 0;  // which say nothing
    uint32_t stale = 0;              // looks that saw what was no longer there
    uint32_t refused = 0;            // requests that memory did not suffice for
    uint32_t switches = 0;           // from one space to another
    bool all_well() const { return stale == 0 && refused == 0; }
};

// Each CPU takes that many turns. In some it changes a page: it maps a frame of its own there and
// marks it, or unmaps the page and gives the frame back, so that it comes up again elsewhere. In
// the others it looks at a page by a load that may fault. Whoever looks knows from a version, read
// before and after, whether the page was there and which mark it had: anything else was a stale
// translation. Leaves nothing behind. The seed makes turns repeatable, their order is chance.
RaceOutcome race_for_pages(quire::KernelMemory& memory, uint32_t turns, uint32_t seed);

// The same in the kernel's space and in several more, of which each CPU runs now one and now the
// other: all of these have the same addresses, the kernel's half in common, and other pages. A CPU
// changes pages of spaces that it does not run, too. On machines that have no way to run further
// page tables, Error::unsupported.
quire::Result<RaceOutcome> race_in_spaces(quire::KernelMemory& memory, uint32_t turns,
                                          uint32_t seed);

}  // namespace kernel
