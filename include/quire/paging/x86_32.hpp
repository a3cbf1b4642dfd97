// SPDX-License-Identifier: MIT
// The 32-bit paging format of x86: two levels of 1024 entries, 4 KiB and 4 MiB pages.
// Intel SDM vol. 3A, 4.3 "32-bit paging"; memory types: 4.9 and 12.12 (PAT).
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/page_table.hpp"

namespace quire {

// What the CPU offers beyond the i386's, by CPUID leaf 1 EDX; enable in CR4 what is set here.
struct X86Features {
    bool large_pages = false;   // PSE, bit 3; CR4.PSE
    bool global_pages = false;  // PGE, bit 13; CR4.PGE
    bool page_attributes = false;  // PAT, bit 16; then load x86_page_attribute_table into MSR 0x277
};

// PA0-PA3 as after reset (WB, WT, UC-, UC), PA4 write-combining, the rest as PA1-PA3.
inline constexpr uint64_t x86_page_attribute_table = 0x0007040100070406;

// A format is data and pure functions, keyed by level. Level 0 maps pages, level 1 is the root.
class X86_32 {
  public:
    using Entry = uint32_t;
    static constexpr unsigned levels = 2;
    static constexpr unsigned index_bits = 10;
    static constexpr unsigned address_bits = 32;
    static constexpr unsigned entries = 1U << index_bits;
    static constexpr Frame highest_frame = Frame(0xfffff);
    static constexpr unsigned payload_bits = 29;

    constexpr explicit X86_32(X86Features features = {}) : features_(features) {}

    // (see the implementation for: leaf(level, frame, attributes), table(frame), absent(kind, value),
    //  is_present, is_leaf, is_table, frame_of, attributes_of, accessed, dirty, with_protection,
    //  can_map_at(level), check(attributes))

  private:
    X86Features features_;
};

}  // namespace quire
