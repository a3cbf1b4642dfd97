// SPDX-License-Identifier: MIT
// Page faults: what the CPU says, and what becomes of it.
#pragma once

#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/text.hpp"
#include "quire/paging/page_table.hpp"
#include "quire/space/region.hpp"

namespace quire {

enum class AccessKind : uint8_t { read, write, execute };

// What the CPU reports, in neutral words (x86: CR2 and the error code, SDM vol. 3A 4.7).
struct Fault {
    VirtualAddress address = {};
    AccessKind access = AccessKind::read;
    bool user = false;                // the access came from user mode
    bool was_present = false;         // the entry was present: a matter of rights, not of absence
    VirtualAddress instruction = {};  // where the CPU was; zero when unknown
};

// A fault that nobody can resolve, told so that a tired person understands it.
struct FaultReport {
    Fault fault;
    // no_region; guard_hit; access_denied; not_mapped (reserved, nothing committed there);
    // corrupted (the page table disagrees with the region, or the CPU with the page table); or what
    // a frame on demand failed of: out_of_frames, unreachable, ...
    Error error = Error::no_region;
    bool has_region = false;  // the address belongs to `region` (its guards included)
    bool had_region = false;  // it belonged to `region`, lately unmapped; only pages and name count
    RegionInfo region;
    bool has_below = false, has_above = false;
    RegionInfo below, above;  // the nearest regions on both sides, the address's own not counted
    Translation translation;  // what the page table says there
    const char* likely_cause = "";
};

// At most 18 lines of at most 80 columns, each ended by a line break: the access, the region, its
// neighbours with their distances, the page table's view, the likely cause. 1200 bytes hold any
// report. Any context.
void write(TextWriter& out, const FaultReport& report);

struct FaultOutcome {
    bool resolved = false;  // the access can be retried
    bool spurious = false;  // and nothing was wrong but the TLB, or another CPU was faster
    FaultReport report;     // when not resolved
};

// How faults ended, since the space was made.
struct FaultCounters {
    size_t resolved = 0;  // with a frame on demand
    size_t spurious = 0;
    size_t reported = 0;
};

}  // namespace quire
