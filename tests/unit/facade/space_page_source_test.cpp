// SPDX-License-Identifier: MIT
// The heap's view of an address space: what it asks for, and what it is refused.
#include "quire/space_page_source.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "sim/booted_machine.hpp"

namespace quire {
namespace {

class SpacePageSourceTest : public ::testing::Test {
  protected:
    // Started before the page source below takes hold of its space.
    KernelMemory& start() {
        EXPECT_TRUE(booted_.start().ok());
        return booted_.memory();
    }
    AddressSpace& space() { return booted_.memory().space(); }

    sim::BootedMachine booted_{sim::BootedShape{}};
    KernelMemory& memory_{start()};
    SpacePageSource pages_{memory_.space(), "test", memory_.layout().view};
};

TEST_F(SpacePageSourceTest, ReservesCommitsDecommitsAndReleases) {
    const size_t regions = space().regions();
    const Result<void*> base = pages_.reserve(8 * page_size, 4 * page_size);
    ASSERT_TRUE(base.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*base) % (4 * page_size), 0u);
    ASSERT_TRUE(pages_.commit(*base, 2 * page_size).ok());
    std::memset(*base, 0x5a, 2 * page_size);
    EXPECT_EQ(pages_.commit(*base, page_size).error(), Error::already_mapped);
    EXPECT_TRUE(pages_.decommit(*base, 8 * page_size).ok());
    ASSERT_TRUE(pages_.commit(*base, page_size).ok());
    EXPECT_EQ(static_cast<unsigned char*>(*base)[0], 0);
    EXPECT_TRUE(pages_.release(*base, 8 * page_size).ok());
    EXPECT_LE(space().regions(), regions + 1);  // a page of region nodes may have come
    EXPECT_TRUE(space().validate().ok());
}

TEST_F(SpacePageSourceTest, RefusesWhatIsNotMadeOfPages) {
    EXPECT_EQ(pages_.reserve(0, page_size).error(), Error::zero_size);
    EXPECT_EQ(pages_.reserve(page_size + 1, page_size).error(), Error::misaligned);
    EXPECT_EQ(pages_.reserve(page_size, page_size / 2).error(), Error::misaligned);
    EXPECT_EQ(pages_.reserve(page_size, page_size + page_size / 2).error(), Error::misaligned);
    EXPECT_EQ(pages_.reserve(page_size, 3 * page_size).error(), Error::misaligned);
    const Result<void*> base = pages_.reserve(2 * page_size, page_size);
    ASSERT_TRUE(base.ok());
    auto* const inside = static_cast<unsigned char*>(*base) + 16;
    EXPECT_EQ(pages_.commit(inside, page_size).error(), Error::misaligned);
    EXPECT_EQ(pages_.commit(*base, 100).error(), Error::misaligned);
    EXPECT_EQ(pages_.commit(*base, 0).error(), Error::zero_size);
    EXPECT_EQ(pages_.decommit(inside, page_size).error(), Error::misaligned);
    EXPECT_EQ(pages_.release(inside, page_size).error(), Error::misaligned);
    EXPECT_TRUE(pages_.release(*base, 2 * page_size).ok());
}

TEST_F(SpacePageSourceTest, ReleasesWholeReservationsOnly) {
    const Result<void*> base = pages_.reserve(4 * page_size, page_size);
    ASSERT_TRUE(base.ok());
    EXPECT_EQ(pages_.release(*base, 2 * page_size).error(), Error::no_region);
    EXPECT_EQ(pages_.release(static_cast<unsigned char*>(*base) + page_size, page_size).error(),
              Error::no_region);
    const auto anonymous = space().allocate(PageCount(1));
    ASSERT_TRUE(anonymous.ok());
    void* const other = booted_.memory().layout().view.pointer(address_of(anonymous->first()));
    EXPECT_EQ(pages_.release(other, page_size).error(), Error::no_region);
    EXPECT_TRUE(space().query(address_of(anonymous->first())).ok());
    EXPECT_TRUE(pages_.commit(*base, page_size).ok());
    EXPECT_TRUE(pages_.release(*base, 4 * page_size).ok());
    EXPECT_EQ(pages_.release(*base, 4 * page_size).error(), Error::no_region);
}

}  // namespace
}  // namespace quire
