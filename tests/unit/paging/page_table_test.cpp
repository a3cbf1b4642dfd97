// SPDX-License-Identifier: MIT
// What every page table does, whatever its access and whether a CPU uses it.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;

template <class W>
class PageTableTest : public PagingTest<W> {};
TYPED_TEST_SUITE(PageTableTest, AllWays, WayNames);

TYPED_TEST(PageTableTest, MapsAPageWhereTheCpuFindsIt) {
    this->map(pages_at(area + 0x5000, 1), free_frame);
    EXPECT_EQ(this->frame_behind(area + 0x5123), free_frame.value());
    EXPECT_EQ(this->frame_behind(area + 0x4fff), std::nullopt);
    EXPECT_EQ(this->frame_behind(area + 0x6000), std::nullopt);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(1));
    const Translation found = this->query(area + 0x5123);
    EXPECT_EQ(found.pages, pages_at(area + 0x5000, 1));
    EXPECT_EQ(found.frames, FrameRange(free_frame, FrameCount(1)));
    EXPECT_EQ(found.physical(at(area + 0x5123)).value(), 0x2000123u);
    EXPECT_EQ(found.attributes.protection, read_write | Protection::execute);
}

TYPED_TEST(PageTableTest, MapsARangeThatSpansTables) {
    const PageRange pages = pages_at(area + 0x3fe000, 1030);
    this->map(pages, free_frame + FrameCount(1));
    for (uintptr_t i = 0; i < 1030; ++i) {
        ASSERT_EQ(this->frame_behind(area + 0x3fe000 + i * page_size), free_frame.value() + 1 + i);
    }
    EXPECT_EQ(this->frame_behind(area + 0x3fd000), std::nullopt);
    EXPECT_EQ(this->frame_behind(area + 0x3fe000 + 1030 * page_size), std::nullopt);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(3));
    this->unmap(pages);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
    EXPECT_TRUE(this->dump().empty());
}

TYPED_TEST(PageTableTest, UsesLargePagesWhereBothSidesAreAligned) {
    this->map(pages_at(area - page_size, 2050), free_frame - FrameCount(1));
    EXPECT_EQ(this->query(area - 1).pages.count(), PageCount(1));
    EXPECT_EQ(this->query(area).pages, pages_at(area, 1024));
    EXPECT_EQ(this->query(area + large).frames, FrameRange(Frame(0x2400), FrameCount(1024)));
    EXPECT_EQ(this->query(area + 2 * large).pages.count(), PageCount(1));
    EXPECT_EQ(this->frame_behind(area + 2 * large), 0x2800u);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(2));
    this->unmap(pages_at(area - page_size, 2050));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(PageTableTest, UsesSmallPagesWhereFramesAreNotAligned) {
    this->map(pages_at(area, 1024), free_frame + FrameCount(1));
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1));
    EXPECT_EQ(this->frame_behind(area + large - 1), free_frame.value() + 1024);
    this->unmap(pages_at(area, 1024));
}

TYPED_TEST(PageTableTest, KeepsAccessedAndDirtyAsTheCpuSetThem) {
    this->map(pages_at(area, 3), free_frame);
    EXPECT_FALSE(this->query(area).accessed);
    this->leaf_entry(area) |= 0x20;
    this->leaf_entry(area + 0x1000) |= 0x60;
    this->protect(pages_at(area, 3), read_only);
    EXPECT_TRUE(this->query(area).accessed);
    EXPECT_FALSE(this->query(area).dirty);
    EXPECT_TRUE(this->query(area + 0x1000).dirty);
    EXPECT_FALSE(this->query(area + 0x2000).accessed);
    EXPECT_FALSE(has(this->query(area).attributes.protection, Protection::write));
}

TYPED_TEST(PageTableTest, ProtectsWithoutTouchingFrameOrType) {
    this->map(pages_at(area, 2), free_frame, {read_write, MemoryType::write_through});
    this->protect(pages_at(area, 1), read_only | Protection::user | Protection::global);
    EXPECT_EQ(this->query(area).attributes,
              (Attributes{read_execute | Protection::user | Protection::global,
                          MemoryType::write_through}));
    EXPECT_EQ(this->frame_behind(area), free_frame.value());
    EXPECT_TRUE(has(this->query(area + page_size).attributes.protection, Protection::write));
}

