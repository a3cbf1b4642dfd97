// SPDX-License-Identifier: MIT
// The MMU against the manual: every combination of the bits that matter, at both levels, beside
// what a second, slower reading of the same pages says.
#include "sim/x86_mmu32.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "unit/sim/hand_tables.hpp"

namespace quire::sim::test::x86_mmu32_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint32_t address = 0xc0345678;
constexpr uint32_t small_frame = 0x00456000;
constexpr uint32_t large_frame = 0x00800000;

constexpr std::array kinds{AccessKind::read, AccessKind::write, AccessKind::execute};
constexpr std::array privileges{Privilege::supervisor, Privilege::user};

class X86Mmu32Test : public testing::Test {
  protected:
    X86Mmu32Test() : tables(ram) {
        control.paging = true;
        control.cr3 = address_of(tables.root()).value();
        tables.map(address, small_frame);  // makes the table
        table = tables.directory_entry(address) & 0xfffff000;
    }

    uint32_t& pde() { return tables.directory_entry(address); }
    uint32_t& pte() { return ram.as<uint32_t>(table)[address >> 12 & 0x3ff]; }
    Walk walk(const Access& access, Effect effect = Effect::marks) {
        return mmu.walk(ram, control, access, effect, nullptr);
    }

    Ram ram{16 * MiB};
    HandTables tables;
    uint32_t table = 0;
    Control control;
    X86Mmu32 mmu;
};

// SDM table 4-15 and section 4.6 in words: what both levels together allow.
bool allowed(bool user_page, bool writable_page, bool write_protect, const Access& access) {
    if (access.privilege == Privilege::user && !user_page) return false;
    if (access.kind != AccessKind::write) return true;
    if (writable_page) return true;
    return access.privilege == Privilege::supervisor && !write_protect;
}

uint32_t expected_code(const Access& access, bool present, bool reserved) {
    return (present ? 1u : 0u) | (access.kind == AccessKind::write ? 2u : 0u) |
           (access.privilege == Privilege::user ? 4u : 0u) | (reserved ? 8u : 0u);
}

TEST_F(X86Mmu32Test, RightsOfSmallPagesExhaustively) {
    unsigned cases = 0;
    for (uint32_t upper = 0; upper < 8; ++upper) {
        for (uint32_t lower = 0; lower < 8; ++lower) {
            for (const bool wp : {false, true}) {
                for (const AccessKind kind : kinds) {
                    for (const Privilege privilege : privileges) {
                        SCOPED_TRACE(testing::Message()
                                     << "pde " << upper << " pte " << lower << " wp " << wp);
                        ++cases;
                        pde() = table | upper;
                        pte() = small_frame | lower;
                        control.write_protect = wp;
                        const Access access{address, kind, privilege};
                        const Walk result = walk(access);

                        const bool present = (upper & P) != 0 && (lower & P) != 0;
                        const bool user = (upper & US) != 0 && (lower & US) != 0;
                        const bool writable = (upper & RW) != 0 && (lower & RW) != 0;
                        const bool good = present && allowed(user, writable, wp, access);
                        ASSERT_EQ(result.translation.has_value(), good);
                        // Flags: the directory entry's when the walk passed it, the page's only
                        // when the access was made.
                        EXPECT_EQ((pde() & A) != 0, (upper & P) != 0);
                        EXPECT_EQ(pde() & D, 0u);
                        EXPECT_EQ((pte() & A) != 0, good);
                        EXPECT_EQ((pte() & D) != 0, good && kind == AccessKind::write);
                        if (!good) {
                            EXPECT_EQ(result.fault.address, address);
                            EXPECT_EQ(result.fault.error_code,
                                      expected_code(access, present, false));
                            continue;
                        }
                        EXPECT_EQ(result.translation->physical(address), small_frame | 0x678u);
                        EXPECT_EQ(result.translation->shift, 12u);
                        EXPECT_EQ(result.translation->user, user);
                        EXPECT_EQ(result.translation->writable, writable);
                        EXPECT_EQ(result.translation->dirty, kind == AccessKind::write);
                    }
                }
            }
        }
    }
    EXPECT_EQ(cases, 8u * 8 * 2 * 3 * 2);
}

