// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

class HeapReallocateTest : public HeapTest {
  protected:
    void SetUp() override { start(); }
    unsigned char* filled(size_t bytes) {
        unsigned char* block = allocate(bytes);
        for (size_t i = 0; i < bytes; ++i)
            block[i] = static_cast<unsigned char>(i * 7);
        return block;
    }
    static void expect_filled(const unsigned char* block, size_t bytes) {
        for (size_t i = 0; i < bytes; ++i)
            ASSERT_EQ(block[i], static_cast<unsigned char>(i * 7)) << i;
    }
    void restart_without_watching() {
        heap_.stop();
        HeapOptions options;
        options.overrun_check = OverrunCheck::none;
        start(options);
    }
    unsigned char* reallocate(void* block, size_t bytes) {
        const auto result = heap_.reallocate(block, bytes);
        EXPECT_TRUE(result.ok());
        return static_cast<unsigned char*>(result.value_or(nullptr));
    }
};

TEST_F(HeapReallocateTest, KeepsTheContentsBetweenAnyTwoSizes) {
    const size_t sizes[] = {
        0,    1,     15,    16,    100,   127,    128,    1000, page_size, 2 * page_size,
        5000, 20000, 32767, 32768, 40000, 200000, 1000000};
    for (size_t from : sizes) {
        for (size_t to : sizes) {
            unsigned char* block = reallocate(filled(from), to);
            expect_filled(block, from < to ? from : to);
            std::memset(block, 0x11, to);
            ASSERT_EQ(*heap_.usable_size(block), to);
            ASSERT_TRUE(heap_.try_free_sized(block, to).ok()) << from << " to " << to;
        }
    }
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    EXPECT_EQ(heap_.counters().live_bytes, 0u);
    expect_valid();
}

TEST_F(HeapReallocateTest, ABlockThatGrowsAgainIsGivenRoom) {
    restart_without_watching();
    unsigned char* block = filled(60);
    block = reallocate(block, 100);
    EXPECT_EQ(heap_.counters().usable_bytes, 112u);
    block = reallocate(block, 200);
    EXPECT_EQ(heap_.counters().usable_bytes, 256u);
    EXPECT_EQ(reallocate(block, 250), block);
    EXPECT_EQ(heap_.try_free_sized(block, 200).error(), Error::bad_argument);
    EXPECT_TRUE(heap_.try_free_sized(block, 250).ok());
    // So a chain moves some times for each doubling; powers of two are where they should be.
    block = filled(0);
    unsigned moves = 0;
    for (size_t bytes = 64; bytes <= 900000; bytes += 64) {
        unsigned char* const next = reallocate(block, bytes);
        moves += next != block ? 1 : 0;
        block = next;
    }
    EXPECT_LE(moves, 44u);
    EXPECT_TRUE(heap_.try_free_sized(block, 900000 / 64 * 64).ok());
    allocate(1280);
    block = reallocate(reallocate(filled(100), 300), 1024);
    EXPECT_TRUE(is_aligned(block, 1024));
    heap_.free(block);
    expect_valid();
}

TEST_F(HeapReallocateTest, WithoutRoomABlockGrowsAsFarAsItMust) {
    restart_without_watching();
    unsigned char* const block = reallocate(filled(60), 100);
    unsigned char* const beside = allocate(200);
    heap_.free(allocate(200));
    pages_.limit_pages(0);
    unsigned char* const moved = reallocate(block, 200);
    EXPECT_EQ(moved, beside + 208);
    EXPECT_TRUE(heap_.try_free_sized(moved, 200).ok());
    expect_valid();
}

TEST_F(HeapReallocateTest, TheSizeOfABlockIsItsLast) {
    restart_without_watching();
    const size_t sizes[] = {4,     50,    64,     900,    1000,   1100,
                            19000, 36000, 100000, 110000, 500000, 2000000};
    for (const size_t from : sizes) {
        for (const size_t to : sizes) {
            unsigned char* const block = reallocate(filled(from), to);
            expect_filled(block, from < to ? from : to);
            for (const size_t more : {1u, 7u, 16u, 64u, 128u, 512u, 4096u, 65536u}) {
                ASSERT_FALSE(heap_.try_free_sized(block, to + more).ok()) << from << " to " << to;
                if (to < more) continue;
                ASSERT_FALSE(heap_.try_free_sized(block, to - more).ok()) << from << " to " << to;
            }
            ASSERT_TRUE(heap_.try_free_sized(block, to).ok()) << from << " to " << to;
        }
    }
    expect_valid();
}

