// SPDX-License-Identifier: MIT
// 32-bit paging of x86, from the Intel SDM vol. 3A, chapter 4 (sections named below): two levels,
// 4 KiB pages, 4 MiB pages with CR4.PSE and PSE-36, CR0.WP, CR4.PGE, PAT.
#pragma once

#include "sim/mmu.hpp"

namespace quire::sim {

// What CPUID says about a processor, as far as it changes which bits are reserved (4.1.4).
struct X86Features {
    bool pse36 = true;            // CPUID.01H:EDX.PSE-36 [bit 17]
    bool pat = true;              // CPUID.01H:EDX.PAT [bit 16]
    unsigned physical_bits = 36;  // MAXPHYADDR; 4 MiB pages use at most 40
};

class X86Mmu32 final : public Mmu {
  public:
    explicit X86Mmu32(const X86Features& features = {}) : features_(features) {}

    Walk walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
              const StructureEntry* cached) const override;
    bool permits(const Control& control, const Translation& translation,
                 const Access& access) const override;
    PageFault denied(const Control& control, const Access& access) const override;
    unsigned small_shift() const override { return 12; }
    unsigned large_shift() const override { return 22; }
    unsigned address_bits() const override { return 32; }
    std::string describe(const Ram& ram, const Control& control, uint64_t address) const override;

  private:
    std::optional<Walk> try_walk(const Ram& ram, const Control& control, const Access& access,
                                 Effect effect, const StructureEntry* cached) const;
    MemoryType memory_type(const Control& control, uint32_t entry, unsigned pat_bit) const;
    uint32_t reserved_bits_of_large_page() const;

    X86Features features_;
};

}  // namespace quire::sim
