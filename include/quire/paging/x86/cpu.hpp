// SPDX-License-Identifier: MIT
// What a kernel on x86 has to tell Quire about its CPU: which paging features it has, how they are
// turned on, and how the TLB and the root register are handled. Privileged code; for other machines
// this header is empty.
#pragma once

#if defined(__i386__) || defined(__x86_64__)

#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/paging/x86/local_tlb.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"

namespace quire {

namespace x86 {

inline constexpr uintptr_t cr4_large_pages = uintptr_t{1} << 4;         // PSE; SDM vol. 3A 2.5
inline constexpr uintptr_t cr4_physical_extension = uintptr_t{1} << 5;  // PAE
inline constexpr uintptr_t cr4_global_pages = uintptr_t{1} << 7;        // PGE
inline constexpr uintptr_t cr4_five_levels = uintptr_t{1} << 12;        // LA57
inline constexpr uintptr_t cr4_pcids = uintptr_t{1} << 17;              // PCIDE
inline constexpr uint32_t cpuid_1_ecx_pcids = uint32_t{1} << 17;        // vol. 2A, CPUID leaf 1
// In what is written to CR3: keep the translations of the PCID in its low bits; 4.10.4.1.
inline constexpr uintptr_t cr3_keep = sizeof(uintptr_t) == 8 ? uintptr_t{1} << 31 << 31 << 1 : 0;
inline constexpr uint32_t page_attribute_register = 0x277;         // IA32_PAT; 12.12.2
inline constexpr uint32_t extended_feature_register = 0xc0000080;  // IA32_EFER; 2.2.1
inline constexpr uint64_t efer_no_execute = uint64_t{1} << 11;     // NXE

// The control registers of this CPU.
struct ControlRegisters {
    uintptr_t cr3() const {
        uintptr_t value;
        __asm__ __volatile__("mov %%cr3, %0" : "=r"(value));
        return value;
    }
    void set_cr3(uintptr_t value) const {
        __asm__ __volatile__("mov %0, %%cr3" : : "r"(value) : "memory");
    }
    uintptr_t cr4() const {
        uintptr_t value;
        __asm__ __volatile__("mov %%cr4, %0" : "=r"(value));
        return value;
    }
    void set_cr4(uintptr_t value) const {
        __asm__ __volatile__("mov %0, %%cr4" : : "r"(value) : "memory");
    }
};

inline uint64_t read_model_specific_register(uint32_t index) {
    uint32_t low;
    uint32_t high;
    __asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t{high} << 32) | low;
}
inline void write_model_specific_register(uint32_t index, uint64_t value) {
    const auto low = static_cast<uint32_t>(value);
    const auto high = static_cast<uint32_t>(value >> 32);
    __asm__ __volatile__("wrmsr" : : "a"(low), "d"(high), "c"(index) : "memory");
}

// What CPUID answers for a leaf; subleaf 0. Any i686 has CPUID.
struct Cpuid {
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
};
inline Cpuid cpuid(uint32_t leaf) {
    Cpuid answer;
    answer.eax = leaf;
    __asm__ __volatile__("cpuid"
                         : "+a"(answer.eax), "=b"(answer.ebx), "+c"(answer.ecx), "=d"(answer.edx));
    return answer;
}

}  // namespace x86

// What this CPU has, by CPUID leaf 1.
inline X86Features x86_features() {
    const uint32_t edx = x86::cpuid(1).edx;
    X86Features features;
    features.large_pages = (edx & (1U << 3)) != 0;
    features.global_pages = (edx & (1U << 13)) != 0;
    features.page_attributes = (edx & (1U << 16)) != 0;
    return features;
}

// Turns the features on that are set; each must be there. Call it on every CPU, before the table
// that uses them becomes active.
inline void x86_enable(const X86Features& features) {
    const x86::ControlRegisters registers;
    uintptr_t control = registers.cr4();
    if (features.large_pages) control |= x86::cr4_large_pages;
    if (features.global_pages) control |= x86::cr4_global_pages;
    registers.set_cr4(control);
    if (features.page_attributes) {
        x86::write_model_specific_register(x86::page_attribute_register, x86_page_attribute_table);
    }
}

namespace x86 {

// What the answers for leaf 1 and for the extended leaves say (SDM vol. 2A, CPUID; vol. 3A 4.1.4).
// Leaves that the CPU does not have count as zeros. Where none says MAXPHYADDR, it is 36 with
// PSE-36, which says that a CPU has the address lines, and 32 without: there the manual has 36 for
// PAE as well, but emulators take no more than 32.
constexpr X86PaeFeatures features_pae(const Cpuid& basic, const Cpuid& extended,
                                      const Cpuid& address_sizes) {
    X86PaeFeatures features;
    features.no_execute = (extended.edx & (1U << 20)) != 0;
    features.global_pages = (basic.edx & (1U << 13)) != 0;
    features.page_attributes = (basic.edx & (1U << 16)) != 0;
    const unsigned physical_bits = address_sizes.eax & 0xff;
    const bool has_pse36 = (basic.edx & (1U << 17)) != 0;
    features.physical_bits = physical_bits != 0 ? physical_bits : (has_pse36 ? 36 : 32);
    return features;
}
// An extended leaf's answer, or zeros.
inline Cpuid extended_cpuid(uint32_t leaf) {
    const uint32_t last = cpuid(0x80000000).eax;
    return last >= leaf && last >> 31 != 0 ? cpuid(leaf) : Cpuid();
}

}  // namespace x86

