// SPDX-License-Identifier: MIT
// What the heap does for those who use it right.
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

using heap_internal::granule;
using heap_internal::largest_cell;

TEST_F(HeapTest, StartCommitsAPageOrTwo) {
    start();
    EXPECT_LE(pages_.committed_bytes(), 2 * page_size);
    allocate(100);
    EXPECT_LE(pages_.committed_bytes(), 5 * page_size);
    expect_valid();
}

TEST_F(HeapTest, StartsOnceUntilItIsStopped) {
    start();
    const Status again = heap_.start(pages_, platform_);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error(), Error::bad_argument);
    allocate(10);
    allocate(100000);
    heap_.stop();
    EXPECT_EQ(pages_.reserved_bytes(), 0u);
    heap_.stop();
    start();
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    EXPECT_EQ(heap_.counters().allocations, 0u);
    expect_valid();
    allocate(10);
}

TEST_F(HeapTest, StartRefusesAnArenaItCannotHave) {
    HeapOptions options;
    options.arena_bytes = 0;
    EXPECT_EQ(heap_.start(pages_, platform_, options).error(), Error::bad_argument);
    for (size_t bytes : {SIZE_MAX, SIZE_MAX / 2 + 1}) {
        options.arena_bytes = bytes;
        EXPECT_EQ(heap_.start(pages_, platform_, options).error(), Error::out_of_address_space);
    }
    pages_.limit_address_space(1 << 20);
    EXPECT_EQ(heap_.start(pages_, platform_).error(), Error::out_of_address_space);
    pages_.limit_address_space(SIZE_MAX);
    pages_.limit_pages(0);
    EXPECT_EQ(heap_.start(pages_, platform_).error(), Error::out_of_frames);
    EXPECT_EQ(pages_.reserved_bytes(), 0u);
    pages_.limit_pages(100);
    start();
    allocate(1);
}

TEST_F(HeapTest, NothingCanBeHadBeforeItIsStarted) {
    EXPECT_EQ(heap_.allocate(10).error(), Error::bad_argument);
    EXPECT_EQ(heap_.allocate(1 << 20).error(), Error::bad_argument);
    int local = 0;
    EXPECT_EQ(heap_.try_free(&local).error(), Error::foreign);
    EXPECT_EQ(heap_.trim(), 0u);
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(HeapTest, BlocksOfEverySizeAreWholeAndApart) {
    start();
    std::vector<std::pair<unsigned char*, size_t>> blocks;
    for (size_t bytes = 0; bytes < 3 * largest_cell; bytes += bytes < 300 ? 1 : bytes / 37) {
        unsigned char* block = allocate(bytes);
        ASSERT_TRUE(is_aligned(block, granule)) << bytes;
        std::memset(block, static_cast<int>(bytes % 251), bytes);
        EXPECT_EQ(*heap_.usable_size(block), bytes);
        blocks.emplace_back(block, bytes);
    }
    expect_valid();
    EXPECT_EQ(heap_.counters().live_blocks, blocks.size());
    for (const auto& [block, bytes] : blocks) {
        for (size_t i = 0; i < bytes; ++i)
            ASSERT_EQ(block[i], bytes % 251);
        ASSERT_TRUE(heap_.try_free_sized(block, bytes).ok());
    }
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    EXPECT_EQ(heap_.counters().live_bytes, 0u);
    EXPECT_EQ(heap_.counters().usable_bytes, 0u);
    expect_valid();
}

TEST_F(HeapTest, RequestsOfZeroAreUniqueBlocks) {
    start();
    std::set<void*> blocks;
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(blocks.insert(allocate(0)).second);
    EXPECT_EQ(*heap_.usable_size(*blocks.begin()), 0u);
    for (void* block : blocks)
        EXPECT_TRUE(heap_.try_free(block).ok());
}

TEST_F(HeapTest, PagesAreAlignedAndHaveAGuardBehind) {
    start();
    for (size_t bytes = page_size; bytes <= 20 * page_size; bytes += page_size) {
        for (int i = 0; i < 20; ++i) {
            unsigned char* block = allocate(bytes);
            if (bytes > 4 * page_size && bytes < largest_cell) continue;
            EXPECT_TRUE(is_aligned(block, page_size)) << bytes;
            EXPECT_TRUE(pages_.is_committed(block + bytes - 1));
            EXPECT_FALSE(pages_.is_committed(block + bytes)) << bytes;
        }
    }
    expect_valid();
}

using HeapDeathTest = HeapTest;

TEST_F(HeapDeathTest, WritingBehindWholePagesFaults) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    start();
    for (size_t bytes : {page_size, 3 * page_size, size_t{1} << 20}) {
        volatile unsigned char* block = allocate(bytes);
        block[bytes - 1] = 1;
        EXPECT_DEATH(block[bytes] = 1, "");
    }
}

