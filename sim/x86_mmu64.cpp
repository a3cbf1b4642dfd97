// SPDX-License-Identifier: MIT
#include "sim/x86_mmu64.hpp"

#include <cstdio>
#include <stdexcept>

namespace quire::sim {

namespace {
// Tables 4-14 (PML5E) to 4-20 (PTE). Which of them an entry is, the shift tells: the base-2
// logarithm of the bytes that the entry decides about.
constexpr unsigned pml5e = 48;
constexpr unsigned pml4e = 39;
constexpr unsigned pdpte = 30;
constexpr unsigned pde = 21;
constexpr unsigned pte = 12;

constexpr unsigned bit_present = 0;
constexpr unsigned bit_writable = 1;
constexpr unsigned bit_user = 2;
constexpr unsigned bit_write_through = 3;  // PWT
constexpr unsigned bit_cache_disable = 4;  // PCD
constexpr unsigned bit_accessed = 5;
constexpr unsigned bit_dirty = 6;
constexpr unsigned bit_page_size = 7;  // PS, in a PDPTE or PDE; reserved in a PML4E or PML5E
constexpr unsigned bit_pat_small = 7;  // PAT, in a PTE
constexpr unsigned bit_global = 8;
constexpr unsigned bit_pat_large = 12;  // PAT, in a PDPTE or PDE with PS
constexpr unsigned bit_execute_disable = 63;

constexpr bool bit(uint64_t entry, unsigned number) {
    return (entry >> number & 1) != 0;
}
constexpr uint64_t mask(unsigned number) {
    return uint64_t{1} << number;
}
// Bits first to last, both included; none when last is below first.
constexpr uint64_t bits(unsigned first, unsigned last) {
    return last < first ? 0 : (uint64_t{2} << last) - (uint64_t{1} << first);
}

constexpr uint64_t table_base_mask = bits(12, 51);

unsigned top(const Control& control) {
    return control.five_levels ? pml5e : pml4e;
}
uint64_t entry_address(uint64_t table, unsigned shift, uint64_t address) {
    return table + (address >> shift & 511) * 8;
}
// Vol. 1, 3.3.7.1: bits 63:47 (63:56 with 5 levels) are all the same.
bool is_canonical(const Control& control, uint64_t address) {
    const uint64_t above = address >> (top(control) + 8);
    return above == 0 || above == ~uint64_t{0} >> (top(control) + 8);
}
bool maps_a_page(unsigned shift, uint64_t entry) {
    return shift == pte || ((shift == pde || shift == pdpte) && bit(entry, bit_page_size));
}

// 4.7: the error code. I/D is 1 for fetches when EFER.NXE is (SMEP is not modelled).
uint32_t error_code(const Control& control, const Access& access) {
    return (access.kind == AccessKind::write ? PageFault::write_bit : 0) |
           (access.kind == AccessKind::execute && control.no_execute ? PageFault::fetch_bit : 0) |
           (access.privilege == Privilege::user ? PageFault::user_bit : 0);
}

// 4.8: sets flags in an entry; false when the entry changed meanwhile and the walk has to start
// again.
bool mark(const Ram& ram, uint64_t where, uint64_t& entry, uint64_t flags, Effect effect) {
    if ((entry & flags) == flags || effect == Effect::looks) return true;
    if (!ram.compare_exchange<uint64_t>(where, entry, entry | flags)) return false;
    entry |= flags;
    return true;
}

// 4.9.2; processors with this mode have the PAT.
MemoryType memory_type(const Control& control, uint64_t entry, unsigned pat_bit) {
    const unsigned index = (bit(entry, pat_bit) ? 4u : 0u) +
                           (bit(entry, bit_cache_disable) ? 2u : 0u) +
                           (bit(entry, bit_write_through) ? 1u : 0u);
    return static_cast<MemoryType>(control.pat >> (8 * index) & 7);
}
}  // namespace

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

bool X86Mmu64::permits(const Control& control, const Translation& translation,
                       const Access& access) const {
    // 4.6.1.
    if (access.kind == AccessKind::execute && !translation.executable) return false;
    if (access.privilege == Privilege::user) {
        return translation.user && (access.kind != AccessKind::write || translation.writable);
    }
    return access.kind != AccessKind::write || translation.writable || !control.write_protect;
}

PageFault X86Mmu64::denied(const Control& control, const Access& access) const {
    return {access.address, error_code(control, access) | PageFault::present_bit};
}

Walk X86Mmu64::walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
                    const StructureEntry* cached) const {
    if (!control.paging) throw std::out_of_range("sim: in 64-bit mode paging is always on");
    if (!is_canonical(control, access.address)) {
        throw std::out_of_range("sim: the address is not canonical");
    }
    for (;;) {
        if (const auto done = try_walk(ram, control, access, effect, cached)) return *done;
    }
}

