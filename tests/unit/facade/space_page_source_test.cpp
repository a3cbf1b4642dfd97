// SPDX-License-Identifier: MIT
// The heap's view of an address space: what it asks for, and what it is refused.
#include "quire/space_page_source.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

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

// The physical addresses behind so many pages.
std::vector<uint64_t> frames_behind(KernelMemory& memory, const void* base, size_t pages) {
    std::vector<uint64_t> frames;
    const VirtualAddress first = memory.layout().view.address(base);
    for (size_t i = 0; i < pages; ++i)
        frames.push_back(memory.table()
                             .translate(first + Bytes(i * page_size))
                             .value_or(PhysicalAddress(0))
                             .value());
    return frames;
}

TEST_F(SpacePageSourceTest, MovesPagesAndNotTheirBytes) {
    void* const base = pages_.reserve(40 * page_size, page_size).value();
    ASSERT_TRUE(pages_.commit(base, 32 * page_size).ok());
    for (size_t i = 0; i < 32 * page_size; ++i)
        static_cast<unsigned char*>(base)[i] = static_cast<unsigned char>(i * 7 + i / 251);
    const auto frames = frames_behind(memory_, base, 32);
    const uint64_t free = memory_.frames().counters().free.value();
    const Result<void*> moved =
        pages_.move(base, {40 * page_size, 32 * page_size}, {80 * page_size, 50 * page_size});
    ASSERT_TRUE(moved.ok());
    EXPECT_NE(*moved, base);
    EXPECT_EQ(frames_behind(memory_, *moved, 32), frames);
    const auto* const bytes = static_cast<const unsigned char*>(*moved);
    for (size_t i = 0; i < 32 * page_size; ++i)
        ASSERT_EQ(bytes[i], static_cast<unsigned char>(i * 7 + i / 251)) << i;
    for (size_t i = 32 * page_size; i < 50 * page_size; ++i)
        ASSERT_EQ(bytes[i], 0) << i;
    // 18 frames, and a table or two.
    EXPECT_LE(free - memory_.frames().counters().free.value(), 18u + 2u);
    const VirtualAddress old = memory_.layout().view.address(base);
    EXPECT_FALSE(space().query(old).ok());
    EXPECT_FALSE(booted_.machine().probe_load<uint8_t>(old.value()).ok());
    EXPECT_TRUE(booted_.machine().stale_entries().empty());
    EXPECT_TRUE(space().validate().ok());
    EXPECT_EQ(pages_.release(base, 40 * page_size).error(), Error::no_region);
    EXPECT_TRUE(pages_.release(*moved, 80 * page_size).ok());
    EXPECT_TRUE(memory_.frames().validate().ok());
}

TEST_F(SpacePageSourceTest, MovesWholeReservationsOnly) {
    void* const base = pages_.reserve(4 * page_size, page_size).value();
    ASSERT_TRUE(pages_.commit(base, 2 * page_size).ok());
    const size_t regions = space().regions();
    const auto frames = frames_behind(memory_, base, 4);
    const PageSource::Extent to{8 * page_size, 3 * page_size};
    auto* const inside = static_cast<unsigned char*>(base) + page_size;
    EXPECT_EQ(pages_.move(base, {3 * page_size, 2 * page_size}, to).error(), Error::no_region);
    EXPECT_EQ(pages_.move(inside, {3 * page_size, page_size}, to).error(), Error::no_region);
    EXPECT_EQ(pages_.move(inside + 16, {3 * page_size, page_size}, to).error(), Error::misaligned);
    const auto anonymous = space().allocate(PageCount(1));
    ASSERT_TRUE(anonymous.ok());
    void* const other = memory_.layout().view.pointer(address_of(anonymous->first()));
    EXPECT_EQ(pages_.move(other, {page_size, page_size}, to).error(), Error::no_region);
    const size_t all = ~size_t{0} << page_shift;
    EXPECT_EQ(pages_.move(base, {4 * page_size, 2 * page_size}, {all, 3 * page_size}).error(),
              Error::out_of_address_space);
    EXPECT_EQ(space().regions(), regions + 1);
    EXPECT_EQ(frames_behind(memory_, base, 4), frames);
    EXPECT_TRUE(pages_.release(base, 4 * page_size).ok());
}

}  // namespace
}  // namespace quire