TEST_F(HeapTest, PowersOfTwoAreNaturallyAlignedWithoutForcedSlack) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::where_slack;
    start(options);
    for (size_t bytes = 16; bytes <= page_size; bytes *= 2) {
        for (int i = 0; i < 40; ++i)
            EXPECT_TRUE(is_aligned(allocate(bytes), bytes)) << bytes;
    }
    expect_valid();
    EXPECT_EQ(heap_.counters().live_bytes, heap_.counters().usable_bytes);
}

class HeapAlignmentTest : public HeapTest, public testing::WithParamInterface<OverrunCheck> {};
INSTANTIATE_TEST_SUITE_P(OverrunChecks, HeapAlignmentTest,
                         testing::Values(OverrunCheck::every_block, OverrunCheck::where_slack));

TEST_P(HeapAlignmentTest, AlignmentsFromOneByteToBeyondAMegabyte) {
    HeapOptions options;
    options.overrun_check = GetParam();
    start(options);
    for (size_t alignment = 1; alignment <= size_t{4} << 20; alignment *= 2) {
        for (size_t bytes : {size_t{0}, size_t{1}, size_t{17}, alignment - 1, alignment,
                             alignment + 1, 3 * alignment, size_t{50000}}) {
            unsigned char* block = allocate_aligned(bytes, alignment);
            ASSERT_TRUE(is_aligned(block, alignment)) << bytes << " at " << alignment;
            ASSERT_TRUE(is_aligned(block, granule));
            std::memset(block, 0x5a, bytes);
            ASSERT_EQ(*heap_.usable_size(block), bytes);
            if (bytes % 2 == 0) {
                ASSERT_TRUE(heap_.try_free_sized(block, bytes).ok());
            }
        }
    }
    expect_valid();
}

TEST_F(HeapTest, AlignmentMustBeAPowerOfTwo) {
    start();
    for (size_t alignment : {size_t{0}, size_t{3}, size_t{24}, SIZE_MAX}) {
        const auto block = heap_.allocate_aligned(100, alignment);
        ASSERT_FALSE(block.ok()) << alignment;
        EXPECT_EQ(block.error(), Error::bad_argument);
    }
    const auto beyond = heap_.allocate_aligned(100, SIZE_MAX / 2 + 1);
    ASSERT_FALSE(beyond.ok());
    EXPECT_EQ(beyond.error(), Error::out_of_memory);
}

TEST_F(HeapTest, ZeroedBlocksAreZeroWhatEverWasThere) {
    start();
    for (size_t bytes :
         {size_t{1}, size_t{24}, size_t{1000}, page_size, size_t{20000}, size_t{200000}}) {
        for (int round = 0; round < 3; ++round) {
            const auto block = heap_.allocate_zeroed(bytes);
            ASSERT_TRUE(block.ok());
            auto* data = static_cast<unsigned char*>(*block);
            for (size_t i = 0; i < bytes; ++i)
                ASSERT_EQ(data[i], 0) << bytes;
            std::memset(data, 0xee, bytes);
            ASSERT_TRUE(heap_.try_free(data).ok());
        }
    }
}

