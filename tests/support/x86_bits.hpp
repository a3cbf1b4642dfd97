// SPDX-License-Identifier: MIT
// What entries of x86's page tables hold, from the manual and as numbers: the second table that the
// formats are compared with. Shares nothing with them.
#pragma once

#include <cstdint>

#include "quire/paging/attributes.hpp"
#include "sim/mmu.hpp"

namespace quire::test {

// Intel SDM vol. 3A, table 12-11: an entry's PAT, PCD and PWT bits are bits 2, 1 and 0 of the index
// into the page attribute table, which holds what x86_page_attribute_table says (table 12-10).
struct TypeBits {
    MemoryType type;
    bool pat, pcd, pwt;
    sim::MemoryType encoded;
};
inline constexpr TypeBits type_bits[] = {
    {MemoryType::write_back, false, false, false, sim::MemoryType::write_back},
    {MemoryType::write_through, false, false, true, sim::MemoryType::write_through},
    {MemoryType::uncached, false, true, false, sim::MemoryType::uncached_minus},
    {MemoryType::device, false, true, true, sim::MemoryType::uncached},
    {MemoryType::write_combining, true, false, false, sim::MemoryType::write_combining},
};
constexpr sim::MemoryType encoded(MemoryType type) {
    for (const TypeBits& bits : type_bits) {
        if (bits.type == type) return bits.encoded;
    }
    return sim::MemoryType::write_protected;  // which nothing asks for
}

// Leaves of 8 bytes, by level. SDM vol. 3A, 4.4.2, tables 4-9 (2 MiB page) and 4-11 (4 KiB page)
// for PAE; 4.5.4, tables 4-16 (1 GiB page), 4-18 (2 MiB page) and 4-20 (4 KiB page) for 64-bit
// paging. M is MAXPHYADDR.
//
//   bit   4 KiB page (level 0)    2 MiB page (level 1)     1 GiB page (level 2)
//   0     P                       P                        P
//   1     R/W                     R/W                      R/W
//   2     U/S                     U/S                      U/S
//   3     PWT                     PWT                      PWT
//   4     PCD                     PCD                      PCD
//   5, 6  A, D                    A, D                     A, D
//   7     PAT                     PS = 1                   PS = 1
//   8     G (with CR4.PGE)        G (with CR4.PGE)         G (with CR4.PGE)
//   12    address                 PAT                      PAT
//   up    M-1:12 address          20:13 reserved           29:13 reserved
//                                 M-1:21 address           M-1:30 address
//   51:M  reserved                reserved                 reserved
//   62:52 ignored; with PAE, reserved
//   63    XD (with EFER.NXE; reserved without)
//
// With PAE, the PAT's bit is reserved where the CPU has no PAT.
struct LongLeafBits {
    uint64_t pat;
    uint64_t page_size;
    uint64_t frame_step;  // frames of one page
    uint64_t reserved;    // whatever M is
};
inline constexpr LongLeafBits long_leaf_bits[3] = {
    {0x80, 0, 1, 0},
    {0x1000, 0x80, 512, 0x001fe000},
    {0x1000, 0x80, 512 * 512, 0x3fffe000},
};
inline constexpr uint64_t execute_disable = 0x8000000000000000;

// A leaf as the tables above have it. `rights`: the numbers of Protection.
constexpr uint64_t expected_long_leaf(unsigned level, uint64_t frame, unsigned rights,
                                      const TypeBits& type, bool has_execute_disable,
                                      bool has_global) {
    uint64_t expected = frame << 12 | 1;
    if ((rights & 2) != 0) expected |= 0x2;                   // R/W
    if ((rights & 8) != 0) expected |= 0x4;                   // U/S
    if ((rights & 16) != 0 && has_global) expected |= 0x100;  // G
    if ((rights & 4) == 0 && has_execute_disable) expected |= execute_disable;
    if (type.pwt) expected |= 0x8;
    if (type.pcd) expected |= 0x10;
    if (type.pat) expected |= long_leaf_bits[level].pat;
    return expected | long_leaf_bits[level].page_size;
}

}  // namespace quire::test
