// SPDX-License-Identifier: MIT
// What every page table does, whatever its access and whether a CPU uses it.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

class PageTableTest : public EveryWay {};
INSTANTIATE_TEST_SUITE_P(Ways, PageTableTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(PageTableTest, MapsAPageWhereTheCpuFindsIt) {
    map(pages_at(area + 0x5000, 1), free_frame);
    EXPECT_EQ(frame_behind(area + 0x5123), free_frame.value());
    EXPECT_EQ(frame_behind(area + 0x4fff), std::nullopt);
    EXPECT_EQ(frame_behind(area + 0x6000), std::nullopt);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    const Translation found = query(area + 0x5123);
    EXPECT_EQ(found.pages, pages_at(area + 0x5000, 1));
    EXPECT_EQ(found.frames, FrameRange(free_frame, FrameCount(1)));
    EXPECT_EQ(found.physical(at(area + 0x5123)).value(), 0x2000123u);
    EXPECT_EQ(found.attributes.protection, granted(read_write));
}

TEST_P(PageTableTest, MapsARangeThatSpansTables) {
    const PageRange pages = pages_at(area + large - 2 * page_size, large_pages + 6);
    map(pages, free_frame + FrameCount(1));
    for (uintptr_t i = 0; i < large_pages + 6; ++i) {
        ASSERT_EQ(frame_behind(area + large - 2 * page_size + i * page_size),
                  free_frame.value() + 1 + i);
    }
    EXPECT_EQ(frame_behind(area + large - 3 * page_size), std::nullopt);
    EXPECT_EQ(frame_behind(area + 2 * large + 4 * page_size), std::nullopt);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(3));
    unmap(pages);
    EXPECT_EQ(table().table_frames(), tables_before_);
    EXPECT_TRUE(dump().empty());
}

// Frames reserved for tables are listed in some of them: one does not hold them all.
TEST_P(PageTableTest, MapsARangeThatNeedsMoreTablesThanOneCanList) {
    if (GetParam().reach != Reach::host) GTEST_SKIP() << "any access does";
    const uintptr_t count = 600 * large_pages;
    const uint64_t first = area - 300 * large;
    map(pages_at(first, count), Frame(1));
    EXPECT_GE(table().table_frames(), tables_before_ + FrameCount(600));
    for (uintptr_t i = 0; i < count; i += large_pages - 1)
        ASSERT_EQ(frame_behind(first + i * page_size), 1 + i);
    EXPECT_TRUE(table().validate().ok());
    unmap(pages_at(first, count));
    EXPECT_EQ(table().table_frames(), tables_before_);
}

// A few pages of a leaf table that is there, which a page mapped before has made known.
TEST_P(PageTableTest, MapsAndUnmapsAFewPagesOfATableThatIsThere) {
    const auto at_page = [&](uint64_t number) { return area + number * page_size; };
    map(pages_at(at_page(0), 1), free_frame);
    map(pages_at(at_page(3), 20), free_frame + FrameCount(7));
    for (uint64_t i = 1; i < 24; ++i) {
        const bool is_mapped = i >= 3 && i < 23;
        ASSERT_EQ(frame_behind(at_page(i)),
                  is_mapped ? std::optional(free_frame.value() + 4 + i) : std::nullopt);
    }
    const auto before = dump();
    EXPECT_EQ(table().map(pages_at(at_page(1), 3), free_frame, data).failure(),
              (Failure{Error::already_mapped, at_page(3)}));
    EXPECT_EQ(table().map(pages_at(at_page(30), 2), table().highest_frame(), data).error(),
              Error::out_of_range);
    EXPECT_EQ(table().unmap(pages_at(at_page(0), 4)).failure(),
              (Failure{Error::not_mapped, at_page(1)}));
    EXPECT_EQ(dump(), before);

    protect(pages_at(at_page(5), 1), read_write | Protection::global);
    auto some = table().unmap(pages_at(at_page(3), 5));
    ASSERT_TRUE(some.ok());
    EXPECT_EQ(some->request().pages, pages_at(at_page(3), 5));
    EXPECT_EQ(some->request().root, table().root());
    EXPECT_TRUE(some->request().global);
    some->spend(m.tlb);
    auto others = table().unmap(pages_at(at_page(8), 5));
    ASSERT_TRUE(others.ok());
    EXPECT_FALSE(others->request().global);
    others->spend(m.tlb);
    EXPECT_EQ(frame_behind(at_page(12)), std::nullopt);
    EXPECT_EQ(frame_behind(at_page(13)), free_frame.value() + 17);

    // Beside what waits, nothing is unmapped.
    map(pages_at(area + large, 2), free_frame);
    auto waits = table().unmap(pages_at(area + large, 2));
    ASSERT_TRUE(waits.ok());
    map(pages_at(at_page(1), 1), free_frame);
    EXPECT_EQ(table().unmap(pages_at(at_page(13), 5)).error(), Error::busy);
    waits->spend(m.tlb);

    unmap(pages_at(at_page(13), 10));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    unmap(pages_at(at_page(0), 2));
    EXPECT_EQ(table().table_frames(), tables_before_);
    EXPECT_TRUE(dump().empty());
}

