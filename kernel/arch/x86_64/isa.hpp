// SPDX-License-Identifier: MIT
// What arch/x86 has to know of 64-bit x86.
#pragma once

#include <stdint.h>

#include "quire/base/text.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "trap_frame.hpp"

namespace kernel::isa {

// Entries of the boot mapping's leaf tables, and the last 4 MiB, where boot.S puts the window.
using Entry = uint64_t;
inline constexpr uintptr_t boot_window = 0xFFFFFFFFFFC00000;
// Physical memory that such an entry can show on every CPU with this mode: 36 bits.
inline constexpr uint64_t boot_window_reach = uint64_t{1} << 36;

using Features = quire::X86_64Features;
inline Features find_features() {
    return quire::x86_64_features();
}
inline void enable(const Features& features) {
    quire::x86_64_enable(features);
    if (quire::x86_64_has_pcids()) quire::x86_64_enable_pcids();
}
// Of page tables beside the kernel's: the half that is not the kernel's.
inline quire::X86_64 format_beside(const quire::X86_64&) {
    return quire::X86_64(find_features(), quire::AddressHalf::low);
}
// Takes a further CPU to the first one's paging mode, in which it has come in.
inline void follow_first_cpu() {}
// Pages of more than 4 KiB: always.
inline bool has_large_pages(const Features&) {
    return true;
}

// The names of what is there, each after a blank.
inline void write_features(quire::TextWriter& text, const Features& features) {
    text.put(features.five_levels ? " 5 levels" : " 4 levels");
    if (features.no_execute) text.put(" NX");
    if (features.gigabyte_pages) text.put(" 1GB");
    if (features.global_pages) text.put(" PGE");
    if (quire::x86_64_has_pcids()) text.put(" PCID");
}
inline bool can_deny_execute(const Features& features) {
    return features.no_execute;
}

}  // namespace kernel::isa