TYPED_TEST(PageTableTest, ProtectOfAWholeLargePageKeepsItLarge) {
    this->map(pages_at(area, 2048), free_frame);
    this->protect(pages_at(area + large, 1024), read_only);
    EXPECT_EQ(this->query(area + large).pages.count(), PageCount(1024));
    EXPECT_FALSE(this->look(area + large)->writable);
    EXPECT_TRUE(this->look(area)->writable);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(PageTableTest, ProtectThatChangesNothingSplitsNothing) {
    this->map(pages_at(area, 1024), free_frame);
    auto changed = this->table().protect(pages_at(area, 5), read_write);
    ASSERT_TRUE(changed.ok());
    EXPECT_TRUE(changed->empty());
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1024));
}

TYPED_TEST(PageTableTest, ParksEmptyEntriesWithAPayload) {
    const uint64_t highest = this->table().payload_limit() - 1;
    ASSERT_TRUE(this->table().park(pages_at(area, 3), highest).ok());
    const Translation found = this->query(area + 0x2000);
    EXPECT_EQ(found.state, EntryState::absent);
    EXPECT_EQ(found.payload, highest);
    EXPECT_EQ(this->frame_behind(area), std::nullopt);
    EXPECT_EQ(this->table().map(pages_at(area + 0x2000, 1), free_frame, data).error(),
              Error::already_mapped);
    EXPECT_EQ(this->table().park(pages_at(area, 1), 1).failure(),
              (Failure{Error::already_mapped, area}));
    EXPECT_EQ(this->table().park(pages_at(area, 1), highest + 1).error(), Error::bad_argument);
    this->unmap(pages_at(area, 3));
    EXPECT_EQ(this->query(area).state, EntryState::empty);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(PageTableTest, UnmapOfPayloadsThatLeavesTheTableNeedsNoFlush) {
    this->map(pages_at(area, 1), free_frame);
    ASSERT_TRUE(this->table().park(pages_at(area + 0x1000, 3), 0).ok());
    auto unmapped = this->table().unmap(pages_at(area + 0x1000, 3));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(unmapped->empty());
    this->unmap(pages_at(area, 1));
}

TYPED_TEST(PageTableTest, SplitsALargePayload) {
    ASSERT_TRUE(this->table().park(pages_at(area, 1024), 77).ok());
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1024));
    this->unmap(pages_at(area + 0x10000, 2));
    EXPECT_EQ(this->query(area + 0x10000).state, EntryState::empty);
    EXPECT_EQ(this->query(area + 0x12000).payload, 77u);
    EXPECT_EQ(this->query(area + 0xf000).payload, 77u);
    EXPECT_EQ(this->query(area + 0xf000).pages.count(), PageCount(1));
}

TYPED_TEST(PageTableTest, RefusesToMapOverAnything) {
    this->map(pages_at(area + 0x3000, 1), free_frame);
    const auto before = this->dump();
    EXPECT_EQ(this->table().map(pages_at(area, 5), free_frame, data).failure(),
              (Failure{Error::already_mapped, area + 0x3000}));
    EXPECT_EQ(this->table().park(pages_at(area, 4), 1).failure(),
              (Failure{Error::already_mapped, area + 0x3000}));
    EXPECT_EQ(this->dump(), before);
    // In the middle of a large page, the first page of the range is named.
    this->map(pages_at(area + large, 1024), free_frame);
    EXPECT_EQ(this->table().map(pages_at(area + large + 0x5000, 1), free_frame, data).failure(),
              (Failure{Error::already_mapped, area + large + 0x5000}));
}

TYPED_TEST(PageTableTest, RefusesHolesUnlessToldToSkipThem) {
    this->map(pages_at(area, 2), free_frame);
    this->map(pages_at(area + 0x3000, 2), free_frame);
    ASSERT_TRUE(this->table().park(pages_at(area + 0x6000, 1), 5).ok());
    const auto before = this->dump();
    const Failure hole{Error::not_mapped, area + 0x2000};
    EXPECT_EQ(this->table().unmap(pages_at(area, 5)).failure(), hole);
    EXPECT_EQ(this->table().protect(pages_at(area, 5), read_only).failure(), hole);
    EXPECT_EQ(this->table().protect(pages_at(area + 0x6000, 1), read_only).failure(),
              (Failure{Error::not_mapped, area + 0x6000}));
    EXPECT_EQ(this->table().unmap(pages_at(area_end - large, 1024)).failure(),
              (Failure{Error::not_mapped, area_end - large}));
    EXPECT_EQ(this->dump(), before);
    this->protect(pages_at(area, 8), read_only, Holes::skip);
    EXPECT_FALSE(this->look(area + 0x4000)->writable);
    EXPECT_EQ(this->query(area + 0x6000).payload, 5u);
    this->unmap(pages_at(area - large, 3 * 1024), UnmappedFrames::keep, Holes::skip);
    EXPECT_TRUE(this->dump().empty());
    // Nothing at all is fine, too, and needs no flush.
    auto nothing = this->table().unmap(pages_at(area, 4096), UnmappedFrames::keep, Holes::skip);
    ASSERT_TRUE(nothing.ok());
    EXPECT_TRUE(nothing->empty());
}

