// SPDX-License-Identifier: MIT
#include "sim/x86_mmu_pae.hpp"

#include <cstdio>
#include <stdexcept>

namespace quire::sim {

namespace {
// Table 4-7: bits 31:5 of CR3 are the address of the page-directory-pointer table.
uint64_t pdpte_address(const Control& control, uint64_t index) {
    return (control.cr3 & 0xffffffe0) + 8 * index;
}
}  // namespace

// 4.4.1: "if any of the PDPTEs sets both the P flag (bit 0) and any reserved bit"; table 4-8: 2:1,
// 8:5 and all above the address.
bool X86MmuPae::can_load(const Ram& ram, const Control& control) const {
    const uint64_t reserved = bits(1, 2) | bits(5, 8) | bits(cpu_.physical_bits, 63);
    for (uint64_t index = 0; index < 4; ++index) {
        const auto entry = ram.load<uint64_t>(pdpte_address(control, index));
        if (bit(entry, bit_present) && (entry & reserved) != 0) return false;
    }
    return true;
}

// 4.4.2, the list of reserved bits, and tables 4-9 to 4-11.
uint64_t X86MmuPae::reserved_bits(const Control& control, unsigned shift, uint64_t entry) const {
    uint64_t reserved = bits(cpu_.physical_bits, 62);
    if (!control.no_execute) reserved |= mask(bit_execute_disable);
    const bool large = shift == pde && bit(entry, bit_page_size);
    if (large) reserved |= bits(13, 20);
    if (large && !cpu_.pat) reserved |= mask(bit_pat_large);
    if (shift == pte && !cpu_.pat) reserved |= mask(bit_pat_small);
    return reserved;
}

Walk X86MmuPae::walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
                     const StructureEntry* cached) const {
    if (access.address >> 32 != 0) {
        throw std::out_of_range("sim: PAE paging has no address above 4 GiB");
    }
    if (!control.paging) {  // 4.1.1: linear addresses are physical ones
        Walk walk;
        Translation t;
        t.page = t.frame = access.address & ~uint64_t{0xfff};
        t.writable = t.user = t.dirty = true;
        walk.translation = t;
        return walk;
    }
    if (!can_load(ram, control)) {
        throw std::out_of_range("sim: a page-directory-pointer-table entry has reserved bits set");
    }
    const auto entry = ram.load<uint64_t>(pdpte_address(control, access.address >> 30));
    if (!bit(entry, bit_present)) return not_present(control, access);
    return walk_from(ram, control, access, effect, cached, {entry & table_base_mask, pde});
}

std::string X86MmuPae::describe(const Ram& ram, const Control& control, uint64_t address) const {
    if (!control.paging) return "paging is off";
    char text[80];
    const uint64_t index = address >> 30;
    const auto entry = ram.load<uint64_t>(pdpte_address(control, index));
    std::snprintf(text, sizeof text, "cr3 %#llx, directory pointer %llu is %#llx",
                  static_cast<unsigned long long>(control.cr3),
                  static_cast<unsigned long long>(index), static_cast<unsigned long long>(entry));
    const std::string root = text;
    if (!bit(entry, bit_present)) return root;
    return root + describe_from(ram, address, {entry & table_base_mask, pde});
}

}  // namespace quire::sim
