// SPDX-License-Identifier: MIT
// The PAE MMU against the manual: where it starts, rights, marks and page sizes. Reserved bits:
// x86_pae_test.cpp of the paging tests.
#include "sim/x86_mmu_pae.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace quire::sim::test::x86_mmu_pae_test {
namespace {

constexpr uint64_t execute_disable = uint64_t{1} << 63;

// Directory-pointer table, directory and table at 1 MiB and the pages after; CR3 with the bits that
// it ignores set.
class X86MmuPaeTest : public testing::Test {
  protected:
    X86MmuPaeTest() {
        control.paging = control.write_protect = control.no_execute = control.global_pages = true;
        control.cr3 = 0x100020 | 0x18;
        pdpte() = 0x101001;
        pde() = 0x102007;
        pte() = uint64_t{9} << 32 | 0x5007;
    }
    static constexpr uint64_t address = 0xc0601123;  // entries 3, 3 and 1
    uint64_t& pdpte() { return *ram.as<uint64_t>(0x100020 + 8 * 3); }
    uint64_t& pde() { return *ram.as<uint64_t>(0x101000 + 8 * 3); }
    uint64_t& pte() { return *ram.as<uint64_t>(0x102000 + 8 * 1); }
    Walk walk(const Access& access, Effect effect = Effect::looks) {
        return mmu.walk(ram, control, access, effect, nullptr);
    }

    Ram ram{uint64_t{16} << 20};
    Control control;
    X86MmuPae mmu;
};

TEST_F(X86MmuPaeTest, FindsPagesOfBothSizesAbove4GiB) {
    const auto small = walk({address}).translation;
    ASSERT_TRUE(small.has_value());
    EXPECT_EQ(small->physical(address), uint64_t{9} << 32 | 0x5123);
    EXPECT_EQ(small->bytes(), 0x1000u);
    pde() = uint64_t{9} << 32 | 0x200087;
    const auto large = walk({address}).translation;
    ASSERT_TRUE(large.has_value());
    EXPECT_EQ(large->physical(address), uint64_t{9} << 32 | 0x201123);
    EXPECT_EQ(large->bytes(), 0x200000u);
    EXPECT_THROW(walk({uint64_t{1} << 32}), std::out_of_range);
    control.paging = false;
    EXPECT_EQ(walk({address}).translation->physical(address), address);
}

TEST_F(X86MmuPaeTest, TheRootHasNoRightsAndNoMarks) {
    for (const AccessKind kind : {AccessKind::read, AccessKind::write, AccessKind::execute})
        EXPECT_TRUE(walk({address, kind, Privilege::user}).translation.has_value());
    EXPECT_TRUE(walk({address, AccessKind::write}, Effect::marks).translation->dirty);
    EXPECT_EQ(pdpte(), 0x101001u);
    EXPECT_EQ(pde(), 0x102027u);
    EXPECT_EQ(pte(), uint64_t{9} << 32 | 0x5067);
    pdpte() = 0x101000;
    EXPECT_FALSE(walk({address}).fault.present());
    EXPECT_TRUE(walk({address, AccessKind::write}).fault.write());
    pdpte() |= execute_disable;  // of no interest where P is clear
    EXPECT_TRUE(mmu.can_load(ram, control));
    pdpte() = 0x101003;
    EXPECT_FALSE(mmu.can_load(ram, control));
    EXPECT_THROW(walk({0}), std::out_of_range);
}

TEST_F(X86MmuPaeTest, EveryLevelMustAllow) {
    struct Case {
        uint64_t removed;
        Access denied;
    };
    const Case cases[] = {{2, {address, AccessKind::write}},
                          {4, {address, AccessKind::read, Privilege::user}},
                          {execute_disable, {address, AccessKind::execute}}};
    for (const Case& each : cases) {
        for (uint64_t* const entry : {&pde(), &pte()}) {
            const uint64_t old = *entry;
            *entry ^= each.removed;
            const Walk found = walk(each.denied);
            EXPECT_FALSE(found.translation.has_value());
            EXPECT_TRUE(found.fault.present());
            EXPECT_FALSE(found.fault.reserved());
            *entry = old;
        }
    }
    control.no_execute = false;
    pte() |= execute_disable;
    EXPECT_TRUE(walk({address}).fault.reserved());
}

TEST_F(X86MmuPaeTest, GoesOnFromACachedDirectoryEntry) {
    const auto cached = walk({address}).structure;
    ASSERT_TRUE(cached.has_value());
    EXPECT_EQ(cached->region, 0xc0600000u);
    EXPECT_EQ(cached->shift, 21u);
    pde() = 0;
    EXPECT_FALSE(walk({address}).translation.has_value());
    EXPECT_TRUE(mmu.walk(ram, control, {address}, Effect::looks, &*cached).translation.has_value());
}

TEST_F(X86MmuPaeTest, SaysWhatItWent) {
    EXPECT_EQ(mmu.describe(ram, control, address),
              "cr3 0x100038, directory pointer 3 is 0x101001, entry 3 for 2^21 bytes is 0x102007, "
              "entry 1 for 2^12 bytes is 0x900005007");
}

}  // namespace
}  // namespace quire::sim::test::x86_mmu_pae_test
