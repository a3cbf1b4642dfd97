// SPDX-License-Identifier: MIT
// Page-at-a-time work, on page tables of every format and access.
#include <random>

#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

class PageCursorTest : public EveryWay {
  protected:
    std::unique_ptr<AnyCursor> cursor_at(uint64_t address) {
        return tested().cursor(page_at(address));
    }
    void spend(AnyCursor& cursor) { cursor.finish().spend(m.tlb); }
    uint64_t live_in(Frame table) { return *m.pool.table_words().word_of(table) & 0x7fff; }
};
INSTANTIATE_TEST_SUITE_P(Ways, PageCursorTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(PageCursorTest, MapsPagesWhoseFramesDoNotFollowOneAnother) {
    const uint64_t first = area + large - 3 * page_size;
    const auto cursor = cursor_at(first);
    for (uint64_t i = 0; i < 6; ++i) {
        EXPECT_EQ(cursor->at(), page_at(first + i * page_size));
        ASSERT_TRUE(cursor->map(free_frame + FrameCount(7 * i), data).ok());
    }
    EXPECT_TRUE(cursor->finish().empty());
    for (uint64_t i = 0; i < 6; ++i)
        EXPECT_EQ(frame_behind(first + i * page_size), free_frame.value() + 7 * i);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    unmap(pages_at(first, 6));
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageCursorTest, MapsWithTheAttributesOfEachCall) {
    const auto cursor = cursor_at(area);
    const Attributes other{read_only | Protection::global, MemoryType::uncached};
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    ASSERT_TRUE(cursor->map(free_frame, other).ok());
    ASSERT_TRUE(cursor->map(free_frame, other).ok());
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    cursor->close();
    for (uint64_t i = 0; i < 5; ++i) {
        const Attributes found = query(area + i * page_size).attributes;
        const Attributes& asked = i == 2 || i == 3 ? other : data;
        EXPECT_EQ(found, (Attributes{granted(asked.protection), asked.type})) << i;
    }
    // A whole leaf table with something global in it is flushed as such.
    map(pages_at(area + 5 * page_size, large_pages - 5), Frame(1));
    auto unmapped = table().unmap(pages_at(area, large_pages));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(unmapped->request().global);
    unmapped->spend(m.tlb);
}

TEST_P(PageCursorTest, UnmapsAndFreesTheTablesThatItEmpties) {
    const uint64_t first = area + large - 3 * page_size;
    map(pages_at(first, 6), free_frame + FrameCount(1));
    const auto cursor = cursor_at(first);
    for (uint64_t i = 0; i < 6; ++i) {
        const auto frame = cursor->unmap();
        ASSERT_TRUE(frame.ok());
        EXPECT_EQ(*frame, free_frame + FrameCount(1 + i));
    }
    auto invalidation = cursor->finish();
    EXPECT_EQ(invalidation.request().pages, pages_at(first, 6));
    EXPECT_EQ(invalidation.request().root, table().root());
    EXPECT_FALSE(invalidation.request().global);
    // Until it is spent, what has been taken out waits.
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    EXPECT_EQ(table().unmap(pages_at(first, 1)).error(), Error::busy);
    EXPECT_EQ(cursor_at(first)->unmap().failure(), (Failure{Error::busy, first}));
    invalidation.spend(m.tlb);
    EXPECT_EQ(table().table_frames(), tables_before_);
    EXPECT_TRUE(dump().empty());
    EXPECT_EQ(frame_behind(first), std::nullopt);
    EXPECT_TRUE(cursor->finish().empty());
}

TEST_P(PageCursorTest, KeepsTheTablesThatHoldSomethingElse) {
    map(pages_at(area, 3), free_frame, {read_write | Protection::global, MemoryType::write_back});
    const auto cursor = cursor_at(area + page_size);
    ASSERT_TRUE(cursor->unmap().ok());
    auto invalidation = cursor->finish();
    EXPECT_EQ(invalidation.request().pages, pages_at(area + page_size, 1));
    EXPECT_TRUE(invalidation.request().global);
    invalidation.spend(m.tlb);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    EXPECT_EQ(frame_behind(area), free_frame.value());
    EXPECT_EQ(frame_behind(area + page_size), std::nullopt);
    EXPECT_EQ(frame_behind(area + 2 * page_size), free_frame.value() + 2);
}

TEST_P(PageCursorTest, ProtectsAndKeepsWhatTheCpuHasMarked) {
    map(pages_at(area, 4), free_frame);
    leaf_entry(area + page_size) |= 0x60;
    const auto cursor = cursor_at(area);
    ASSERT_TRUE(cursor->protect(read_only).ok());
    ASSERT_TRUE(cursor->protect(read_only).ok());
    ASSERT_TRUE(cursor->protect(read_only | Protection::global).ok());
    auto invalidation = cursor->finish();
    EXPECT_EQ(invalidation.request().pages, pages_at(area, 3));
    invalidation.spend(m.tlb);
    EXPECT_TRUE(query(area + page_size).dirty);
    EXPECT_TRUE(query(area + page_size).accessed);
    for (uint64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(frame_behind(area + i * page_size), free_frame.value() + i);
        EXPECT_EQ(look(area + i * page_size)->writable, i == 3);
    }
    EXPECT_EQ(query(area + 2 * page_size).attributes.protection,
              granted(read_only | Protection::global));
    cursor->seek(page_at(area + 2 * page_size));
    ASSERT_TRUE(cursor->protect(read_only).ok());
    auto second = cursor->finish();
    EXPECT_TRUE(second.request().global);
    second.spend(m.tlb);
}

TEST_P(PageCursorTest, TranslatesPagesOfBothSizes) {
    map(pages_at(area, large_pages), free_frame);
    map(pages_at(area + large, 2), free_frame + FrameCount(5));
    const auto cursor = cursor_at(area + large - 2 * page_size);
    for (const uint64_t frame :
         {free_frame.value() + large_pages - 2, free_frame.value() + large_pages - 1,
          free_frame.value() + 5, free_frame.value() + 6}) {
        const auto found = cursor->translate();
        ASSERT_TRUE(found.ok());
        EXPECT_EQ(frame_of(*found), Frame(frame));
    }
    EXPECT_EQ(cursor->translate().failure(),
              (Failure{Error::not_mapped, area + large + 2 * page_size}));
    cursor->seek(page_at(area + 2 * large));
    EXPECT_EQ(cursor->translate().failure(), (Failure{Error::not_mapped, area + 2 * large}));
    EXPECT_TRUE(cursor->finish().empty());
}

TEST_P(PageCursorTest, SplitsLargePages) {
    map(pages_at(area, 2 * large_pages), free_frame);
    const auto cursor = cursor_at(area + page_size);
    EXPECT_EQ(*cursor->unmap(), free_frame + FrameCount(1));
    EXPECT_EQ(*cursor->unmap(), free_frame + FrameCount(2));
    cursor->seek(page_at(area + large + 5 * page_size));
    ASSERT_TRUE(cursor->protect(read_write).ok());  // as it was: nothing is split
    ASSERT_TRUE(cursor->protect(read_only).ok());
    EXPECT_EQ(cursor->at(), page_at(area + large + 7 * page_size));
    auto invalidation = cursor->finish();
    // All of a large page that was split: it may be cached whole.
    EXPECT_EQ(invalidation.request().pages, pages_at(area, 2 * large_pages));
    invalidation.spend(m.tlb);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    EXPECT_EQ(frame_behind(area), free_frame.value());
    EXPECT_EQ(frame_behind(area + 2 * page_size), std::nullopt);
    EXPECT_FALSE(look(area + large + 6 * page_size)->writable);
    EXPECT_TRUE(look(area + large + 7 * page_size)->writable);
}

TEST_P(PageCursorTest, StandsStillWhereItFails) {
    map(pages_at(area, 1), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + page_size, 1), 1).ok());
    const auto before = dump();
    const auto cursor = cursor_at(area);
    EXPECT_EQ(cursor->map(free_frame, data).failure(), (Failure{Error::already_mapped, area}));
    EXPECT_EQ(cursor->protect(Protection::none).failure(), (Failure{Error::unsupported, area}));
    EXPECT_EQ(cursor->at(), page_at(area));
    cursor->seek(page_at(area + page_size));
    const Failure hole{Error::not_mapped, area + page_size};
    EXPECT_EQ(cursor->unmap().failure(), hole);
    EXPECT_EQ(cursor->protect(read_only).failure(), hole);
    EXPECT_EQ(cursor->translate().failure(), hole);
    EXPECT_EQ(cursor->at(), page_at(area + page_size));
    cursor->seek(page_at(area + 2 * page_size));
    const Failure attributes{Error::unsupported, area + 2 * page_size};
    EXPECT_EQ(cursor->map(free_frame, {Protection::none, MemoryType::write_back}).failure(),
              attributes);
    EXPECT_EQ(cursor->map(beyond_frames, data).error(), Error::out_of_range);
    cursor->seek(page_at(area + 3 * large));
    EXPECT_EQ(cursor->unmap().failure(), (Failure{Error::not_mapped, area + 3 * large}));
    EXPECT_EQ(cursor->protect(read_only).failure(), (Failure{Error::not_mapped, area + 3 * large}));
    EXPECT_TRUE(cursor->finish().empty());
    EXPECT_EQ(dump(), before);
}

