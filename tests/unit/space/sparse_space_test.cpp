// SPDX-License-Identifier: MIT
// Terabytes of promises cost nothing but their records.
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class SparseSpace : public SpaceTest {
  protected:
    static constexpr uintptr_t tebibyte = (uintptr_t{1} << 40) >> page_shift;
    SparseSpace()
        : machine({.bounds = PageRange::between(Page(0x1000), Page(Page::highest - 1)),
                   .first_nodes = 64,
                   .growth = NodeGrowth::none}) {}
    Machine machine;
};

TEST_F(SparseSpace, TerabytesAreReservedAndUsedHereAndThere) {
    if (sizeof(void*) < 8) GTEST_SKIP() << "needs a 64-bit address space";
    const auto arena = machine.space.reserve(PageCount(100 * tebibyte));
    ASSERT_TRUE(arena.ok());
    const auto lazy = machine.space.allocate(PageCount(3 * tebibyte), on_demand());
    ASSERT_TRUE(lazy.ok());
    EXPECT_EQ(machine.frames.used(), 0u);
    for (uintptr_t i = 0; i < 5; ++i) {
        const Page page = arena->first() + PageCount(20 * tebibyte * i + 17);
        ASSERT_TRUE(machine.space.commit(PageRange(page, PageCount(1))).ok());
        const Page touched = lazy->first() + PageCount((tebibyte / 2) * i);
        ASSERT_TRUE(machine.space.fault({.address = address_of(touched)}).resolved);
    }
    EXPECT_EQ(machine.frames.used(), 10 + machine.table.tables());
    ASSERT_TRUE(machine.space.validate().ok());
    const PageRange middle(arena->first() + PageCount(tebibyte), PageCount(98 * tebibyte));
    ASSERT_TRUE(machine.space.unmap(middle).ok());
    EXPECT_EQ(machine.space.regions(), 3u);
    ASSERT_TRUE(machine.space.validate().ok());
    AllocateOptions options;
    options.placement.alignment = PageCount(16 * tebibyte);
    const auto aligned = machine.space.reserve(PageCount(64 * tebibyte), options);
    ASSERT_TRUE(aligned.ok());
    EXPECT_TRUE(aligned->first().is_aligned(PageCount(16 * tebibyte)));
    EXPECT_TRUE(machine.space.validate().ok());
}

TEST_F(SparseSpace, RequestsBeyondAllReasonAreRefused) {
    expect_error(machine.space.reserve(PageCount(Page::highest)), Error::out_of_address_space);
    expect_error(machine.space.reserve(PageCount(UINTPTR_MAX)), Error::out_of_address_space);
    AllocateOptions options;
    options.placement.alignment = PageCount(uintptr_t{1} << (8 * sizeof(uintptr_t) - 1));
    expect_error(machine.space.reserve(PageCount(1), options), Error::out_of_address_space);
}

TEST_F(SparseSpace, TheWholeAddressSpaceCanBeOneRegion) {
    const auto all = machine.space.reserve(machine.space.bounds().count());
    ASSERT_TRUE(all.ok());
    expect_error(machine.space.reserve(PageCount(1)), Error::out_of_address_space);
    const Page last = all->last();
    ASSERT_TRUE(machine.space.commit(PageRange(last, PageCount(1))).ok());
    EXPECT_TRUE(machine.space.validate().ok());
    ASSERT_TRUE(machine.space.unmap(*all).ok());
    EXPECT_EQ(machine.frames.used(), 0u);
}

}  // namespace
}  // namespace quire::test
