// SPDX-License-Identifier: MIT
#include "sim/x86_mmu32.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace quire::sim {

namespace {
// Tables 4-4 (PDE of a 4 MiB page), 4-5 (PDE of a page table) and 4-6 (PTE of a 4 KiB page).
constexpr unsigned bit_present = 0;
constexpr unsigned bit_writable = 1;
constexpr unsigned bit_user = 2;
constexpr unsigned bit_write_through = 3;  // PWT
constexpr unsigned bit_cache_disable = 4;  // PCD
constexpr unsigned bit_accessed = 5;
constexpr unsigned bit_dirty = 6;
constexpr unsigned bit_page_size = 7;  // PS, in a PDE
constexpr unsigned bit_pat_small = 7;  // PAT, in a PTE
constexpr unsigned bit_global = 8;
constexpr unsigned bit_pat_large = 12;  // PAT, in a PDE with PS

constexpr bool bit(uint64_t entry, unsigned number) {
    return (entry >> number & 1) != 0;
}
constexpr uint32_t mask(unsigned number) {
    return uint32_t{1} << number;
}
// Bits first to last, both included.
constexpr uint32_t bits(unsigned first, unsigned last) {
    return static_cast<uint32_t>((uint64_t{2} << last) - (uint64_t{1} << first));
}

constexpr uint64_t table_base_mask = 0xfffff000;
constexpr uint64_t large_base_mask = 0xffc00000;

uint64_t pde_address(uint64_t cr3, uint64_t address) {
    return (cr3 & table_base_mask) | (address >> 22 & 0x3ff) << 2;
}
uint64_t pte_address(uint64_t table, uint64_t address) {
    return table | (address >> 12 & 0x3ff) << 2;
}

// 4.7: the error code. The fetch bit needs SMEP, or NXE with PAE: never in this mode.
uint32_t error_code(const Access& access) {
    return (access.kind == AccessKind::write ? PageFault::write_bit : 0) |
           (access.privilege == Privilege::user ? PageFault::user_bit : 0);
}

Walk faulted(const Access& access, uint32_t cause) {
    Walk walk;
    walk.fault = {access.address, error_code(access) | cause};
    return walk;
}

// 4.8: sets flags in an entry; false when the entry changed meanwhile and the walk has to start
// again.
bool mark(const Ram& ram, uint64_t where, uint32_t& entry, uint32_t flags, Effect effect) {
    if ((entry & flags) == flags || effect == Effect::looks) return true;
    if (!ram.compare_exchange<uint32_t>(where, entry, entry | flags)) return false;
    entry |= flags;
    return true;
}
}  // namespace

// 4.9.2: the entry's three bits select one of the eight fields of IA32_PAT; 4.9.1: without PAT
// support its bit is reserved, and the others select as the power-on PAT does.
MemoryType X86Mmu32::memory_type(const Control& control, uint32_t entry, unsigned pat_bit) const {
    const uint64_t pat = features_.pat ? control.pat : Control::power_on_pat;
    const unsigned index = (bit(entry, pat_bit) ? 4u : 0u) +
                           (bit(entry, bit_cache_disable) ? 2u : 0u) +
                           (bit(entry, bit_write_through) ? 1u : 0u);
    return static_cast<MemoryType>(pat >> (8 * index) & 7);
}

// 4.3: "if the P flag and the PS flag of a PDE are both 1, the reserved bits are 21:(M-19)", with
// M the least of 40 and MAXPHYADDR; "if PSE-36 is not supported, bits 21:13"; "if the PAT is not
// supported, bit 12".
uint32_t X86Mmu32::reserved_bits_of_large_page() const {
    const unsigned m = std::min(features_.physical_bits, 40u);
    // With M = 32 the high part of the address is empty and all of 21:13 is reserved.
    const uint32_t high = features_.pse36 ? bits(m - 19, 21) : bits(13, 21);
    return high | (features_.pat ? 0 : mask(bit_pat_large));
}

bool X86Mmu32::permits(const Control& control, const Translation& translation,
                       const Access& access) const {
    // 4.6.1. Every present address can be read and fetched by the supervisor; without WP, written.
    if (access.privilege == Privilege::user) {
        return translation.user && (access.kind != AccessKind::write || translation.writable);
    }
    return access.kind != AccessKind::write || translation.writable || !control.write_protect;
}

PageFault X86Mmu32::denied(const Control&, const Access& access) const {
    return {access.address, error_code(access) | PageFault::present_bit};
}

