// SPDX-License-Identifier: MIT
// 64-bit paging of x86, from the Intel SDM vol. 3A, chapter 4 (sections named below): 4 levels, or
// 5 with CR4.LA57; 4 KiB, 2 MiB and 1 GiB pages; CR0.WP, CR4.PGE, EFER.NXE, PAT; PCIDs, which are
// the Tlb's business. Without protection keys, SMEP and SMAP.
#pragma once

#include "sim/x86_long_mmu.hpp"

namespace quire::sim {

// What CPUID says about a processor, as far as it changes which bits are reserved (4.1.4).
struct X86_64Cpu {
    bool page1gb = true;          // CPUID.80000001H:EDX.Page1GB [bit 26]
    unsigned physical_bits = 46;  // MAXPHYADDR, at most 52
};

class X86Mmu64 final : public X86LongMmu {
  public:
    explicit X86Mmu64(const X86_64Cpu& cpu = {}) : cpu_(cpu) {}

    // Throws std::out_of_range for an address that is not canonical: the CPU raises a general
    // protection fault there and looks at no entry.
    Walk walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
              const StructureEntry* cached) const override;
    unsigned address_bits() const override { return 64; }
    std::string describe(const Ram& ram, const Control& control, uint64_t address) const override;

  private:
    static Start start(const Control& control);
    static bool is_canonical(const Control& control, uint64_t address);
    uint64_t reserved_bits(const Control& control, unsigned shift, uint64_t entry) const override;

    X86_64Cpu cpu_;
};

}  // namespace quire::sim
