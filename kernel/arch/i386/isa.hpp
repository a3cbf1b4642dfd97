// SPDX-License-Identifier: MIT
// What arch/x86 has to know of 32-bit x86.
#pragma once

#include <stdint.h>

#include "pae.hpp"
#include "quire/base/text.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "trap_frame.hpp"

namespace kernel::isa {

// Entries of the boot mapping's leaf tables, and the last 8 MiB, where boot.S puts the window.
using Entry = uint32_t;
inline constexpr uintptr_t boot_window = 0xFF800000;
// Physical memory that such an entry can show.
inline constexpr uint64_t boot_window_reach = uint64_t{1} << 32;

struct Features {
    quire::X86Features plain;
    bool pae = false;
    quire::X86PaeFeatures extended;  // with PAE
};
inline Features find_features() {
    if (!quire::x86_has_pae()) return {quire::x86_features(), false, {}};
    return {quire::x86_features(), true, quire::x86_pae_features()};
}
inline void enable(const Features& features) {
    quire::x86_enable(features.plain);
    quire::x86_pae_enable(features.extended);
}
// Of page tables beside the kernel's: they end where the kernel begins.
template <class Format>
Format format_beside(const Format& kernel) {
    return kernel;
}
// Takes a further CPU, which has come in on the boot mapping, to the first one's paging mode.
inline void follow_first_cpu() {
    pae::follow();
}
// Whether the CPU uses PAE paging; boot.S starts without.
inline bool uses_pae() {
    return (quire::x86::ControlRegisters().cr4() & quire::x86::cr4_physical_extension) != 0;
}
// Pages of more than 4 KiB.
inline bool has_large_pages(const Features& features) {
    return uses_pae() || features.plain.large_pages;
}

// The names of what is there, each after a blank.
inline void write_features(quire::TextWriter& text, const Features& features) {
    if (features.plain.large_pages) text.put(" PSE");
    if (features.plain.global_pages) text.put(" PGE");
    if (features.plain.page_attributes) text.put(" PAT");
    if (features.pae) text.put(" PAE");
    if (features.extended.no_execute) text.put(" NX");
}
// No entry of 32-bit paging can: what can be read can be executed.
inline bool can_deny_execute(const Features& features) {
    return uses_pae() && features.extended.no_execute;
}

}  // namespace kernel::isa
