// SPDX-License-Identifier: MIT
// What this CPU has beyond an i686, and turning on what the page tables make use of.
#pragma once

namespace kernel::cpu {

struct Features {
    bool time_stamp_counter = false;
    bool large_pages = false;      // PSE: 4 MiB pages
    bool global_pages = false;     // PGE: entries that survive a CR3 load
    bool attribute_table = false;  // PAT: memory types by entry bits
};

// Asks CPUID. Every i686 has CPUID, so its presence is not probed for.
Features detect_features();

// Turns on what is there: CR4.PSE, CR4.PGE, and a PAT whose entry 4 is write-combining (the others
// keep their meaning from reset, so that entries without the PAT bit mean what they always did:
// SDM 3A, 12.12.4).
void enable_features(const Features& features);

}  // namespace kernel::cpu