TEST_F(HeapTest, RequestsBeyondReasonAreOutOfMemory) {
    start();
    allocate(10);
    const HeapState before(heap_, pages_);
    for (size_t bytes : {SIZE_MAX, SIZE_MAX - 100, SIZE_MAX - page_size, SIZE_MAX / 2 + 1,
                         SIZE_MAX / 2, SIZE_MAX / 2 - page_size}) {
        for (const auto& result :
             {heap_.allocate(bytes), heap_.allocate_zeroed(bytes),
              heap_.allocate_aligned(bytes, 64), heap_.allocate_aligned(bytes, 4 * page_size)}) {
            ASSERT_FALSE(result.ok()) << bytes;
            EXPECT_EQ(result.error(), Error::out_of_memory);
        }
        EXPECT_TRUE(HeapState(heap_, pages_) == before);
    }
    expect_valid();
}

TEST_F(HeapTest, FreedCellsAreUsedAgain) {
    start();
    unsigned char* block = allocate(100);
    allocate(100);
    heap_.free(block);
    EXPECT_EQ(allocate(100), block);
}

TEST_F(HeapTest, NullIsNoBlock) {
    start();
    heap_.free(nullptr);
    heap_.free_sized(nullptr, 10);
    EXPECT_TRUE(heap_.try_free(nullptr).ok());
    EXPECT_TRUE(heap_.try_free_sized(nullptr, 10).ok());
    EXPECT_EQ(heap_.usable_size(nullptr).error(), Error::foreign);
    EXPECT_EQ(heap_.counters().frees, 0u);
}

TEST_F(HeapTest, TheFullestSpanIsUsedFirst) {
    start();
    constexpr size_t bytes = 1000;
    const unsigned in_a_span =
        heap_internal::size_classes.entries[heap_internal::class_for(bytes + 1)].cells;
    std::vector<unsigned char*> blocks;
    for (unsigned i = 0; i < 3 * in_a_span; ++i)
        blocks.push_back(allocate(bytes));
    // One block left in the first span, all but one in the second, half in the third.
    for (unsigned i = 1; i < in_a_span; ++i)
        heap_.free(blocks[i]);
    heap_.free(blocks[in_a_span + 3]);
    for (unsigned i = 0; i < in_a_span / 2; ++i)
        heap_.free(blocks[2 * in_a_span + i]);
    expect_valid();
    EXPECT_EQ(allocate(bytes), blocks[in_a_span + 3]);
    EXPECT_EQ(allocate(bytes), blocks[2 * in_a_span]);
    expect_valid();
}

TEST_F(HeapTest, AnEmptySpanIsUsedLast) {
    start();
    constexpr size_t bytes = 1000;
    const unsigned in_a_span =
        heap_internal::size_classes.entries[heap_internal::class_for(bytes + 1)].cells;
    std::vector<unsigned char*> blocks;
    for (unsigned i = 0; i < in_a_span + 1; ++i)
        blocks.push_back(allocate(bytes));
    // One block left in the first span, none in the second.
    for (unsigned i = 1; i < in_a_span; ++i)
        heap_.free(blocks[i]);
    heap_.free(blocks[in_a_span]);
    EXPECT_EQ(allocate(bytes), blocks[1]);
}

TEST_F(HeapTest, EmptySpansGoBackBeyondTheCache) {
    HeapOptions options;
    options.cached_bytes = 0;
    start(options);
    const size_t idle = pages_.committed_bytes();
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 5000; ++i)
        blocks.push_back(allocate(200));
    EXPECT_GE(pages_.committed_bytes(), size_t{5000} * 200);
    for (unsigned char* block : blocks)
        heap_.free(block);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    // What is left is bookkeeping.
    EXPECT_EQ(pages_.committed_bytes(), heap_.counters().bookkeeping_bytes);
    EXPECT_LE(pages_.committed_bytes(), idle + 16 * page_size);
    expect_valid();
    // And trim leaves the slot map and the slots' records.
    heap_.trim();
    EXPECT_LE(pages_.committed_bytes(), idle + 2 * page_size);
    expect_valid();
}