std::optional<Walk> X86Mmu64::try_walk(const Ram& ram, const Control& control, const Access& access,
                                       Effect effect, const StructureEntry* cached) const {
    Walk walk;
    const auto fail = [&](uint32_t cause) {
        walk.fault = {access.address, error_code(control, access) | cause};
        return walk;
    };
    // What all levels so far allow (4.6).
    bool writable = true;
    bool user = true;
    bool executable = true;
    uint64_t table = control.cr3 & table_base_mask;
    unsigned shift = top(control);
    if (cached != nullptr) {
        if (cached->shift == pde) walk.structure = *cached;
        writable = cached->writable;
        user = cached->user;
        executable = cached->executable;
        table = cached->table;
        shift = cached->shift - 9;
    }
    for (;; shift -= 9) {
        const uint64_t where = entry_address(table, shift, access.address);
        uint64_t entry = ram.load<uint64_t>(where);
        if (!bit(entry, bit_present)) return fail(0);
        if ((entry & reserved_bits(control, shift, entry)) != 0) {
            return fail(PageFault::present_bit | PageFault::reserved_bit);
        }
        writable = writable && bit(entry, bit_writable);
        user = user && bit(entry, bit_user);
        executable = executable && !(control.no_execute && bit(entry, bit_execute_disable));
        if (!maps_a_page(shift, entry)) {
            if (!mark(ram, where, entry, mask(bit_accessed), effect)) return {};
            table = entry & table_base_mask;
            const StructureEntry passed{
                access.address & ~bits(0, shift - 1), shift, table, writable, user, executable};
            if (shift == pde) {
                walk.structure = passed;
            } else {
                walk.upper[walk.uppers++] = passed;
            }
            continue;
        }
        Translation t;
        t.shift = shift;
        t.page = access.address & ~bits(0, shift - 1);
        t.frame = entry & bits(shift, 51);
        t.type = memory_type(control, entry, shift == pte ? bit_pat_small : bit_pat_large);
        t.writable = writable;
        t.user = user;
        t.executable = executable;
        t.global = control.global_pages && bit(entry, bit_global);
        if (!permits(control, t, access)) return fail(PageFault::present_bit);
        const uint64_t flags =
            mask(bit_accessed) | (access.kind == AccessKind::write ? mask(bit_dirty) : 0);
        if (!mark(ram, where, entry, flags, effect)) return {};
        t.dirty = bit(entry, bit_dirty);
        walk.translation = t;
        return walk;
    }
}

std::string X86Mmu64::describe(const Ram& ram, const Control& control, uint64_t address) const {
    char text[80];
    std::snprintf(text, sizeof text, "cr3 %#llx", static_cast<unsigned long long>(control.cr3));
    std::string all = text;
    if (!is_canonical(control, address)) return all + ", and the address is not canonical";
    uint64_t table = control.cr3 & table_base_mask;
    for (unsigned shift = top(control);; shift -= 9) {
        const auto entry = ram.load<uint64_t>(entry_address(table, shift, address));
        std::snprintf(text, sizeof text, ", entry %llu for 2^%u bytes is %#llx",
                      static_cast<unsigned long long>(address >> shift & 511), shift,
                      static_cast<unsigned long long>(entry));
        all += text;
        if (!bit(entry, bit_present) || maps_a_page(shift, entry)) return all;
        table = entry & table_base_mask;
    }
}

}  // namespace quire::sim