TEST_P(PageTableTest, MapsPastTheEndOfATableThatIsThere) {
    const uint64_t first = area + large - 4 * page_size;
    map(pages_at(first, 1), free_frame);
    map(pages_at(first + page_size, 6), free_frame + FrameCount(1));
    for (uint64_t i = 0; i < 7; ++i)
        ASSERT_EQ(frame_behind(first + i * page_size), free_frame.value() + i);
    map(pages_at(first - page_size, 1), free_frame);
    unmap(pages_at(first, 7));
    EXPECT_EQ(frame_behind(first - page_size), free_frame.value());
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    map(pages_at(first, 4), free_frame, {read_write | Protection::global, data.type});
    auto unmapped = table().unmap(pages_at(first, 4));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(unmapped->request().global);
    unmapped->spend(m.tlb);
    unmap(pages_at(first - page_size, 1));
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageTableTest, UsesLargePagesWhereBothSidesAreAligned) {
    map(pages_at(area - page_size, 2 * large_pages + 2), free_frame - FrameCount(1));
    EXPECT_EQ(query(area - 1).pages.count(), PageCount(1));
    EXPECT_EQ(query(area).pages, pages_at(area, large_pages));
    EXPECT_EQ(query(area + large).frames,
              FrameRange(free_frame + FrameCount(large_pages), FrameCount(large_pages)));
    EXPECT_EQ(query(area + 2 * large).pages.count(), PageCount(1));
    EXPECT_EQ(frame_behind(area + 2 * large), free_frame.value() + 2 * large_pages);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    unmap(pages_at(area - page_size, 2 * large_pages + 2));
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageTableTest, LargePagesComeAndGoOneByOne) {
    const PageRange first = pages_at(area, large_pages);
    const PageRange second = pages_at(area + large, large_pages);
    const Frame next = free_frame + FrameCount(large_pages);
    map(first, free_frame, {read_write | Protection::global, data.type});
    map(second, next);
    EXPECT_EQ(query(area).pages, first);
    EXPECT_EQ(query(area + large).frames, FrameRange(next, FrameCount(large_pages)));
    const auto before = dump();
    EXPECT_EQ(table().map(first, next, data).failure(), (Failure{Error::already_mapped, area}));
    EXPECT_EQ(table().map(pages_at(area + 2 * large, large_pages), beyond_frames, data).error(),
              Error::out_of_range);
    EXPECT_EQ(table().unmap(pages_at(area + 2 * large, large_pages)).failure(),
              (Failure{Error::not_mapped, area + 2 * large}));
    EXPECT_EQ(dump(), before);

    auto changed = table().protect(second, read_only);
    ASSERT_TRUE(changed.ok());
    EXPECT_EQ(changed->request().pages, second);
    EXPECT_FALSE(changed->request().global);
    changed->spend(m.tlb);
    EXPECT_FALSE(look(area + large)->writable);
    EXPECT_TRUE(look(area)->writable);
    auto same = table().protect(second, read_only);
    ASSERT_TRUE(same.ok());
    EXPECT_TRUE(same->empty());

    map(pages_at(area + 3 * large, 2), free_frame);
    auto waits = table().unmap(pages_at(area + 3 * large, 2));
    ASSERT_TRUE(waits.ok());
    EXPECT_EQ(table().unmap(second).error(), Error::busy);
    waits->spend(m.tlb);

    auto unmapped = table().unmap(first);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(unmapped->request().pages, first);
    EXPECT_EQ(unmapped->request().root, table().root());
    EXPECT_TRUE(unmapped->request().global);
    unmapped->spend(m.tlb);
    EXPECT_EQ(frame_behind(area), std::nullopt);
    EXPECT_EQ(frame_behind(area + large), next.value());
    unmap(second);
    EXPECT_TRUE(dump().empty());
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageTableTest, UsesSmallPagesWhereFramesAreNotAligned) {
    map(pages_at(area, large_pages), free_frame + FrameCount(1));
    EXPECT_EQ(query(area).pages.count(), PageCount(1));
    EXPECT_EQ(frame_behind(area + large - 1), free_frame.value() + large_pages);
    unmap(pages_at(area, large_pages));
}