// After a failure, what was granted to an earlier call is not granted to a later one.
TEST_P(PageCursorTest, ForgetsWhatItDidBeforeAFailure) {
    const auto cursor = cursor_at(area);
    ASSERT_TRUE(cursor->map(free_frame, {read_only, MemoryType::uncached}).ok());
    cursor->seek(page_at(area));
    ASSERT_TRUE(cursor->protect(read_write).ok());
    EXPECT_EQ(cursor->map(beyond_frames, data).error(), Error::out_of_range);
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    spend(*cursor);
    EXPECT_EQ(query(area + page_size).attributes, (Attributes{granted(read_write), data.type}));
    // Nor is unmap's, once another unmap waits.
    cursor->seek(page_at(area));
    ASSERT_TRUE(cursor->unmap().ok());
    spend(*cursor);
    map(pages_at(area + large, 1), free_frame);
    auto waits = table().unmap(pages_at(area + large, 1));
    ASSERT_TRUE(waits.ok());
    EXPECT_EQ(cursor->map(beyond_frames, data).error(), Error::out_of_range);
    EXPECT_EQ(cursor->unmap().error(), Error::busy);
    cursor->close();
    waits->spend(m.tlb);
}

TEST_P(PageCursorTest, EndsWithTheLastPage) {
    if (GetParam().reach == Reach::recursive_slot) GTEST_SKIP() << no_room;
    const Page last = table().reach().last();
    // Where the numbers after the last would begin again.
    const PageRange first(table().reach().first(), PageCount(1));
    const bool is_free = query(address_of(first.first()).value()).state == EntryState::empty;
    if (is_free) map(first, free_frame);
    const auto cursor = tested().cursor(last);
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    EXPECT_EQ(cursor->map(free_frame, data).error(), Error::out_of_range);
    EXPECT_EQ(cursor->unmap().error(), Error::out_of_range);
    EXPECT_EQ(cursor->protect(read_only).error(), Error::out_of_range);
    EXPECT_EQ(cursor->translate().error(), Error::out_of_range);
    cursor->seek(last);
    ASSERT_TRUE(cursor->unmap().ok());
    spend(*cursor);
    if (is_free) unmap(first);
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(PageCursorTest, RunsOutOfFramesWithoutAChange) {
    map(pages_at(area, large_pages), free_frame);
    const auto before = dump();
    const auto cursor = cursor_at(area);
    m.frames.fail_from(1);
    EXPECT_EQ(cursor->unmap().error(), Error::out_of_frames);
    EXPECT_EQ(cursor->protect(read_only).error(), Error::out_of_frames);
    cursor->seek(page_at(area + large));
    EXPECT_EQ(cursor->map(free_frame, data).error(), Error::out_of_frames);
    m.frames.never_fail();
    EXPECT_EQ(dump(), before);
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    EXPECT_TRUE(cursor->finish().empty());
}

// Between `close` and the next call, the access shows other tables where the cursor's was.
TEST_P(PageCursorTest, OpensAgainWhatItsAccessHasShownElsewhereMeanwhile) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& other = *made;
    ASSERT_TRUE(other.create(m.frames).ok());
    const auto cursor = cursor_at(area);
    for (uint64_t i = 0; i < 20; ++i) {
        ASSERT_TRUE(cursor->map(free_frame + FrameCount(i), data).ok());
        cursor->close();
        const PageRange pages = pages_at(area + i * large, 1);
        ASSERT_TRUE(other->map(pages, Frame(1), data).ok());
        EXPECT_EQ(other->query(address_of(pages.first()))->frames.first(), Frame(1));
    }
    EXPECT_TRUE(cursor->finish().empty());
    for (uint64_t i = 0; i < 20; ++i)
        EXPECT_EQ(frame_behind(area + i * page_size), free_frame.value() + i);
    other->unmap(pages_at(area, 20 * large_pages), UnmappedFrames::keep, Holes::skip)->spend(m.tlb);
    ASSERT_TRUE(other.destroy().ok());
}