// Whether this CPU has PAE paging, and what it offers there.
inline bool x86_has_pae() {
    return (x86::cpuid(1).edx & (1U << 6)) != 0;
}
inline X86PaeFeatures x86_pae_features() {
    return x86::features_pae(x86::cpuid(1), x86::extended_cpuid(0x80000001),
                             x86::extended_cpuid(0x80000008));
}

// Turns the features on that are set; each must be there. Not PAE itself: changing CR4.PAE changes
// the paging mode at once (SDM vol. 3A 4.1.2), so the kernel's boot code does that.
inline void x86_pae_enable(const X86PaeFeatures& features) {
    x86_enable({false, features.global_pages, features.page_attributes});
    if (!features.no_execute) return;
    const uint64_t old = x86::read_model_specific_register(x86::extended_feature_register);
    x86::write_model_specific_register(x86::extended_feature_register, old | x86::efer_no_execute);
}

#if defined(__x86_64__)

namespace x86 {

// What the answers for leaf 1 and for the extended leaves say (SDM vol. 2A, CPUID), and whether
// CR4.LA57 is set. Leaves that the CPU does not have count as zeros.
constexpr X86_64Features features_64(const Cpuid& basic, const Cpuid& extended,
                                     const Cpuid& address_sizes, uintptr_t cr4) {
    X86_64Features features;
    features.five_levels = (cr4 & cr4_five_levels) != 0;
    features.no_execute = (extended.edx & (1U << 20)) != 0;
    features.gigabyte_pages = (extended.edx & (1U << 26)) != 0;
    features.global_pages = (basic.edx & (1U << 13)) != 0;
    const unsigned physical_bits = address_sizes.eax & 0xff;
    if (physical_bits != 0) features.physical_bits = physical_bits;
    return features;
}

}  // namespace x86

// What this CPU has, in 64-bit mode, and how many levels it runs on: that cannot be changed while
// it is in this mode, so whoever entered it has chosen (SDM vol. 3A 4.1.2).
inline X86_64Features x86_64_features() {
    const uint32_t last = x86::cpuid(0x80000000).eax;
    const x86::Cpuid sizes = last >= 0x80000008 ? x86::cpuid(0x80000008) : x86::Cpuid();
    return x86::features_64(x86::cpuid(1), x86::cpuid(0x80000001), sizes,
                            x86::ControlRegisters().cr4());
}

// Turns the features on that are set, and the memory types; each must be there. Call it on every
// CPU, before the table that uses them becomes active.
inline void x86_64_enable(const X86_64Features& features) {
    const x86::ControlRegisters registers;
    if (features.global_pages) registers.set_cr4(registers.cr4() | x86::cr4_global_pages);
    if (features.no_execute) {
        const uint64_t old = x86::read_model_specific_register(x86::extended_feature_register);
        x86::write_model_specific_register(x86::extended_feature_register,
                                           old | x86::efer_no_execute);
    }
    x86::write_model_specific_register(x86::page_attribute_register, x86_page_attribute_table);
}

// Whether this CPU tags translations with PCIDs, and turning that on: on each CPU, in 64-bit mode,
// while the root in CR3 is loaded under PCID 0 and CR3's low bits are clear (SDM vol. 3A 4.10.1).
inline bool x86_64_has_pcids() {
    return (x86::cpuid(1).ecx & x86::cpuid_1_ecx_pcids) != 0;
}
inline void x86_64_enable_pcids() {
    const x86::ControlRegisters registers;
    registers.set_cr4(registers.cr4() | x86::cr4_pcids);
}

#endif

// This CPU, as KernelMemoryOn and SingleCpuInvalidator want it.
template <class Registers>
class BasicX86Cpu : public X86LocalTlb {
  public:
    using Local = X86LocalTlb;

    constexpr BasicX86Cpu() = default;
    constexpr explicit BasicX86Cpu(Registers registers) : registers_(registers) {}

    // Drops every translation, global ones and those of all PCIDs too: loading CR3 spares them,
    // toggling CR4.PGE does not (SDM vol. 3A 4.10.4.1).
    void flush_all() const {
        const uintptr_t control = registers_.cr4();
        if ((control & (x86::cr4_global_pages | x86::cr4_pcids)) == 0) {
            registers_.set_cr3(registers_.cr3());
            return;
        }
        registers_.set_cr4(control ^ x86::cr4_global_pages);
        registers_.set_cr4(control);
    }
    // Makes a page table the active one and drops every translation of the last one.
    void load_root(Frame root) const {
        registers_.set_cr3(static_cast<uintptr_t>(address_of(root).value()));
        flush_all();
    }

    // As Shootdown wants it. A load of CR3 drops what is tagged with the PCID, unless bit 63 says
    // otherwise, and spares global translations (SDM vol. 3A 4.10.4.1, MOV to CR3). Without PCIDs
    // it drops all that is not global: `pcid` is 0 then, and `cached` is drop.
    void load_root(Frame root, Pcid pcid, Cached cached) const {
        const uintptr_t keep = cached == Cached::keep ? x86::cr3_keep : 0;
        registers_.set_cr3(static_cast<uintptr_t>(address_of(root).value()) | pcid | keep);
    }
    bool uses_pcids() const { return (registers_.cr4() & x86::cr4_pcids) != 0; }

  private:
    [[no_unique_address]] Registers registers_;
};

using X86Cpu = BasicX86Cpu<x86::ControlRegisters>;

}  // namespace quire

#endif
