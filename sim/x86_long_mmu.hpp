// SPDX-License-Identifier: MIT
// What the walks of PAE and of 64-bit paging have in common, from the Intel SDM vol. 3A, 4.4 to
// 4.9: entries of 8 bytes, 512 to a table, with XD at bit 63.
#pragma once

#include <optional>

#include "sim/mmu.hpp"

namespace quire::sim {

class X86LongMmu : public Mmu {
  public:
    bool permits(const Control& control, const Translation& translation,
                 const Access& access) const override;
    PageFault denied(const Control& control, const Access& access) const override;
    unsigned small_shift() const override { return 12; }
    unsigned large_shift() const override { return 21; }

  protected:
    // The table that a walk starts in, and the base-2 logarithm of the bytes that each of its
    // entries decides about.
    struct Start {
        uint64_t table;
        unsigned shift;
    };
    // Which of the manual's entries one is, by that logarithm.
    static constexpr unsigned pml5e = 48;
    static constexpr unsigned pml4e = 39;
    static constexpr unsigned pdpte = 30;
    static constexpr unsigned pde = 21;
    static constexpr unsigned pte = 12;

    static constexpr unsigned bit_present = 0;
    static constexpr unsigned bit_page_size = 7;   // PS, in a PDPTE or PDE
    static constexpr unsigned bit_pat_small = 7;   // PAT, in a PTE
    static constexpr unsigned bit_pat_large = 12;  // PAT, in a PDPTE or PDE with PS
    static constexpr unsigned bit_execute_disable = 63;

    static constexpr bool bit(uint64_t entry, unsigned number) {
        return (entry >> number & 1) != 0;
    }
    static constexpr uint64_t mask(unsigned number) { return uint64_t{1} << number; }
    // Bits first to last, both included; none when last is below first.
    static constexpr uint64_t bits(unsigned first, unsigned last) {
        return last < first ? 0 : (uint64_t{2} << last) - (uint64_t{1} << first);
    }
    static constexpr uint64_t table_base_mask = 0x000ffffffffff000;
    static constexpr uint64_t entry_address(uint64_t table, unsigned shift, uint64_t address) {
        return table + (address >> shift & 511) * 8;
    }

    Walk walk_from(const Ram& ram, const Control& control, const Access& access, Effect effect,
                   const StructureEntry* cached, const Start& start) const;
    // A fault before the walk got to an entry of its own.
    static Walk not_present(const Control& control, const Access& access);
    std::string describe_from(const Ram& ram, uint64_t address, const Start& start) const;

    // The bits of a present entry that must be clear.
    virtual uint64_t reserved_bits(const Control& control, unsigned shift,
                                   uint64_t entry) const = 0;
    // Where there is no PAT, its bit in an entry is reserved, or ignored, and selects nothing.
    virtual bool has_pat() const { return true; }

  private:
    static bool maps_a_page(unsigned shift, uint64_t entry) {
        return shift == pte || ((shift == pde || shift == pdpte) && bit(entry, bit_page_size));
    }
    std::optional<Walk> try_walk(const Ram& ram, const Control& control, const Access& access,
                                 Effect effect, const StructureEntry* cached,
                                 const Start& start) const;
    MemoryType memory_type(const Control& control, uint64_t entry, unsigned pat_bit) const;
};

}  // namespace quire::sim
