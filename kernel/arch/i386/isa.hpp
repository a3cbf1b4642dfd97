// SPDX-License-Identifier: MIT
// What arch/x86 has to know of 32-bit x86.
#pragma once

#include <stdint.h>

#include "quire/base/text.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "trap_frame.hpp"

namespace kernel::isa {

// Entries of the boot mapping's leaf tables, and the last 8 MiB, where boot.S puts the window.
using Entry = uint32_t;
inline constexpr uintptr_t boot_window = 0xFF800000;
// Physical memory that such an entry can show.
inline constexpr uint64_t boot_window_reach = uint64_t{1} << 32;

using Features = quire::X86Features;
inline Features find_features() {
    return quire::x86_features();
}
inline void enable(const Features& features) {
    quire::x86_enable(features);
}
// Pages of more than 4 KiB.
inline bool has_large_pages(const Features& features) {
    return features.large_pages;
}

// The names of what is there, each after a blank.
inline void write_features(quire::TextWriter& text, const Features& features) {
    if (features.large_pages) text.put(" PSE");
    if (features.global_pages) text.put(" PGE");
    if (features.page_attributes) text.put(" PAT");
}
// No entry of this format can: what can be read can be executed.
inline bool can_deny_execute(const Features&) {
    return false;
}

}  // namespace kernel::isa