TEST_F(HeapTest, TrimLeavesSixteenBytesForEachSlotThatWasEverTaken) {
    start();
    std::vector<unsigned char*> blocks;
    for (size_t bytes : {size_t{16}, size_t{100}, size_t{1000}, size_t{5000}, size_t{30000}}) {
        for (size_t i = 0; i < (size_t{8} << 20) / bytes; ++i)
            blocks.push_back(allocate(bytes));
    }
    const size_t at_peak = heap_.counters().bookkeeping_bytes;
    // A few stay, wherever they are.
    std::vector<unsigned char*> stay;
    for (size_t i = 0; i < blocks.size(); ++i)
        i % (blocks.size() / 4) == 100 ? stay.push_back(blocks[i]) : heap_.free(blocks[i]);
    heap_.trim();
    expect_valid();
    const size_t slots = (size_t{40} << 20) / heap_internal::slot_bytes;
    const size_t for_slots = slots * 16 + (slots * 16) / 4;
    EXPECT_LE(heap_.counters().bookkeeping_bytes, for_slots + (stay.size() + 4) * 2 * page_size);
    EXPECT_GE(at_peak, size_t{1} << 20);
    // What is known of the spans that went outlives their records.
    unsigned char* const gone = blocks[blocks.size() / 8];
    EXPECT_EQ(report_of([&] { heap_.free(gone); }).error, Error::already_free);
    EXPECT_EQ(report_of([&] { heap_.free(gone + 8); }).error, Error::foreign);
    EXPECT_EQ(report_of([&] { heap_.free(blocks.back()); }).error, Error::already_free);
    // Beside it, in the same span, there never was a block.
    ASSERT_TRUE(is_aligned(blocks.back(), heap_internal::largest_span));
    EXPECT_EQ(report_of([&] { heap_.free(blocks.back() + 30720); }).error, Error::foreign);
    // And the store's pages serve again, from the first on.
    for (unsigned char*& block : blocks)
        block = allocate(100);
    expect_valid();
    for (unsigned char* block : blocks)
        heap_.free(block);
    for (unsigned char* block : stay)
        heap_.free(block);
    expect_valid();
}

TEST_F(HeapTest, TheCacheKeepsWhatItMayAndTrimEmptiesIt) {
    HeapOptions options;
    options.cached_bytes = size_t{64} << 10;
    start(options);
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 5000; ++i)
        blocks.push_back(allocate(200));
    for (unsigned char* block : blocks)
        heap_.free(block);
    const HeapCounters counters = heap_.counters();
    EXPECT_GT(counters.cached_bytes, 0u);
    EXPECT_LE(counters.cached_bytes, options.cached_bytes);
    const size_t before = pages_.committed_bytes();
    const size_t given_back = heap_.trim();
    EXPECT_GE(given_back, counters.cached_bytes);
    EXPECT_EQ(pages_.committed_bytes(), before - given_back);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    EXPECT_EQ(heap_.trim(), 0u);
    expect_valid();
    allocate(200);
    expect_valid();
}

TEST_F(HeapTest, WhatNobodyWantedForATickGoesBack) {
    HeapOptions options;
    options.cached_bytes = size_t{64} << 20;
    options.overrun_check = OverrunCheck::none;
    start(options);
    const size_t idle = pages_.committed_bytes();
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 500; ++i)
        blocks.push_back(allocate(2000));
    blocks.push_back(allocate(size_t{3} << 20));  // a range of its own
    for (unsigned char* block : blocks)
        heap_.free(block);
    const size_t full = pages_.committed_bytes();
    EXPECT_GT(heap_.counters().cached_bytes, size_t{3900} << 10);
    // It came in this tick, and a whole one has to go by.
    EXPECT_EQ(heap_.age(), 0u);
    EXPECT_EQ(pages_.committed_bytes(), full);
    // What was wanted meanwhile is young again.
    heap_.free(allocate(2000));
    heap_.free(allocate(size_t{3} << 20));
    EXPECT_GT(heap_.age(), size_t{900} << 10);
    EXPECT_GE(heap_.counters().cached_bytes, size_t{3} << 20);
    EXPECT_LT(heap_.counters().cached_bytes, (size_t{3} << 20) + (size_t{64} << 10));
    EXPECT_FALSE(pages_.is_committed(blocks[400]));
    EXPECT_TRUE(pages_.is_committed(blocks[500]));
    EXPECT_GT(heap_.age(), size_t{3} << 20);
    EXPECT_FALSE(pages_.is_committed(blocks[500]));
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    EXPECT_LE(pages_.committed_bytes(), idle + 16 * page_size);
    expect_valid();
    EXPECT_EQ(heap_.age(), 0u);
}

