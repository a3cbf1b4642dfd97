// SPDX-License-Identifier: MIT
#include "sim/x86_long_mmu.hpp"

#include <cstdio>

namespace quire::sim {

namespace {
// Tables 4-9 to 4-11 (PAE) and 4-14 to 4-20 (64-bit).
constexpr unsigned bit_writable = 1;
constexpr unsigned bit_user = 2;
constexpr unsigned bit_write_through = 3;  // PWT
constexpr unsigned bit_cache_disable = 4;  // PCD
constexpr unsigned bit_accessed = 5;
constexpr unsigned bit_dirty = 6;
constexpr unsigned bit_global = 8;

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
}  // namespace

// 4.9.1 and 4.9.2.
MemoryType X86LongMmu::memory_type(const Control& control, uint64_t entry, unsigned pat_bit) const {
    const uint64_t pat = has_pat() ? control.pat : Control::power_on_pat;
    const unsigned index = (bit(entry, pat_bit) ? 4u : 0u) +
                           (bit(entry, bit_cache_disable) ? 2u : 0u) +
                           (bit(entry, bit_write_through) ? 1u : 0u);
    return static_cast<MemoryType>(pat >> (8 * index) & 7);
}

bool X86LongMmu::permits(const Control& control, const Translation& translation,
                         const Access& access) const {
    // 4.6.1.
    if (access.kind == AccessKind::execute && !translation.executable) return false;
    if (access.privilege == Privilege::user) {
        return translation.user && (access.kind != AccessKind::write || translation.writable);
    }
    return access.kind != AccessKind::write || translation.writable || !control.write_protect;
}

PageFault X86LongMmu::denied(const Control& control, const Access& access) const {
    return {access.address, error_code(control, access) | PageFault::present_bit};
}

Walk X86LongMmu::not_present(const Control& control, const Access& access) {
    Walk walk;
    walk.fault = {access.address, error_code(control, access)};
    return walk;
}

Walk X86LongMmu::walk_from(const Ram& ram, const Control& control, const Access& access,
                           Effect effect, const StructureEntry* cached, const Start& start) const {
    for (;;) {
        if (const auto done = try_walk(ram, control, access, effect, cached, start)) return *done;
    }
}

std::optional<Walk> X86LongMmu::try_walk(const Ram& ram, const Control& control,
                                         const Access& access, Effect effect,
                                         const StructureEntry* cached, const Start& start) const {
    Walk walk;
    const auto fail = [&](uint32_t cause) {
        walk.fault = {access.address, error_code(control, access) | cause};
        return walk;
    };
    // What all levels so far allow (4.6).
    bool writable = true;
    bool user = true;
    bool executable = true;
    uint64_t table = start.table;
    unsigned shift = start.shift;
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

std::string X86LongMmu::describe_from(const Ram& ram, uint64_t address, const Start& start) const {
    std::string all;
    char text[80];
    uint64_t table = start.table;
    for (unsigned shift = start.shift;; shift -= 9) {
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