TEST_F(X86Mmu32Test, RightsOfLargePagesExhaustively) {
    control.large_pages = true;
    for (uint32_t bits = 0; bits < 8; ++bits) {
        for (const bool wp : {false, true}) {
            for (const AccessKind kind : kinds) {
                for (const Privilege privilege : privileges) {
                    pde() = large_frame | PS | bits;
                    control.write_protect = wp;
                    const Access access{address, kind, privilege};
                    const Walk result = walk(access);
                    const bool user = (bits & US) != 0, writable = (bits & RW) != 0;
                    const bool good = (bits & P) != 0 && allowed(user, writable, wp, access);
                    ASSERT_EQ(result.translation.has_value(), good);
                    EXPECT_EQ((pde() & A) != 0, good);
                    EXPECT_EQ((pde() & D) != 0, good && kind == AccessKind::write);
                    if (!good) {
                        EXPECT_EQ(result.fault.error_code,
                                  expected_code(access, (bits & P) != 0, false));
                        continue;
                    }
                    EXPECT_EQ(result.translation->physical(address),
                              large_frame | (address & 0x3fffff));
                    EXPECT_EQ(result.translation->shift, 22u);
                    EXPECT_EQ(result.translation->page, address & 0xffc00000);
                    EXPECT_EQ(result.translation->user, user);
                    EXPECT_EQ(result.translation->writable, writable);
                    EXPECT_FALSE(result.structure.has_value());
                }
            }
        }
    }
}

// Which of the eight PAT fields each combination selects, typed in from SDM table 12-12.
struct PatRow {
    bool pat, pcd, pwt;
    unsigned field;
};
constexpr std::array<PatRow, 8> pat_rows{{{false, false, false, 0},
                                          {false, false, true, 1},
                                          {false, true, false, 2},
                                          {false, true, true, 3},
                                          {true, false, false, 4},
                                          {true, false, true, 5},
                                          {true, true, false, 6},
                                          {true, true, true, 7}}};
// A register that gives each field a type of its own as far as there are types.
constexpr uint64_t distinct_pat = 0x0501'0706'0504'0100;
constexpr std::array<uint8_t, 8> distinct_types{0, 1, 4, 5, 6, 7, 1, 5};

TEST_F(X86Mmu32Test, MemoryTypesOfBothSizes) {
    control.pat = distinct_pat;
    for (const PatRow& row : pat_rows) {
        const uint32_t low = (row.pcd ? PCD : 0) | (row.pwt ? PWT : 0);
        const auto expected = static_cast<MemoryType>(distinct_types[row.field]);
        pde() = table | P;
        pte() = small_frame | P | low | (row.pat ? PAT4K : 0);
        EXPECT_EQ(walk({address}).translation->type, expected) << row.field;
        // PWT and PCD of the directory entry are about the table, not about the page.
        pde() = table | P | PWT | PCD;
        EXPECT_EQ(walk({address}).translation->type, expected) << row.field;

        control.large_pages = true;
        pde() = large_frame | P | PS | low | (row.pat ? PAT4M : 0);
        const Walk large = walk({address});
        EXPECT_EQ(large.translation->type, expected) << row.field;
        EXPECT_EQ(large.translation->frame, large_frame) << "the PAT bit is no address bit";
        control.large_pages = false;
    }
}

TEST_F(X86Mmu32Test, PowerOnMemoryTypes) {
    constexpr std::array expected{MemoryType::write_back, MemoryType::write_through,
                                  MemoryType::uncached_minus, MemoryType::uncached};
    for (uint32_t i = 0; i < 8; ++i) {
        pte() = small_frame | P | (i & 1 ? PWT : 0) | (i & 2 ? PCD : 0) | (i & 4 ? PAT4K : 0);
        EXPECT_EQ(walk({address}).translation->type, expected[i & 3]) << i;
    }
}