TEST_F(HeapReallocateTest, NullMeansAllocate) {
    unsigned char* block = reallocate(nullptr, 77);
    EXPECT_EQ(*heap_.usable_size(block), 77u);
}

TEST_F(HeapReallocateTest, StaysInTheCellWhereItFits) {
    unsigned char* block = filled(100);
    EXPECT_EQ(reallocate(block, 111), block);
    EXPECT_EQ(heap_.counters().live_bytes, 111u);
    EXPECT_EQ(reallocate(block, 60), block);
    EXPECT_EQ(heap_.counters().live_bytes, 60u);
    expect_filled(block, 60);
    // The bytes behind the new end are watched from now on.
    block[60] ^= 1;
    EXPECT_EQ(heap_.try_free(block).error(), Error::corrupted);
    block[60] ^= 1;
    // One byte to watch no longer fits.
    EXPECT_NE(reallocate(block, 112), block);
    expect_valid();
}

TEST_F(HeapReallocateTest, MovesToASmallerCellWhenHalfWouldBeEmpty) {
    unsigned char* block = filled(1000);
    unsigned char* moved = reallocate(block, 100);
    EXPECT_NE(moved, block);
    expect_filled(moved, 100);
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    EXPECT_LT(heap_.counters().usable_bytes, 200u);
}

TEST_F(HeapReallocateTest, WholePagesFillTheirGuardedCell) {
    unsigned char* block = filled(page_size);
    EXPECT_EQ(reallocate(block, page_size - 100), block);
    EXPECT_EQ(reallocate(block, page_size), block);
    expect_filled(block, page_size - 100);
    EXPECT_NE(reallocate(block, page_size + 1), block);
    expect_valid();
}

TEST_F(HeapReallocateTest, LargeBlocksShrinkByPagesInPlace) {
    unsigned char* block = filled(100 * page_size);
    const size_t before = pages_.committed_bytes();
    EXPECT_EQ(reallocate(block, 60 * page_size + 5), block);
    EXPECT_EQ(pages_.committed_bytes(), before - 39 * page_size);
    EXPECT_FALSE(pages_.is_committed(block + 61 * page_size));
    expect_filled(block, 60 * page_size + 5);
    expect_valid();
    EXPECT_EQ(reallocate(block, 99 * page_size), block) << "the address space was kept";
    expect_filled(block, 60 * page_size + 5);
    EXPECT_EQ(heap_.counters().live_bytes, 99 * page_size);
    expect_valid();
    for (size_t i = 61 * page_size; i < 99 * page_size; ++i)
        ASSERT_EQ(block[i], 0) << "fresh pages";
}

TEST_F(HeapReallocateTest, LargeBlocksThatGrowGetRoomToGrow) {
    unsigned char* block = filled(100 * page_size);
    unsigned char* moved = reallocate(block, 101 * page_size);
    EXPECT_NE(moved, block) << "the guard page is not for use";
    expect_filled(moved, 100 * page_size);
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    EXPECT_EQ(reallocate(moved, 140 * page_size), moved);
    EXPECT_FALSE(pages_.is_committed(moved + 140 * page_size));
    expect_filled(moved, 100 * page_size);
    expect_valid();
}

TEST_F(HeapReallocateTest, GrowsWithoutRoomWhereAddressSpaceIsScarce) {
    unsigned char* block = filled(100 * page_size);
    pages_.limit_address_space(pages_.reserved_bytes() + 110 * page_size);
    unsigned char* moved = reallocate(block, 105 * page_size);
    ASSERT_NE(moved, nullptr);
    expect_filled(moved, 100 * page_size);
    expect_valid();
}

