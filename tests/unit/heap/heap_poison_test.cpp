// SPDX-License-Identifier: MIT
// A heap that fills freed blocks: what they held is gone, and writes to them are found. Alone, and
// with blocks at hand in front.
#include <gtest/gtest.h>

#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/per_cpu_heap.hpp"
#include "quire/heap/poison.hpp"

namespace quire::test {
namespace {

class PoisonTest : public testing::TestWithParam<bool> {
  protected:
    using Front = PerCpuHeap<Heap, SingleCpu>;

    void SetUp() override {
        HeapOptions options;
        options.poison_freed = true;
        options.guard_pages = false;
        ASSERT_TRUE(heap_.start(pages_, platform_, options).ok());
    }
    void TearDown() override {
        front_.drain();
        heap_.stop();
        EXPECT_EQ(pages_.breaches(), 0u);
    }
    unsigned char* allocate(size_t bytes) {
        const Result<void*> block = try_allocate(bytes);
        EXPECT_TRUE(block.ok());
        return static_cast<unsigned char*>(block.value_or(nullptr));
    }
    Result<void*> try_allocate(size_t bytes) {
        return GetParam() ? front_.allocate(bytes) : heap_.allocate(bytes);
    }
    Status free(void* block) { return GetParam() ? front_.try_free(block) : heap_.try_free(block); }
    static constexpr size_t sizes[] = {1, 40, 64, 250, 255, 600, 1000, 1024, 3000, 4096, 30000};

    HostPageSource pages_;
    ThrowingPlatform platform_;
    Heap heap_;
    Front::Slot slots_[1];
    Front front_{heap_, slots_};
};

TEST_P(PoisonTest, FreedBlocksForgetWhatTheyHeld) {
    for (const size_t bytes : sizes) {
        unsigned char* keep = allocate(bytes);
        unsigned char* block = allocate(bytes);
        std::memset(block, 0x41, bytes);
        ASSERT_TRUE(free(block).ok());
        for (size_t i = 0; i < bytes; ++i)
            ASSERT_EQ(block[i], heap_internal::poison_byte) << bytes;
        EXPECT_TRUE(free(keep).ok());
    }
}

TEST_P(PoisonTest, AWriteToAFreeBlockIsFoundWhenItsTurnComes) {
    for (const size_t bytes : sizes) {
        for (const size_t at : {size_t{0}, bytes / 2, bytes - 1}) {
            unsigned char* keep = allocate(bytes);
            unsigned char* block = allocate(bytes);
            ASSERT_TRUE(free(block).ok());
            block[at] ^= 1;
            // By a walk over everything.
            const Status walked = heap_.validate();
            ASSERT_FALSE(walked.ok()) << bytes;
            EXPECT_EQ(walked.error(), Error::corrupted);
            // The block is given to nobody; those behind it are.
            std::vector<unsigned char*> blocks;
            bool found = false;
            for (int i = 0; i < 40 && !found; ++i) {
                const Result<void*> next = try_allocate(bytes);
                if (next.ok()) {
                    ASSERT_NE(*next, block);
                    blocks.push_back(static_cast<unsigned char*>(*next));
                    continue;
                }
                found = true;
                EXPECT_EQ(next.error(), Error::corrupted);
                EXPECT_LE(next.failure().where, value_of(block + at));
                EXPECT_GT(next.failure().where + sizeof(void*), value_of(block + at));
            }
            EXPECT_TRUE(found) << bytes << " at " << at;
            unsigned char* other = allocate(bytes);
            EXPECT_NE(other, block);
            EXPECT_TRUE(free(other).ok());
            EXPECT_TRUE(free(keep).ok());
            for (unsigned char* each : blocks)
                EXPECT_TRUE(free(each).ok());
            block[at] ^= 1;
        }
    }
}

TEST_P(PoisonTest, OverrunsAndUnderrunsAreFoundWhenTheBlockIsFreed) {
    for (const size_t bytes : sizes) {
        unsigned char* first = allocate(bytes);
        unsigned char* block = allocate(bytes);
        block[bytes] ^= 1;
        EXPECT_EQ(free(block).error(), Error::corrupted);
        block[bytes] ^= 1;
        // What lies before a block is watched with the one before it.
        unsigned char* upper = first < block ? block : first;
        unsigned char* lower = first < block ? first : block;
        if (static_cast<size_t>(upper - lower) < 2 * bytes + 32) {
            upper[-1] ^= 1;
            EXPECT_EQ(free(lower).error(), Error::corrupted) << bytes;
            upper[-1] ^= 1;
        }
        EXPECT_TRUE(heap_.validate().ok());
        EXPECT_TRUE(free(block).ok());
        EXPECT_TRUE(free(first).ok());
    }
}

TEST_P(PoisonTest, WhatABlockLosesIsNotSeenWhenItGrowsAgain) {
    for (const size_t bytes : {size_t{60}, size_t{3000}, size_t{100000}}) {
        unsigned char* block = allocate(bytes);
        std::memset(block, 0x41, bytes);
        block = static_cast<unsigned char*>(*heap_.reallocate(block, bytes - bytes / 3));
        block = static_cast<unsigned char*>(*heap_.reallocate(block, bytes));
        for (size_t i = bytes - bytes / 3; i < bytes; ++i)
            ASSERT_NE(block[i], 0x41) << bytes;
        EXPECT_TRUE(free(block).ok());
    }
}

TEST_P(PoisonTest, SizesStayExact) {
    for (const size_t bytes : sizes) {
        unsigned char* block = allocate(bytes);
        EXPECT_EQ(*heap_.usable_size(block), bytes);
        EXPECT_EQ(heap_.try_free_sized(block, bytes + 1).error(), Error::bad_argument);
        EXPECT_EQ(front_.counters().live_bytes, bytes);
        EXPECT_EQ(front_.counters().live_blocks, 1u);
        EXPECT_TRUE(free(block).ok());
        EXPECT_EQ(free(block).error(), Error::already_free);
        EXPECT_EQ(front_.counters().live_bytes, 0u);
    }
    EXPECT_TRUE(heap_.validate().ok());
}

INSTANTIATE_TEST_SUITE_P(AloneAndAtHand, PoisonTest, testing::Bool());

TEST(Poison, IsJudgedByWord) {
    alignas(16) unsigned char cell[64] = {};
    EXPECT_EQ(heap_internal::broken_poison(cell, sizeof cell), nullptr);
    cell[40] = 1;
    EXPECT_EQ(heap_internal::broken_poison(cell, sizeof cell), cell + 40);
    heap_internal::poison(cell, sizeof cell);
    EXPECT_EQ(heap_internal::broken_poison(cell, sizeof cell), nullptr);
    cell[63] = 0;
    EXPECT_EQ(heap_internal::broken_poison(cell, sizeof cell), cell + 64 - sizeof(void*));
    cell[0] = 0;
    EXPECT_EQ(heap_internal::broken_poison(cell, sizeof cell), cell);
}

}  // namespace
}  // namespace quire::test
