// SPDX-License-Identifier: MIT
// PAE paging of x86, from the Intel SDM vol. 3A, 4.4: 4 KiB and 2 MiB pages; CR0.WP, CR4.PGE,
// EFER.NXE, PAT. Without SMEP and SMAP.
//
// A CPU loads the four PDPTEs when CR3 is loaded (4.4.1). A walk here reads them from memory: where
// a table changes one afterwards, it shows at once what a CPU shows after the next MOV to CR3.
#pragma once

#include "sim/x86_long_mmu.hpp"

namespace quire::sim {

// What CPUID says about a processor, as far as it changes which bits are reserved (4.1.4).
struct X86PaeCpu {
    bool pat = true;              // CPUID.01H:EDX.PAT [bit 16]
    unsigned physical_bits = 46;  // MAXPHYADDR, 36 to 52
};

class X86MmuPae final : public X86LongMmu {
  public:
    explicit X86MmuPae(const X86PaeCpu& cpu = {}) : cpu_(cpu) {}

    // Throws std::out_of_range for addresses that are not below 4 GiB, and when a PDPTE has a
    // reserved bit set, upon which MOV to CR3 raises a general protection fault.
    Walk walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
              const StructureEntry* cached) const override;
    unsigned address_bits() const override { return 32; }
    std::string describe(const Ram& ram, const Control& control, uint64_t address) const override;

    // Whether MOV to CR3 takes the page-directory-pointer table that CR3 names.
    bool can_load(const Ram& ram, const Control& control) const;

  private:
    uint64_t reserved_bits(const Control& control, unsigned shift, uint64_t entry) const override;
    bool has_pat() const override { return cpu_.pat; }

    X86PaeCpu cpu_;
};

}  // namespace quire::sim