Walk X86Mmu32::walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
                    const StructureEntry* cached) const {
    if (access.address >> 32 != 0) {
        throw std::out_of_range("sim: 32-bit paging has no address above 4 GiB");
    }
    for (;;) {
        if (const auto done = try_walk(ram, control, access, effect, cached)) return *done;
    }
}

std::optional<Walk> X86Mmu32::try_walk(const Ram& ram, const Control& control, const Access& access,
                                       Effect effect, const StructureEntry* cached) const {
    const uint64_t address = access.address;
    Walk walk;
    Translation t;
    if (!control.paging) {  // 4.1.1: linear addresses are physical ones
        t.page = t.frame = address & table_base_mask;
        t.writable = t.user = t.dirty = true;
        walk.translation = t;
        return walk;
    }

    if (cached != nullptr) {
        walk.structure = *cached;
    } else {
        const uint64_t where = pde_address(control.cr3, address);
        uint32_t pde = ram.load<uint32_t>(where);
        if (!bit(pde, bit_present)) return faulted(access, 0);

        if (control.large_pages && bit(pde, bit_page_size)) {  // table 4-4
            if ((pde & reserved_bits_of_large_page()) != 0) {
                return faulted(access, PageFault::present_bit | PageFault::reserved_bit);
            }
            t.shift = large_shift();
            t.page = address & large_base_mask;
            // Bits 20:13 of the PDE are bits 39:32 of the address; those beyond M are zero here.
            t.frame = (pde & large_base_mask) | static_cast<uint64_t>(pde >> 13 & 0xff) << 32;
            t.type = memory_type(control, pde, bit_pat_large);
            t.writable = bit(pde, bit_writable);
            t.user = bit(pde, bit_user);
            t.global = control.global_pages && bit(pde, bit_global);
            if (!permits(control, t, access)) return faulted(access, PageFault::present_bit);
            const uint32_t flags =
                mask(bit_accessed) | (access.kind == AccessKind::write ? mask(bit_dirty) : 0);
            if (!mark(ram, where, pde, flags, effect)) return {};
            t.dirty = bit(pde, bit_dirty);
            walk.translation = t;
            return walk;
        }

        // Table 4-5. A PDE that refers to a page table has no reserved bits.
        if (!mark(ram, where, pde, mask(bit_accessed), effect)) return {};
        walk.structure =
            StructureEntry{address & large_base_mask, large_shift(), pde & table_base_mask,
                           bit(pde, bit_writable), bit(pde, bit_user)};
    }

    const StructureEntry& upper = *walk.structure;
    const uint64_t where = pte_address(upper.table, address);
    uint32_t pte = ram.load<uint32_t>(where);
    const auto fail = [&](uint32_t cause) {
        Walk failed = faulted(access, cause);
        failed.structure = walk.structure;
        return failed;
    };
    if (!bit(pte, bit_present)) return fail(0);
    // Table 4-6; bit 7 is reserved where the PAT is not supported.
    if (!features_.pat && bit(pte, bit_pat_small)) {
        return fail(PageFault::present_bit | PageFault::reserved_bit);
    }
    t.shift = small_shift();
    t.page = address & table_base_mask;
    t.frame = pte & table_base_mask;
    t.type = memory_type(control, pte, bit_pat_small);
    t.writable = upper.writable && bit(pte, bit_writable);  // 4.6: all levels must allow it
    t.user = upper.user && bit(pte, bit_user);
    t.global = control.global_pages && bit(pte, bit_global);
    if (!permits(control, t, access)) return fail(PageFault::present_bit);
    const uint32_t flags =
        mask(bit_accessed) | (access.kind == AccessKind::write ? mask(bit_dirty) : 0);
    if (!mark(ram, where, pte, flags, effect)) return {};
    t.dirty = bit(pte, bit_dirty);
    walk.translation = t;
    return walk;
}

std::string X86Mmu32::describe(const Ram& ram, const Control& control, uint64_t address) const {
    char text[160];
    if (!control.paging) return "paging is off";
    const uint32_t pde = ram.load<uint32_t>(pde_address(control.cr3, address));
    int used = std::snprintf(text, sizeof text, "cr3 %#llx, directory entry %llu is %#010x",
                             static_cast<unsigned long long>(control.cr3),
                             static_cast<unsigned long long>(address >> 22), pde);
    if (bit(pde, bit_present) && !(control.large_pages && bit(pde, bit_page_size))) {
        const uint64_t where = pte_address(pde & table_base_mask, address);
        std::snprintf(
            text + used, sizeof text - static_cast<size_t>(used), ", table entry %llu is %#010x",
            static_cast<unsigned long long>(address >> 12 & 0x3ff), ram.load<uint32_t>(where));
    }
    return text;
}

}  // namespace quire::sim