// What others do to the page table while the cursor is closed.
TEST_P(PageCursorTest, FindsWhatHasBecomeOfTheTableMeanwhile) {
    const auto cursor = cursor_at(area);
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    cursor->close();
    unmap(pages_at(area, 1));
    EXPECT_EQ(table().table_frames(), tables_before_);
    map(pages_at(area, large_pages), free_frame);
    EXPECT_EQ(cursor->map(free_frame, data).failure(),
              (Failure{Error::already_mapped, area + page_size}));
    EXPECT_EQ(frame_of(*cursor->translate()), free_frame + FrameCount(1));
}

TEST_P(PageCursorTest, KeepsCountOfWhatTablesHold) {
    if (m.pool.table_words().frames.empty()) return;
    map(pages_at(area, 3), free_frame);
    const Frame leaf = table_in(large_entry(area));
    EXPECT_EQ(live_in(leaf), 3u);
    const auto cursor = cursor_at(area + 3 * page_size);
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    ASSERT_TRUE(cursor->map(free_frame, data).ok());
    cursor->close();
    EXPECT_EQ(live_in(leaf), 5u);
    cursor->seek(page_at(area));
    ASSERT_TRUE(cursor->unmap().ok());
    ASSERT_TRUE(cursor->translate().ok());
    ASSERT_TRUE(cursor->protect(read_only).ok());
    spend(*cursor);
    EXPECT_EQ(live_in(leaf), 4u);
    // A wrong count is noticed.
    ++*m.pool.table_words().word_of(leaf);
    EXPECT_EQ(table().validate().failure(), (Failure{Error::corrupted, area}));
    --*m.pool.table_words().word_of(leaf);
}

