// SPDX-License-Identifier: MIT
// The 64-bit MMU against the manual: rights, marks, reserved bits and page sizes, at every level,
// with 4 levels and with 5.
#include "sim/x86_mmu64.hpp"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace quire::sim::test::x86_mmu64_test {
namespace {

constexpr std::array kinds{AccessKind::read, AccessKind::write, AccessKind::execute};
constexpr std::array privileges{Privilege::supervisor, Privilege::user};
constexpr uint64_t execute_disable = uint64_t{1} << 63;

// One chain of tables, of which each is at 1 MiB and a page for each level; level 0 maps pages.
class X86Mmu64Test : public testing::TestWithParam<unsigned> {
  protected:
    X86Mmu64Test() {
        control.paging = control.write_protect = control.no_execute = true;
        control.global_pages = true;
        control.five_levels = GetParam() == 5;
        control.cr3 = table(root());
        make_chain(0);
    }

    static unsigned root() { return GetParam() - 1; }
    static uint64_t table(unsigned level) { return 0x100000 + level * 0x1000; }
    // Indices 260, 3, 7, 1, 9 from the highest of five down; canonical.
    static uint64_t address() {
        const uint64_t low = uint64_t{3} << 39 | uint64_t{7} << 30 | 1 << 21 | 9 << 12 | 0x123;
        return root() == 4 ? low | uint64_t{0xff04} << 48 : low;
    }
    uint64_t& entry(unsigned level) {
        return *ram.as<uint64_t>(table(level) + 8 * (address() >> (12 + 9 * level) & 511));
    }
    // Everything allowed, with a page of that level at 3 GiB.
    void make_chain(unsigned leaf_level) {
        for (unsigned level = root(); level > leaf_level; --level)
            entry(level) = table(level - 1) | 7;
        entry(leaf_level) = uint64_t{3} << 30 | 7 | (leaf_level > 0 ? 0x80 : 0);
    }
    Walk walk(const Access& access, Effect effect = Effect::looks) {
        return mmu.walk(ram, control, access, effect, nullptr);
    }
    Walk read(Effect effect = Effect::looks) { return walk({address()}, effect); }