TEST_F(HeapTest, WhatCannotGoBackIsTriedAgain) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::none;
    options.cached_bytes = size_t{64} << 20;
    start(options);
    heap_.free(allocate(2000));
    pages_.refuse_decommit(true);
    for (int tick = 0; tick < 5; ++tick) {
        EXPECT_EQ(heap_.age(), 0u);
        expect_valid();
    }
    pages_.refuse_decommit(false);
    EXPECT_GT(heap_.age(), 0u);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    expect_valid();
}

TEST_F(HeapTest, ACachedSpanIsUsedBeforeANewOne) {
    start();
    heap_.free(allocate(200));
    const size_t before = pages_.committed_bytes();
    ASSERT_GT(heap_.counters().cached_bytes, 0u);
    allocate(200);
    EXPECT_EQ(pages_.committed_bytes(), before);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
}

TEST_F(HeapTest, ASpanThatCannotGoBackStaysUsable) {
    HeapOptions options;
    options.cached_bytes = 0;
    start(options);
    unsigned char* block = allocate(200);
    pages_.refuse_decommit(true);
    heap_.free(block);
    EXPECT_GT(heap_.counters().cached_bytes, 0u);
    expect_valid();
    EXPECT_EQ(heap_.trim(), 0u);
    EXPECT_EQ(allocate(200), block);
    heap_.free(block);
    pages_.refuse_decommit(false);
    EXPECT_GT(heap_.trim(), 0u);
    expect_valid();
}

TEST_F(HeapTest, FurtherArenasFollowAndGoAgain) {
    HeapOptions options;
    options.arena_bytes = size_t{64} << 10;
    options.cached_bytes = 0;
    start(options);
    const size_t first_arena = pages_.reserved_bytes();
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 3000; ++i) {
        blocks.push_back(allocate(1000));
        std::memset(blocks.back(), i, 1000);
    }
    EXPECT_GT(pages_.reservations(), 2u);
    expect_valid();
    // From the front, so that arenas go while later ones are in use.
    for (size_t i = 0; i < blocks.size(); ++i) {
        for (size_t byte = 0; byte < 1000; ++byte)
            ASSERT_EQ(blocks[i][byte], static_cast<unsigned char>(i));
        heap_.free(blocks[i]);
        if (i % 500 == 0) {
            heap_.trim();
            expect_valid();
        }
    }
    heap_.trim();
    EXPECT_EQ(pages_.reservations(), 1u);
    EXPECT_EQ(pages_.reserved_bytes(), first_arena);
    expect_valid();
}

TEST_F(HeapTest, SmallerArenasFollowWhereAddressSpaceIsScarce) {
    HeapOptions options;
    options.arena_bytes = size_t{1} << 20;
    start(options);
    pages_.limit_address_space(pages_.reserved_bytes() + (size_t{310} << 10));
    size_t blocks = 0;
    while (heap_.allocate(1000).ok())
        ++blocks;
    EXPECT_EQ(pages_.reservations(), 2u);
    EXPECT_GT(blocks, size_t{1200});
    expect_valid();
}

TEST_F(HeapTest, ArenasAreLimitedInNumber) {
    HeapOptions options;
    options.arena_bytes = size_t{64} << 10;
    start(options);
    const size_t one = pages_.reserved_bytes();
    // Room for one more arena of the smallest size at a time.
    size_t blocks = 0;
    for (;; ++blocks) {
        pages_.limit_address_space(pages_.reserved_bytes() + one);
        const auto block = heap_.allocate(30000);
        if (block.ok()) continue;
        EXPECT_EQ(block.error(), Error::out_of_memory);
        break;
    }
    EXPECT_EQ(pages_.reservations(), 16u);
    EXPECT_GE(blocks, 16u);
    expect_valid();
}

