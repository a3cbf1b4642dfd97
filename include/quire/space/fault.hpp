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
    VirtualAddress address;
    AccessKind access = AccessKind::read;
    bool user = false;         // the access came from user mode
    bool was_present = false;  // the entry was present: a matter of rights, not of absence
    VirtualAddress instruction;  // where the CPU was; zero when unknown
};

// A fault that nobody can resolve, told so that a tired person understands it.
struct FaultReport {
    Fault fault;
    Error error = Error::no_region;  // no_region, guard_hit, access_denied, out_of_frames, corrupted
    bool has_region = false;         // the address belongs to `region` (its guards included)
    RegionInfo region;
    bool has_below = false, has_above = false;
    RegionInfo below, above;  // the nearest regions on both sides
    Translation translation;  // what the page table says there
    const char* likely_cause = "";
};

// Several lines: the access, the region and its neighbours with distances, the page table's view,
// the likely cause.
void write(TextWriter& out, const FaultReport& report);

struct FaultOutcome {
    bool resolved = false;  // the access can be retried
    FaultReport report;     // when not resolved
};

}  // namespace quire