TEST_P(PageTableTest, KeepsAccessedAndDirtyAsTheCpuSetThem) {
    map(pages_at(area, 3), free_frame);
    EXPECT_FALSE(query(area).accessed);
    leaf_entry(area) |= 0x20;
    leaf_entry(area + 0x1000) |= 0x60;
    protect(pages_at(area, 3), read_only);
    EXPECT_TRUE(query(area).accessed);
    EXPECT_FALSE(query(area).dirty);
    EXPECT_TRUE(query(area + 0x1000).dirty);
    EXPECT_FALSE(query(area + 0x2000).accessed);
    EXPECT_FALSE(has(query(area).attributes.protection, Protection::write));
}

TEST_P(PageTableTest, ProtectsWithoutTouchingFrameOrType) {
    map(pages_at(area, 2), free_frame, {read_write, MemoryType::write_through});
    protect(pages_at(area, 1), read_only | Protection::user | Protection::global);
    EXPECT_EQ(query(area).attributes,
              (Attributes{granted(read_only | Protection::user | Protection::global),
                          MemoryType::write_through}));
    EXPECT_EQ(frame_behind(area), free_frame.value());
    EXPECT_TRUE(has(query(area + page_size).attributes.protection, Protection::write));
}

TEST_P(PageTableTest, ProtectOfAWholeLargePageKeepsItLarge) {
    map(pages_at(area, 2 * large_pages), free_frame);
    protect(pages_at(area + large, large_pages), read_only);
    EXPECT_EQ(query(area + large).pages.count(), PageCount(large_pages));
    EXPECT_FALSE(look(area + large)->writable);
    EXPECT_TRUE(look(area)->writable);
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageTableTest, ProtectThatChangesNothingSplitsNothing) {
    map(pages_at(area, large_pages), free_frame);
    auto changed = table().protect(pages_at(area, 5), read_write);
    ASSERT_TRUE(changed.ok());
    EXPECT_TRUE(changed->empty());
    EXPECT_EQ(query(area).pages.count(), PageCount(large_pages));
}

TEST_P(PageTableTest, ParksEmptyEntriesWithAPayload) {
    const uint64_t highest = table().payload_limit() - 1;
    ASSERT_TRUE(table().park(pages_at(area, 3), highest).ok());
    const Translation found = query(area + 0x2000);
    EXPECT_EQ(found.state, EntryState::absent);
    EXPECT_EQ(found.payload, highest);
    EXPECT_EQ(frame_behind(area), std::nullopt);
    EXPECT_EQ(table().map(pages_at(area + 0x2000, 1), free_frame, data).error(),
              Error::already_mapped);
    EXPECT_EQ(table().park(pages_at(area, 1), 1).failure(), (Failure{Error::already_mapped, area}));
    EXPECT_EQ(table().park(pages_at(area, 1), highest + 1).error(), Error::bad_argument);
    unmap(pages_at(area, 3));
    EXPECT_EQ(query(area).state, EntryState::empty);
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageTableTest, UnmapOfPayloadsThatLeavesTheTableNeedsNoFlush) {
    map(pages_at(area, 1), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + 0x1000, 3), 0).ok());
    auto unmapped = table().unmap(pages_at(area + 0x1000, 3));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(unmapped->empty());
    unmap(pages_at(area, 1));
}

TEST_P(PageTableTest, SplitsALargePayload) {
    ASSERT_TRUE(table().park(pages_at(area, large_pages), 77).ok());
    EXPECT_EQ(query(area).pages.count(), PageCount(large_pages));
    unmap(pages_at(area + 0x10000, 2));
    EXPECT_EQ(query(area + 0x10000).state, EntryState::empty);
    EXPECT_EQ(query(area + 0x12000).payload, 77u);
    EXPECT_EQ(query(area + 0xf000).payload, 77u);
    EXPECT_EQ(query(area + 0xf000).pages.count(), PageCount(1));
}