TYPED_TEST(PageTableTest, RefusesBadArguments) {
    PageTable& table = this->table();
    const Failure empty{Error::zero_size, area};
    EXPECT_EQ(table.map(pages_at(area, 0), free_frame, data).failure(), empty);
    EXPECT_EQ(table.unmap(pages_at(area, 0)).failure(), empty);
    EXPECT_EQ(table.protect(pages_at(area, 0), read_only).failure(), empty);
    EXPECT_EQ(table.park(pages_at(area, 0), 1).failure(), empty);
    EXPECT_TRUE(table.walk(pages_at(area, 0), [](const Translation&) { return true; }).ok());

    const PageRange beyond(Page(0x100000), PageCount(1));
    const PageRange across(Page(0xfffff), PageCount(2));
    for (const PageRange& pages : {beyond, across}) {
        const Failure outside{Error::out_of_range, address_of(pages.first()).value()};
        EXPECT_EQ(table.map(pages, free_frame, data).failure(), outside);
        EXPECT_EQ(table.unmap(pages, UnmappedFrames::keep, Holes::skip).failure(), outside);
        EXPECT_EQ(table.protect(pages, read_only, Holes::skip).failure(), outside);
        EXPECT_EQ(table.park(pages, 1).failure(), outside);
        EXPECT_EQ(table.walk(pages, [](const Translation&) { return true; }).failure(), outside);
    }
    EXPECT_EQ(table.query(at(uint64_t{1} << 32)).failure(),
              (Failure{Error::out_of_range, uint64_t{1} << 32}));

    EXPECT_EQ(table.map(pages_at(area, 1), Frame(0x100000), data).error(), Error::out_of_range);
    EXPECT_EQ(table.map(pages_at(area, 2), Frame(0xfffff), data).error(), Error::out_of_range);
    EXPECT_EQ(table.map(pages_at(area, 1), free_frame, {Protection::none, {}}).error(),
              Error::unsupported);
    this->map(pages_at(area, 1), Frame(0xfffff));
    EXPECT_EQ(table.protect(pages_at(area, 1), Protection::write).failure(),
              (Failure{Error::unsupported, area}));
    EXPECT_EQ(this->frame_behind(area), 0xfffffu);
}

TYPED_TEST(PageTableTest, WalksInAscendingOrderUntilToldToStop) {
    this->map(pages_at(area + 0x3ff000, 1), free_frame);
    this->map(pages_at(area + large, 1024), free_frame);
    ASSERT_TRUE(this->table().park(pages_at(area + 2 * large, 1), 9).ok());
    std::vector<Translation> seen;
    ASSERT_TRUE(this->table()
                    .walk(pages_at(area, 4096),
                          [&](const Translation& found) {
                              seen.push_back(found);
                              return true;
                          })
                    .ok());
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].pages, pages_at(area + 0x3ff000, 1));
    EXPECT_EQ(seen[1].pages, pages_at(area + large, 1024));
    EXPECT_EQ(seen[1].state, EntryState::present);
    EXPECT_EQ(seen[2].pages, pages_at(area + 2 * large, 1));
    EXPECT_EQ(seen[2].payload, 9u);

    // Entries that overlap the range are shown whole; false ends the walk.
    seen.clear();
    ASSERT_TRUE(this->table()
                    .walk(pages_at(area + large + 0x5000, 4096),
                          [&](const Translation& found) {
                              seen.push_back(found);
                              return false;
                          })
                    .ok());
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].pages, pages_at(area + large, 1024));
}

TYPED_TEST(PageTableTest, QueryOfNothingCoversThePageAlone) {
    EXPECT_EQ(this->query(area + 0x1234).state, EntryState::empty);
    EXPECT_EQ(this->query(area + 0x1234).pages, pages_at(area + 0x1000, 1));
}

TYPED_TEST(PageTableTest, TablesComeFromAndGoToTheSourceOfTheMoment) {
    this->map(pages_at(area, 1), free_frame);
    sim::FramePool other(this->m.ram, FrameRange(Frame(0x1800), FrameCount(16)));
    this->table().set_frame_source(other);
    this->map(pages_at(area + large, 1), free_frame);
    EXPECT_EQ(other.used(), FrameCount(1));
    this->unmap(pages_at(area + large, 1));
    EXPECT_EQ(other.used(), FrameCount(0));
    this->table().set_frame_source(this->m.frames);
    this->unmap(pages_at(area, 1));
}

}  // namespace
}  // namespace quire::paging_test