TEST_F(HeapTest, RecordsOfLargeBlocksFindRoomInAFurtherArena) {
    HeapOptions options;
    options.arena_bytes = size_t{64} << 10;
    start(options);
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 400; ++i)
        blocks.push_back(allocate(40000));
    EXPECT_EQ(heap_.counters().large_blocks, 400u);
    EXPECT_GT(pages_.reservations(), 401u);
    expect_valid();
    for (unsigned char* block : blocks)
        heap_.free(block);
    heap_.trim();
    EXPECT_EQ(pages_.reservations(), 1u);
    expect_valid();
}

TEST_F(HeapTest, KeptRangesGoBackWhereRecordsAndPagesHaveRunOut) {
    HeapOptions options;
    options.arena_bytes = size_t{64} << 10;
    options.cached_bytes = size_t{1} << 20;
    options.overrun_check = OverrunCheck::none;
    start(options);
    std::vector<unsigned char*> blocks;
    // Until the records fill the first arena: the block after that brings a second one.
    for (size_t before = 0; pages_.reservations() - before != 2; blocks.push_back(allocate(40000)))
        before = pages_.reservations();
    heap_.free(blocks.back());
    blocks.pop_back();
    heap_.trim();
    ASSERT_EQ(pages_.reservations(), blocks.size() + 1);
    for (int i = 0; i < 2; ++i) {
        heap_.free(blocks.back());
        blocks.pop_back();
    }
    ASSERT_EQ(pages_.reservations(), blocks.size() + 3);
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    blocks.push_back(allocate(60000));
    expect_valid();
}

TEST_F(HeapTest, CountersTellWhatHappened) {
    start();
    unsigned char* small = allocate(100);
    unsigned char* large = allocate(100000);
    HeapCounters counters = heap_.counters();
    EXPECT_EQ(counters.live_blocks, 2u);
    EXPECT_EQ(counters.live_bytes, 100100u);
    EXPECT_GE(counters.usable_bytes, 100100u);
    EXPECT_EQ(counters.allocations, 2u);
    EXPECT_EQ(counters.frees, 0u);
    EXPECT_EQ(counters.large_blocks, 1u);
    EXPECT_EQ(counters.committed_bytes, pages_.committed_bytes());
    const size_t peak = counters.peak_committed_bytes;
    EXPECT_EQ(peak, pages_.committed_bytes());
    heap_.free(large);
    heap_.free(small);
    counters = heap_.counters();
    EXPECT_EQ(counters.live_blocks, 0u);
    EXPECT_EQ(counters.live_bytes, 0u);
    EXPECT_EQ(counters.frees, 2u);
    EXPECT_EQ(counters.peak_committed_bytes, peak);
    EXPECT_LT(counters.committed_bytes, peak);
    EXPECT_EQ(counters.large_blocks, 0u);
}

TEST_F(HeapTest, HeapsAreIndependent) {
    start();
    Heap other;
    ASSERT_TRUE(other.start(pages_, platform_).ok());
    unsigned char* block = allocate(50);
    void* others = other.allocate(50).value();
    EXPECT_EQ(other.try_free(block).error(), Error::foreign);
    EXPECT_EQ(heap_.try_free(others).error(), Error::foreign);
    other.stop();
    expect_valid();
}

TEST_F(HeapTest, EmptySpansGoBackBeforeMorePagesAreTaken) {
    HeapOptions options;
    options.cached_bytes = size_t{16} << 20;
    start(options);
    std::vector<unsigned char*> blocks;
    for (size_t i = 0; i < 200; ++i)
        blocks.push_back(allocate(16000));
    for (unsigned char* const block : blocks)
        heap_.free(block);
    const size_t kept = heap_.counters().cached_bytes;
    EXPECT_GT(kept, size_t{3} << 20);
    // The same size takes of what is kept; another one, in the place of most of it.
    unsigned char* const same = allocate(16000);
    EXPECT_GT(heap_.counters().cached_bytes, kept - (size_t{64} << 10) - 1);
    unsigned char* const other = allocate(3000);
    EXPECT_LE(heap_.counters().cached_bytes, size_t{1} << 20);
    EXPECT_GE(heap_.counters().cached_bytes, size_t{7} << 17);
    heap_.free(same);
    heap_.free(other);
    expect_valid();
}

}  // namespace
}  // namespace quire::test