TEST_P(PageTableTest, RefusesToMapOverAnything) {
    map(pages_at(area + 0x3000, 1), free_frame);
    const auto before = dump();
    EXPECT_EQ(table().map(pages_at(area, 5), free_frame, data).failure(),
              (Failure{Error::already_mapped, area + 0x3000}));
    EXPECT_EQ(table().park(pages_at(area, 4), 1).failure(),
              (Failure{Error::already_mapped, area + 0x3000}));
    EXPECT_EQ(dump(), before);
    // In the middle of a large page, the first page of the range is named.
    map(pages_at(area + large, large_pages), free_frame);
    EXPECT_EQ(table().map(pages_at(area + large + 0x5000, 1), free_frame, data).failure(),
              (Failure{Error::already_mapped, area + large + 0x5000}));
}

TEST_P(PageTableTest, RefusesHolesUnlessToldToSkipThem) {
    map(pages_at(area, 2), free_frame);
    map(pages_at(area + 0x3000, 2), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + 0x6000, 1), 5).ok());
    const auto before = dump();
    const Failure hole{Error::not_mapped, area + 0x2000};
    EXPECT_EQ(table().unmap(pages_at(area, 5)).failure(), hole);
    EXPECT_EQ(table().protect(pages_at(area, 5), read_only).failure(), hole);
    EXPECT_EQ(table().protect(pages_at(area + 0x6000, 1), read_only).failure(),
              (Failure{Error::not_mapped, area + 0x6000}));
    EXPECT_EQ(table().unmap(pages_at(area_end - large, large_pages)).failure(),
              (Failure{Error::not_mapped, area_end - large}));
    EXPECT_EQ(dump(), before);
    protect(pages_at(area, 8), read_only, Holes::skip);
    EXPECT_FALSE(look(area + 0x4000)->writable);
    EXPECT_EQ(query(area + 0x6000).payload, 5u);
    unmap(pages_at(area - large, 3 * large_pages), UnmappedFrames::keep, Holes::skip);
    EXPECT_TRUE(dump().empty());
    // Nothing at all is fine, too, and needs no flush.
    auto nothing = table().unmap(pages_at(area, 4096), UnmappedFrames::keep, Holes::skip);
    ASSERT_TRUE(nothing.ok());
    EXPECT_TRUE(nothing->empty());
}

TEST_P(PageTableTest, RefusesBadArguments) {
    PageTable& table = this->table();
    const Failure empty{Error::zero_size, area};
    EXPECT_EQ(table.map(pages_at(area, 0), free_frame, data).failure(), empty);
    EXPECT_EQ(table.unmap(pages_at(area, 0)).failure(), empty);
    EXPECT_EQ(table.protect(pages_at(area, 0), read_only).failure(), empty);
    EXPECT_EQ(table.park(pages_at(area, 0), 1).failure(), empty);
    EXPECT_TRUE(table.walk(pages_at(area, 0), [](const Translation&) { return true; }).ok());

    for (const PageRange& pages : {PageRange(page_outside(), PageCount(1)), pages_across()}) {
        const Failure outside{Error::out_of_range, address_of(pages.first()).value()};
        EXPECT_EQ(table.map(pages, free_frame, data).failure(), outside);
        EXPECT_EQ(table.unmap(pages, UnmappedFrames::keep, Holes::skip).failure(), outside);
        EXPECT_EQ(table.protect(pages, read_only, Holes::skip).failure(), outside);
        EXPECT_EQ(table.park(pages, 1).failure(), outside);
        EXPECT_EQ(table.walk(pages, [](const Translation&) { return true; }).failure(), outside);
    }
    const VirtualAddress outside = address_of(page_outside());
    EXPECT_EQ(table.query(outside).failure(), (Failure{Error::out_of_range, outside.value()}));

    const Frame highest = table.highest_frame();
    EXPECT_EQ(table.map(pages_at(area, 1), beyond_frames, data).error(), Error::out_of_range);
    EXPECT_EQ(table.map(pages_at(area, 2), highest, data).error(), Error::out_of_range);
    EXPECT_EQ(table.map(pages_at(area, 1), free_frame, {Protection::none, {}}).error(),
              Error::unsupported);
    map(pages_at(area, 1), highest);
    EXPECT_EQ(table.protect(pages_at(area, 1), Protection::write).failure(),
              (Failure{Error::unsupported, area}));
    EXPECT_EQ(frame_behind(area), highest.value());
}