// A page table that moves to a source with words is counted then.
TEST_P(PageCursorTest, CountsWhatWasThereBefore) {
    map(pages_at(area, large_pages + 2), free_frame + FrameCount(1));
    map(pages_at(area + 2 * large, large_pages), free_frame);
    m.pool.keep_table_words();
    table().set_frame_source(m.frames);
    EXPECT_TRUE(table().validate().ok());
    EXPECT_EQ(live_in(table_in(large_entry(area))), large_pages);
    EXPECT_EQ(live_in(table_in(large_entry(area + large))), 2u);
    unmap(pages_at(area, large_pages + 1));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    unmap(pages_at(area + large + page_size, 1));
    EXPECT_EQ(table().table_frames(), tables_before_);
    unmap(pages_at(area + 2 * large, large_pages));
}

// A hole in a leaf table that is unmapped whole, from its count or by a look.
TEST_P(PageCursorTest, AWholeLeafTableIsUnmappedWithOrWithoutHoles) {
    map(pages_at(area, large_pages), free_frame + FrameCount(1));
    unmap(pages_at(area + 9 * page_size, 1));
    EXPECT_EQ(table().unmap(pages_at(area, large_pages)).failure(),
              (Failure{Error::not_mapped, area + 9 * page_size}));
    map(pages_at(area + 9 * page_size, 1), free_frame);
    auto whole = table().unmap(pages_at(area, large_pages));
    ASSERT_TRUE(whole.ok());
    EXPECT_EQ(whole->request().pages, pages_at(area, large_pages));
    EXPECT_FALSE(whole->request().global);
    whole->spend(m.tlb);
    map(pages_at(area + page_size, 2), free_frame);
    unmap(pages_at(area, large_pages), UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(table().table_frames(), tables_before_);
}

// Unmapping a leaf table whole is to flush what has become global in it.
TEST_P(PageCursorTest, AWholeLeafTableIsFlushedAsGlobalOnceAnythingInItIs) {
    const Protection global = read_write | Protection::global;
    const auto unmaps_as_global = [&](auto make_global) {
        map(pages_at(area, large_pages), free_frame + FrameCount(1));
        make_global();
        auto whole = table().unmap(pages_at(area, large_pages));
        EXPECT_TRUE(whole.ok());
        const bool is_global = whole->request().global;
        whole->spend(m.tlb);
        return is_global;
    };
    EXPECT_FALSE(unmaps_as_global([] {}));
    EXPECT_TRUE(unmaps_as_global([&] {
        const auto cursor = cursor_at(area + 4 * page_size);
        EXPECT_TRUE(cursor->protect(global).ok());
        spend(*cursor);
    }));
    EXPECT_TRUE(unmaps_as_global([&] { protect(pages_at(area + 4 * page_size, 1), global); }));
    EXPECT_TRUE(unmaps_as_global([&] { protect(pages_at(area + 4 * page_size, 2), global); }));
    const PageRange few = pages_at(area + 7 * page_size, 2);
    EXPECT_TRUE(unmaps_as_global([&] {
        unmap(few);
        map(few, free_frame, {global, MemoryType::write_back});
    }));
    EXPECT_FALSE(unmaps_as_global([] {}));
}

TEST_P(PageCursorTest, AgreesWithAPlainMapOfPages) {
    std::mt19937_64 random(5);
    std::map<uint64_t, uint64_t> known;
    const uint64_t pages = 3 * large_pages;
    uint64_t page = 0;
    const auto cursor = cursor_at(area);
    for (int step = 0; step < 4000; ++step) {
        if (page == pages || random() % 8 == 0) {
            page = random() % 2 == 0 ? large_pages * (random() % 3) : random() % pages;
            cursor->seek(page_at(area + page * page_size));
        }
        if (random() % 64 == 0) cursor->close();
        if (random() % 16 == 0) spend(*cursor);
        const auto found = known.find(page);
        const bool is_mapped = found != known.end();
        const uint64_t frame = free_frame.value() + random() % 1000;
        switch (random() % 4) {
            case 0: {
                const Status mapped = cursor->map(Frame(frame), data);
                if (!mapped.ok() && mapped.error() == Error::busy) continue;
                ASSERT_EQ(mapped.ok(), !is_mapped);
                known.emplace(page, frame);
                break;
            }
            case 1: {
                const auto unmapped = cursor->unmap();
                ASSERT_EQ(unmapped.ok(), is_mapped);
                if (!is_mapped) continue;
                ASSERT_EQ(unmapped->value(), found->second);
                known.erase(found);
                break;
            }
            case 2:
                ASSERT_EQ(cursor->protect(random() % 2 ? read_only : read_write).ok(), is_mapped);
                if (!is_mapped) continue;
                break;
            default: {
                const auto seen = cursor->translate();
                ASSERT_EQ(seen.ok(), is_mapped);
                if (!is_mapped) continue;
                ASSERT_EQ(frame_of(*seen).value(), found->second);
            }
        }
        page = (cursor->at() - page_at(area)).value();
    }
    spend(*cursor);
    ASSERT_TRUE(table().validate().ok());
    for (uint64_t i = 0; i < pages; i += 7) {
        const auto found = known.find(i);
        ASSERT_EQ(frame_behind(area + i * page_size),
                  found == known.end() ? std::nullopt : std::optional(found->second));
    }
}

TEST_P(PageCursorTest, DroppingOneUnfinishedTraps) {
    if (!debug_checks) GTEST_SKIP() << "only where debug_checks is set";
    map(pages_at(area, 2), free_frame);
    EXPECT_DEATH(
        {
            const auto cursor = cursor_at(area);
            static_cast<void>(cursor->protect(read_only));
        },
        "");
}

}  // namespace
}  // namespace quire::paging_test
