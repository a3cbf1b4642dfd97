// SPDX-License-Identifier: MIT
#include "sim/x86_mmu64.hpp"

#include <cstdio>
#include <stdexcept>

namespace quire::sim {

X86LongMmu::Start X86Mmu64::start(const Control& control) {
    return {control.cr3 & table_base_mask, control.five_levels ? pml5e : pml4e};
}

// Vol. 1, 3.3.7.1: bits 63:47 (63:56 with 5 levels) are all the same.
bool X86Mmu64::is_canonical(const Control& control, uint64_t address) {
    const unsigned top = start(control).shift + 8;
    return address >> top == 0 || address >> top == ~uint64_t{0} >> top;
}

// 4.5.4, the list of reserved bits.
uint64_t X86Mmu64::reserved_bits(const Control& control, unsigned shift, uint64_t entry) const {
    uint64_t reserved = bits(cpu_.physical_bits, 51);
    if (!control.no_execute) reserved |= mask(bit_execute_disable);
    if (shift == pml5e || shift == pml4e) reserved |= mask(bit_page_size);
    if (shift == pdpte && !cpu_.page1gb) reserved |= mask(bit_page_size);
    if (shift == pdpte && bit(entry, bit_page_size)) reserved |= bits(13, 29);
    if (shift == pde && bit(entry, bit_page_size)) reserved |= bits(13, 20);
    return reserved;
}

Walk X86Mmu64::walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
                    const StructureEntry* cached) const {
    if (!control.paging) throw std::out_of_range("sim: in 64-bit mode paging is always on");
    if (!is_canonical(control, access.address)) {
        throw std::out_of_range("sim: the address is not canonical");
    }
    return walk_from(ram, control, access, effect, cached, start(control));
}

std::string X86Mmu64::describe(const Ram& ram, const Control& control, uint64_t address) const {
    char text[80];
    std::snprintf(text, sizeof text, "cr3 %#llx", static_cast<unsigned long long>(control.cr3));
    const std::string root = text;
    if (!is_canonical(control, address)) return root + ", and the address is not canonical";
    return root + describe_from(ram, address, start(control));
}

}  // namespace quire::sim