TEST_P(PageTableTest, WalksInAscendingOrderUntilToldToStop) {
    map(pages_at(area + large - page_size, 1), free_frame);
    map(pages_at(area + large, large_pages), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + 2 * large, 1), 9).ok());
    std::vector<Translation> seen;
    ASSERT_TRUE(table()
                    .walk(pages_at(area, 4096),
                          [&](const Translation& found) {
                              seen.push_back(found);
                              return true;
                          })
                    .ok());
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].pages, pages_at(area + large - page_size, 1));
    EXPECT_EQ(seen[1].pages, pages_at(area + large, large_pages));
    EXPECT_EQ(seen[1].state, EntryState::present);
    EXPECT_EQ(seen[2].pages, pages_at(area + 2 * large, 1));
    EXPECT_EQ(seen[2].payload, 9u);

    // Entries that overlap the range are shown whole; false ends the walk.
    seen.clear();
    ASSERT_TRUE(table()
                    .walk(pages_at(area + large + 0x5000, 4096),
                          [&](const Translation& found) {
                              seen.push_back(found);
                              return false;
                          })
                    .ok());
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].pages, pages_at(area + large, large_pages));
}

TEST_P(PageTableTest, QueryOfNothingCoversThePageAlone) {
    EXPECT_EQ(query(area + 0x1234).state, EntryState::empty);
    EXPECT_EQ(query(area + 0x1234).pages, pages_at(area + 0x1000, 1));
}

// SDM vol. 3A, 4.6: what any level withholds, the CPU does not grant. A boot loader's tables may.
TEST_P(PageTableTest, SaysWhatTheTablesAboveLeaveOfARight) {
    struct Withheld {
        uint64_t bit;
        Protection right;
    };
    const Withheld all[] = {{0x2, Protection::write},
                            {0x4, Protection::user},
                            {uint64_t{1} << 63, Protection::execute}};
    const Protection rights = Protection::user | Protection::write | read_execute;
    map(pages_at(area, 2), free_frame, {rights, {}});
    leaf_entry(area) |= 0x20;
    // Through the entries above that of a leaf table, the access sees tables as well.
    const unsigned highest = is_active() ? 1 : mode.root_level;
    for (unsigned level = 1; level <= highest; ++level) {
        for (const Withheld& one : all) {
            if (mode.kind == Mode::Kind::pae && level == 2) continue;  // which has no rights
            if (mode.entry_bytes == 4 && one.bit >> 32 != 0) continue;
            const EntryPlace above = entry(level, area);
            const uint64_t whole = above;
            above = whole ^ one.bit;
            EXPECT_EQ(query(area).attributes.protection, without(rights, one.right)) << level;
            EXPECT_EQ(frame_behind(area), free_frame.value());
            unsigned visits = 0;
            const auto visit = [&](const Translation& found) {
                EXPECT_EQ(found.attributes.protection, without(rights, one.right)) << level;
                ++visits;
                return true;
            };
            ASSERT_TRUE(table().walk(pages_at(area, 2), visit).ok());
            EXPECT_EQ(visits, 2u);
            // A table that goes takes its entry with it, and what that withholds.
            EXPECT_EQ(table().merge(at(area)).failure(), (Failure{Error::unsupported, area}));
            above = whole;
        }
    }
    // Through a recursive slot, an entry withholds the same of its table.
    if (GetParam().reach == Reach::recursive_slot) return;
    large_entry(area) = large_entry(area) ^ 0x2;
    auto harvested = table().harvest(pages_at(area, 1), [&](const Translation& found) {
        EXPECT_EQ(found.attributes.protection, without(rights, Protection::write));
    });
    ASSERT_TRUE(harvested.ok());
    ASSERT_FALSE(harvested->empty());
    harvested->spend(m.tlb);
}

TEST_P(PageTableTest, TablesComeFromAndGoToTheSourceOfTheMoment) {
    map(pages_at(area, 1), free_frame);
    sim::FramePool other(m.ram, FrameRange(Frame(0x1800), FrameCount(16)));
    table().set_frame_source(other);
    map(pages_at(area + large, 1), free_frame);
    EXPECT_EQ(other.used(), FrameCount(1));
    unmap(pages_at(area + large, 1));
    EXPECT_EQ(other.used(), FrameCount(0));
    table().set_frame_source(m.frames);
    unmap(pages_at(area, 1));
}

}  // namespace
}  // namespace quire::paging_test