TEST_F(HeapReallocateTest, LargeBlocksMoveTheirPagesWhereTheSourceCan) {
    pages_.allow_moves(true);
    unsigned char* block = filled(100 * page_size);
    const HeapCounters before = heap_.counters();
    unsigned char* moved = reallocate(block, 160 * page_size);
    EXPECT_EQ(pages_.moves(), 1u);
    expect_filled(moved, 100 * page_size);
    for (size_t i = 100 * page_size; i < 160 * page_size; ++i)
        ASSERT_EQ(moved[i], 0) << i;
    EXPECT_FALSE(pages_.is_committed(moved + 160 * page_size)) << "its guard";
    const HeapCounters after = heap_.counters();
    EXPECT_EQ(after.live_blocks, before.live_blocks);
    EXPECT_EQ(after.live_bytes, 160 * page_size);
    EXPECT_EQ(after.committed_bytes, before.committed_bytes + 60 * page_size);
    EXPECT_EQ(after.committed_bytes, pages_.committed_bytes());
    EXPECT_EQ(after.reserved_bytes, pages_.reserved_bytes());
    EXPECT_EQ(after.allocations, before.allocations + 1);
    EXPECT_EQ(after.frees, before.frees + 1);
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    EXPECT_EQ(reallocate(moved, 200 * page_size), moved) << "there was room to grow";
    EXPECT_EQ(pages_.moves(), 1u);
    expect_valid();
    moved[200 * page_size - 1] = 1;
    EXPECT_TRUE(heap_.try_free_sized(moved, 200 * page_size).ok());
}

TEST_F(HeapReallocateTest, PagesMoveWithoutRoomToGrowWhereAddressSpaceIsScarce) {
    pages_.allow_moves(true);
    unsigned char* block = filled(100 * page_size);
    pages_.limit_address_space(pages_.reserved_bytes() + 110 * page_size);
    unsigned char* moved = reallocate(block, 105 * page_size);
    EXPECT_EQ(pages_.moves(), 1u);
    expect_filled(moved, 100 * page_size);
    expect_valid();
}

TEST_F(HeapReallocateTest, WhenPagesCannotMoveNothingIsLost) {
    pages_.allow_moves(true);
    unsigned char* block = filled(100 * page_size);
    for (size_t call = 1; call < 20; ++call) {
        const HeapState before(heap_, pages_);
        pages_.fail_call(call);
        const auto result = heap_.reallocate(block, 150 * page_size);
        pages_.fail_call(0);
        expect_valid();
        if (result.ok()) {
            block = static_cast<unsigned char*>(*result);
            expect_filled(block, 100 * page_size);
            EXPECT_EQ(reallocate(block, 100 * page_size), block);
            continue;
        }
        EXPECT_TRUE(HeapState(heap_, pages_) == before);
        expect_filled(block, 100 * page_size);
    }
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    EXPECT_EQ(heap_.reallocate(block, 4000 * page_size).error(), Error::out_of_memory);
    expect_filled(block, 100 * page_size);
    expect_valid();
}

TEST_F(HeapReallocateTest, PagesThatCannotGoBackStayWithTheBlock) {
    unsigned char* block = filled(100 * page_size);
    pages_.refuse_decommit(true);
    EXPECT_EQ(reallocate(block, 50 * page_size), block);
    EXPECT_TRUE(pages_.is_committed(block + 60 * page_size));
    EXPECT_EQ(*heap_.usable_size(block), 50 * page_size);
    expect_valid();
    pages_.refuse_decommit(false);
    EXPECT_EQ(reallocate(block, 40 * page_size), block);
    EXPECT_FALSE(pages_.is_committed(block + 60 * page_size));
    expect_valid();
}

TEST_F(HeapReallocateTest, ShrinkingNeverFailsForWantOfMemory) {
    unsigned char* small = filled(1000);
    unsigned char* large = filled(100 * page_size);
    pages_.limit_pages(0);
    EXPECT_EQ(reallocate(small, 20), small);
    EXPECT_EQ(*heap_.usable_size(small), 20u);
    expect_filled(small, 20);
    EXPECT_EQ(reallocate(large, 20), large);
    EXPECT_EQ(*heap_.usable_size(large), 20u);
    expect_filled(large, 20);
    expect_valid();
    large[20] ^= 1;
    EXPECT_EQ(heap_.try_free(large).error(), Error::corrupted);
    large[20] ^= 1;
    EXPECT_TRUE(heap_.try_free(large).ok());
    EXPECT_TRUE(heap_.try_free(small).ok());
}