    Ram ram{uint64_t{16} << 20};
    Control control;
    X86Mmu64 mmu;
};

TEST_P(X86Mmu64Test, FindsPagesOfEverySize) {
    for (unsigned level = 0; level < 3; ++level) {
        make_chain(level);
        const auto found = read().translation;
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(found->shift, 12 + 9 * level);
        EXPECT_EQ(found->frame, uint64_t{3} << 30);
        EXPECT_EQ(found->page, address() >> found->shift << found->shift);
        const uint64_t offset = address() & ((uint64_t{1} << found->shift) - 1);
        EXPECT_EQ(found->physical(address()), (uint64_t{3} << 30) + offset);
    }
}

// SDM vol. 3A 4.6.1: a right is granted when every level grants it.
TEST_P(X86Mmu64Test, RightsExhaustively) {
    for (unsigned leaf = 0; leaf < 3; ++leaf) {
        for (unsigned spoiled = leaf; spoiled <= root(); ++spoiled) {
            for (unsigned bits = 0; bits < 16; ++bits) {
                const bool writable = (bits & 1) != 0;
                const bool user_page = (bits & 2) != 0;
                control.no_execute = (bits & 8) != 0;
                const bool disabled = (bits & 4) != 0 && control.no_execute;
                make_chain(leaf);
                if (!writable) entry(spoiled) &= ~uint64_t{2};
                if (!user_page) entry(spoiled) &= ~uint64_t{4};
                if (disabled) entry(spoiled) |= execute_disable;
                for (const AccessKind kind : kinds) {
                    for (const Privilege privilege : privileges) {
                        const bool user = privilege == Privilege::user;
                        for (const bool write_protect : {false, true}) {
                            control.write_protect = write_protect;
                            const bool allowed = (!user || user_page) &&
                                                 (kind != AccessKind::execute || !disabled) &&
                                                 (kind != AccessKind::write || writable ||
                                                  (!user && !write_protect));
                            const Walk walked = walk({address(), kind, privilege});
                            ASSERT_EQ(walked.translation.has_value(), allowed);
                            if (allowed) continue;
                            const uint32_t code =
                                1u | (kind == AccessKind::write ? 2u : 0u) | (user ? 4u : 0u) |
                                (kind == AccessKind::execute && control.no_execute ? 16u : 0u);
                            ASSERT_EQ(walked.fault.error_code, code);
                            ASSERT_EQ(mmu.denied(control, {address(), kind, privilege}).error_code,
                                      code);
                        }
                    }
                }
            }
        }
    }
}

TEST_P(X86Mmu64Test, WhatIsNotPresentFaultsAtEveryLevel) {
    for (unsigned level = 0; level <= root(); ++level) {
        make_chain(0);
        entry(level) = ~uint64_t{1};
        const Walk walked = walk({address(), AccessKind::write, Privilege::user});
        EXPECT_FALSE(walked.translation.has_value());
        EXPECT_EQ(walked.fault, (PageFault{address(), 6}));
    }
}

// SDM vol. 3A, 4.5.4, the list of reserved bits, here for MAXPHYADDR 46.
TEST_P(X86Mmu64Test, ReservedBitsFaultAtEveryLevel) {
    for (const bool page1gb : {true, false}) {
        for (const bool no_execute : {true, false}) {
            mmu = X86Mmu64({page1gb, 46});
            control.no_execute = no_execute;
            for (unsigned leaf = 0; leaf < (page1gb ? 3u : 2u); ++leaf) {
                for (unsigned level = leaf; level <= root(); ++level) {
                    for (unsigned bit = 8; bit < 64; ++bit) {
                        const uint64_t alone = uint64_t{1} << bit;
                        const bool low =
                            level == leaf && leaf > 0 && bit > 12 && bit < 12 + 9 * leaf;
                        const bool high = bit >= 46 && bit < 52;
                        const bool reserved = low || high || (bit == 63 && !no_execute);
                        // Another address of a table leads elsewhere.
                        if (level != leaf && bit >= 12 && bit < 46) continue;
                        make_chain(leaf);
                        entry(level) |= alone;
                        const Walk walked = read();
                        ASSERT_EQ(walked.translation.has_value(), !reserved) << level << ' ' << bit;
                        if (reserved) {
                            ASSERT_EQ(walked.fault.error_code, 9u);
                        }
                    }
                }
            }
            // PS: in the upper levels never, in a PDPTE with 1 GiB pages only.
            for (unsigned level = page1gb ? 3 : 2; level <= root(); ++level) {
                make_chain(0);
                entry(level) |= 0x80;
                EXPECT_EQ(read().fault.error_code, 9u) << level;
            }
        }
    }
}

TEST_P(X86Mmu64Test, MarksWhatItUses) {
    for (unsigned leaf = 0; leaf < 3; ++leaf) {
        make_chain(leaf);
        EXPECT_FALSE(read(Effect::looks).translation->dirty);
        for (unsigned level = leaf; level <= root(); ++level)
            EXPECT_EQ(entry(level) & 0x60, 0u);
        EXPECT_FALSE(read(Effect::marks).translation->dirty);
        for (unsigned level = leaf; level <= root(); ++level)
            EXPECT_EQ(entry(level) & 0x60, 0x20u);
        EXPECT_TRUE(walk({address(), AccessKind::write}, Effect::marks).translation->dirty);
        EXPECT_EQ(entry(leaf) & 0x60, 0x60u);
        for (unsigned level = leaf + 1; level <= root(); ++level)
            EXPECT_EQ(entry(level) & 0x60, 0x20u);
    }
}

// SDM vol. 3A 4.9.2: PAT, PCD and PWT select a field of IA32_PAT; PAT is bit 7 or 12.
TEST_P(X86Mmu64Test, SelectsMemoryTypes) {
    constexpr MemoryType power_on[] = {MemoryType::write_back, MemoryType::write_through,
                                       MemoryType::uncached_minus, MemoryType::uncached};
    for (unsigned leaf = 0; leaf < 3; ++leaf) {
        for (unsigned index = 0; index < 8; ++index) {
            make_chain(leaf);
            entry(leaf) |= (index & 3) << 3 | (index >> 2) << (leaf == 0 ? 7 : 12);
            control.pat = Control::power_on_pat;
            EXPECT_EQ(read().translation->type, power_on[index & 3]);
            control.pat = uint64_t{1} << (8 * index);
            EXPECT_EQ(read().translation->type, MemoryType::write_combining);
        }
    }
}

TEST_P(X86Mmu64Test, GlobalPagesNeedTheControlBit) {
    for (unsigned leaf = 0; leaf < 3; ++leaf) {
        make_chain(leaf);
        entry(leaf) |= 0x100;
        control.global_pages = true;
        EXPECT_TRUE(read().translation->global);
        control.global_pages = false;
        EXPECT_FALSE(read().translation->global);
    }
}

TEST_P(X86Mmu64Test, AddressesThatAreNotCanonicalAreNoneOfItsBusiness) {
    const unsigned sign = 12 + 9 * GetParam() - 1;
    for (const uint64_t good : {(uint64_t{1} << sign) - 1, ~uint64_t{0} << sign, ~uint64_t{0}})
        EXPECT_NO_THROW(walk({good})) << std::hex << good;
    for (const uint64_t bad : {uint64_t{1} << sign, (~uint64_t{0} << sign) - 1, uint64_t{1} << 63,
                               ~(uint64_t{1} << sign)})
        EXPECT_THROW(walk({bad}), std::out_of_range) << std::hex << bad;
}

// SDM vol. 3A 4.10.3: a walk may go on where an earlier one for the same 2 MiB came by.
TEST_P(X86Mmu64Test, GoesOnFromWhatIsCached) {
    entry(1) &= ~uint64_t{2};
    entry(2) |= execute_disable;
    const auto structure = read().structure;
    ASSERT_TRUE(structure.has_value());
    EXPECT_EQ(*structure,
              (StructureEntry{address() >> 21 << 21, 21, table(0), false, true, false}));
    for (unsigned level = 1; level <= root(); ++level)
        entry(level) = 0;
    const Walk walked = mmu.walk(ram, control, {address()}, Effect::looks, &*structure);
    ASSERT_TRUE(walked.translation.has_value());
    EXPECT_FALSE(walked.translation->writable || walked.translation->executable);
    EXPECT_TRUE(walked.translation->user);
    // Large pages are not reached through one.
    make_chain(1);
    EXPECT_FALSE(read().structure.has_value());
}

// Whatever level it was: the PDPTE, PML4E and PML5E caches of the same section.
TEST_P(X86Mmu64Test, GoesOnFromEveryLevelThatIsCached) {
    entry(2) &= ~uint64_t{2};
    const Walk first = read();
    ASSERT_EQ(first.uppers, root() - 1);
    EXPECT_EQ(first.upper[0].shift, 12 + 9 * root());
    for (unsigned i = 0; i < first.uppers; ++i) {
        const StructureEntry& upper = first.upper[i];
        const Walk walked = mmu.walk(ram, control, {address()}, Effect::looks, &upper);
        EXPECT_EQ(walked.translation, first.translation);
        EXPECT_EQ(walked.structure, first.structure);
        EXPECT_EQ(walked.uppers, first.uppers - 1 - i) << "what it skipped is cached already";
    }
    // The last one of them leads to the page directory, and says what was granted on the way.
    const StructureEntry& last = first.upper[first.uppers - 1];
    EXPECT_EQ(last.table, table(1));
    EXPECT_FALSE(last.writable);
    for (unsigned level = 2; level <= root(); ++level)
        entry(level) = 0;
    const Walk walked = mmu.walk(ram, control, {address()}, Effect::looks, &last);
    ASSERT_TRUE(walked.translation.has_value());
    EXPECT_FALSE(walked.translation->writable);
}

TEST_P(X86Mmu64Test, DescribesTheEntriesOnTheWay) {
    EXPECT_NE(mmu.describe(ram, control, address()).find("0xc0000007"), std::string::npos);
    EXPECT_NE(mmu.describe(ram, control, uint64_t{1} << 63).find("not canonical"),
              std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Levels, X86Mmu64Test, testing::Values(4u, 5u));

}  // namespace
}  // namespace quire::sim::test::x86_mmu64_test