TEST_F(X86Mmu32Test, GlobalOnlyWithPgeAndAtTheLastLevel) {
    for (const bool pge : {false, true}) {
        control.global_pages = pge;
        for (const bool g : {false, true}) {
            for (const bool upper_g : {false, true}) {
                pde() = table | P | (upper_g ? G : 0);
                pte() = small_frame | P | (g ? G : 0);
                EXPECT_EQ(walk({address}).translation->global, pge && g);
            }
            control.large_pages = true;
            pde() = large_frame | P | PS | (g ? G : 0);
            EXPECT_EQ(walk({address}).translation->global, pge && g);
            control.large_pages = false;
        }
    }
}

TEST_F(X86Mmu32Test, PageSizeBitIsIgnoredWithoutPse) {
    pde() = table | P | RW | PS;
    pte() = small_frame | P | RW;
    EXPECT_EQ(walk({address}).translation->shift, 12u);
    control.large_pages = true;
    pde() = large_frame | P | RW | PS;
    EXPECT_EQ(walk({address}).translation->shift, 22u);
}

TEST_F(X86Mmu32Test, ReservedBitsOfLargePagesExhaustively) {
    control.large_pages = true;
    for (const bool pse36 : {false, true}) {
        for (const bool pat : {false, true}) {
            for (const unsigned physical_bits : {32u, 33u, 36u, 39u, 40u, 46u, 52u}) {
                const X86Mmu32 other({pse36, pat, physical_bits});
                for (uint32_t field = 0; field < 1u << 10; ++field) {  // bits 21:12
                    pde() = large_frame | P | PS | field << 12;
                    const Walk result = other.walk(ram, control, {address}, Effect::marks, nullptr);
                    // Bit 12 is PAT; bit 13 + n stands for address bit 32 + n.
                    bool reserved = !pat && (field & 1) != 0;
                    uint64_t high = 0;
                    for (unsigned n = 0; n < 9; ++n) {
                        if ((field >> (n + 1) & 1) == 0) continue;
                        if (!pse36 || 32 + n >= std::min(physical_bits, 40u)) reserved = true;
                        high |= uint64_t{1} << (32 + n);
                    }
                    ASSERT_EQ(result.translation.has_value(), !reserved)
                        << std::hex << pde() << std::dec << " with " << physical_bits;
                    if (reserved) {
                        ASSERT_EQ(result.fault.error_code, 1u | 8u);
                        ASSERT_EQ(pde() & A, 0u);
                    } else {
                        ASSERT_EQ(result.translation->frame, large_frame | high);
                    }
                }
            }
        }
    }
}

TEST_F(X86Mmu32Test, ReservedBitsMeanNothingInAbsentEntries) {
    control.large_pages = true;
    pde() = 0xffffffff & ~P;
    EXPECT_EQ(walk({address}).fault.error_code, 0u);
    const X86Mmu32 without_pat({true, false, 36});
    pde() = table | P;
    pte() = 0xffffffff & ~P;
    EXPECT_EQ(without_pat.walk(ram, control, {address}, Effect::marks, nullptr).fault.error_code,
              0u);
}

TEST_F(X86Mmu32Test, ReservedComesBeforeRights) {
    control.large_pages = true;
    pde() = large_frame | P | PS | 1u << 21;
    EXPECT_EQ(walk({address, AccessKind::write, Privilege::user}).fault.error_code,
              1u | 2u | 4u | 8u);
}

TEST_F(X86Mmu32Test, WithoutPatItsBitIsReserved) {
    const X86Mmu32 without_pat({true, false, 36});
    pte() = small_frame | P | PAT4K;
    const Walk result = without_pat.walk(ram, control, {address}, Effect::marks, nullptr);
    EXPECT_FALSE(result.translation);
    EXPECT_EQ(result.fault.error_code, 1u | 8u);
    EXPECT_EQ(pte() & A, 0u);
    control.pat = distinct_pat;
    pte() = small_frame | P | PCD;
    EXPECT_EQ(without_pat.walk(ram, control, {address}, Effect::marks, nullptr).translation->type,
              MemoryType::uncached_minus)
        << "without PAT its register has no say";
}

