// SPDX-License-Identifier: MIT
#include "cpu_features.hpp"

#include <stdint.h>

#include "cpu.hpp"
#include "quire/paging/x86_32.hpp"

namespace kernel::cpu {
namespace {

// CPUID leaf 1, EDX (SDM 2A, CPUID).
constexpr uint32_t pse_bit = 1u << 3;
constexpr uint32_t tsc_bit = 1u << 4;
constexpr uint32_t pge_bit = 1u << 13;
constexpr uint32_t pat_bit = 1u << 16;

// SDM 3A, 12.12.2: one byte an entry.
constexpr uint32_t pat_register = 0x277;

uint32_t feature_bits() {
    uint32_t eax = 1;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return edx;
}

}  // namespace

Features detect_features() {
    const uint32_t bits = feature_bits();
    Features features;
    features.time_stamp_counter = (bits & tsc_bit) != 0;
    features.large_pages = (bits & pse_bit) != 0;
    features.global_pages = (bits & pge_bit) != 0;
    features.attribute_table = (bits & pat_bit) != 0;
    return features;
}

void enable_features(const Features& features) {
    uint32_t control = read_cr4();
    if (features.large_pages) control |= cr4_large_pages;
    if (features.global_pages) control |= cr4_global_pages;
    write_cr4(control);
    if (features.attribute_table) {
        write_model_specific_register(pat_register, quire::x86_page_attribute_table);
    }
}

}  // namespace kernel::cpu