TEST_F(HeapReallocateTest, FailureLeavesTheBlockAsItWas) {
    unsigned char* small = filled(1000);
    unsigned char* large = filled(100 * page_size);
    const HeapState before(heap_, pages_);
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    for (size_t bytes : {size_t{5000}, 150 * page_size, SIZE_MAX / 2, SIZE_MAX}) {
        for (unsigned char* block : {small, large}) {
            if (block == large && bytes < 100 * page_size) continue;
            const auto result = heap_.reallocate(block, bytes);
            ASSERT_FALSE(result.ok());
            EXPECT_EQ(result.error(), Error::out_of_memory);
        }
    }
    EXPECT_TRUE(HeapState(heap_, pages_) == before);
    expect_filled(small, 1000);
    expect_filled(large, 100 * page_size);
    expect_valid();
}

TEST_F(HeapReallocateTest, FailsToGrowInPlaceWhenPagesRunOut) {
    unsigned char* block = filled(100 * page_size);
    block = reallocate(block, 120 * page_size);
    const HeapState before(heap_, pages_);
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    const auto result = heap_.reallocate(block, 140 * page_size);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error(), Error::out_of_memory);
    EXPECT_TRUE(HeapState(heap_, pages_) == before);
    expect_valid();
}

// A medium block needs more of the heap's books as well when it grows where it stands.
TEST(HeapReallocate, AMediumBlockThatCannotGrowLeavesTheBooksAsTheyWere) {
    HostPageSource pages;
    ThrowingPlatform platform;
    Heap heap;
    HeapOptions options;
    options.overrun_check = OverrunCheck::none;
    ASSERT_TRUE(heap.start(pages, platform, options).ok());
    // Its span ends among the first 512 slots, whose records take a page, and would end behind
    // them.
    heap.allocate(100).value();
    for (int i = 0; i < 7; ++i)
        heap.allocate(size_t{1} << 20).value();
    void* const block = heap.allocate(size_t{512} << 10).value();
    const HeapState before(heap, pages);
    for (size_t more = 1; more <= 8; ++more) {
        pages.limit_pages(pages.committed_bytes() / page_size + more);
        EXPECT_EQ(heap.reallocate(block, size_t{1} << 20).error(), Error::out_of_memory);
        EXPECT_TRUE(HeapState(heap, pages) == before) << more;
    }
    EXPECT_TRUE(heap.validate().ok());
    pages.limit_pages(SIZE_MAX);
    EXPECT_EQ(heap.reallocate(block, size_t{1} << 20).value(), block);
    EXPECT_GT(heap.counters().bookkeeping_bytes, before.counters.bookkeeping_bytes);
    heap.free(block);
    heap.stop();
}

TEST_F(HeapReallocateTest, ABlockWhoseRangeCannotGoBackDoesNotMove) {
    unsigned char* block = filled(100 * page_size);
    allocate(100);
    const HeapState before(heap_, pages_);
    pages_.refuse_release(true);
    const auto result = heap_.reallocate(block, 100);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error(), Error::out_of_nodes);
    const HeapCounters after = heap_.counters();
    EXPECT_EQ(after.live_blocks, before.counters.live_blocks);
    EXPECT_EQ(after.live_bytes, before.counters.live_bytes);
    EXPECT_EQ(pages_.committed_bytes(), before.committed);
    expect_filled(block, 100 * page_size);
    expect_valid();
    pages_.refuse_release(false);
}

TEST_F(HeapReallocateTest, MisuseIsAnErrorAndChangesNothing) {
    unsigned char* block = filled(100);
    unsigned char* freed = allocate(100);
    heap_.free(freed);
    int local = 0;
    EXPECT_EQ(heap_.reallocate(freed, 200).error(), Error::already_free);
    EXPECT_EQ(heap_.reallocate(&local, 200).error(), Error::foreign);
    EXPECT_EQ(heap_.reallocate(block + 16, 200).error(), Error::misaligned);
    block[100] ^= 1;
    EXPECT_EQ(heap_.reallocate(block, 200).error(), Error::corrupted);
    block[100] ^= 1;
    expect_filled(block, 100);
    EXPECT_EQ(heap_.counters().live_blocks, 1u);
    expect_valid();
}

}  // namespace
}  // namespace quire::test