TEST_F(X86Mmu32Test, IgnoredBitsAreIgnored) {
    for (const uint32_t ignored : {1u << 9, 1u << 10, 1u << 11}) {
        pde() = table | P | ignored;
        pte() = small_frame | P | ignored;
        EXPECT_EQ(walk({address}).translation->frame, small_frame);
    }
    pde() = table | P | D | G;  // bits 6 and 8 of an entry that refers to a table
    EXPECT_EQ(walk({address}).translation->frame, small_frame);
    control.cr3 |= 0xfff;  // PWT, PCD and ignored bits
    EXPECT_EQ(walk({address}).translation->frame, small_frame);
}

TEST_F(X86Mmu32Test, LooksLeaveNoMarks) {
    pde() = table | P | RW;
    pte() = small_frame | P | RW;
    const Walk result = walk({address, AccessKind::write}, Effect::looks);
    EXPECT_TRUE(result.translation.has_value());
    EXPECT_FALSE(result.translation->dirty);
    EXPECT_EQ(pde() & (A | D), 0u);
    EXPECT_EQ(pte() & (A | D), 0u);
}

TEST_F(X86Mmu32Test, EveryDirectoryAndTableIndexIsUsed) {
    // The recursive trick shows that both indices and the offset are cut at the right bits.
    const auto root = static_cast<uint32_t>(address_of(tables.root()).value());
    tables.directory_entry(0xffc00000) = root | P | RW;
    for (uint32_t i = 0; i < 1023; ++i) {
        const uint32_t entry = 0xfffff000 + i * 4;
        ASSERT_EQ(walk({entry}, Effect::looks).translation->physical(entry), root + i * 4);
        tables.directory_entry(i << 22) = table | P;
        ASSERT_EQ(walk({0xffc00000 + (i << 12)}, Effect::looks).translation->frame, table);
        tables.directory_entry(i << 22) = 0;
        ASSERT_FALSE(walk({0xffc00000 + (i << 12)}, Effect::looks).translation);
    }
}

TEST_F(X86Mmu32Test, CachedStructureIsUsedAsItStands) {
    pde() = 0;
    pte() = small_frame | P | RW | US;
    StructureEntry cached{address & 0xffc00000, 22, table, false, true};
    const Walk result = mmu.walk(ram, control, {address}, Effect::marks, &cached);
    ASSERT_TRUE(result.translation);
    EXPECT_EQ(result.translation->frame, small_frame);
    EXPECT_FALSE(result.translation->writable);
    EXPECT_TRUE(result.translation->user);
    EXPECT_EQ(pde(), 0u);
}

TEST_F(X86Mmu32Test, WithoutPagingAddressesArePhysical) {
    control = Control{};
    const Walk result = walk({address, AccessKind::write, Privilege::user});
    EXPECT_EQ(result.translation->physical(address), address);
    EXPECT_TRUE(result.translation->writable);
}

TEST_F(X86Mmu32Test, TablesOutsideRamAreAllOnes) {
    control.cr3 = 0xf0000000;
    // All ones: present, user, writable, a table at 0xfffff000, which is all ones, too.
    EXPECT_EQ(walk({address}).translation->frame, 0xfffff000u);
    control.large_pages = true;
    EXPECT_EQ(walk({address}).fault.error_code, 1u | 8u);
}

TEST_F(X86Mmu32Test, RefusesAddressesAbove4GiB) {
    EXPECT_THROW(walk({uint64_t{1} << 32}), std::out_of_range);
}

TEST_F(X86Mmu32Test, DescribesTheEntriesOnTheWay) {
    pde() = table | P;
    pte() = small_frame | P;
    const std::string text = mmu.describe(ram, control, address);
    EXPECT_NE(text.find("directory entry 768 is 0x00101001"), std::string::npos) << text;
    EXPECT_NE(text.find("table entry 837 is 0x00456001"), std::string::npos) << text;
}

}  // namespace
}  // namespace quire::sim::test::x86_mmu32_test
