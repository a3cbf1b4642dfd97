// SPDX-License-Identifier: MIT
// Mechanisms that a heap has besides its checks: freed blocks that wait, cells in random order, and
// sampled blocks with pages of their own.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/per_cpu_heap.hpp"

namespace quire::test {
namespace {

using heap_internal::GuardedBlocks;

// ---- quarantine
// ----------------------------------------------------------------------------------

class QuarantineTest : public HeapTest {
  protected:
    void SetUp() override {
        HeapOptions options;
        options.quarantine_bytes = size_t{64} << 10;
        start(options);
    }
};

TEST_F(QuarantineTest, ABlockIsNotGivenOutRightAfterItWasFreed) {
    for (const size_t bytes : {8u, 60u, 500u, 1000u}) {
        unsigned char* const block = allocate(bytes);
        heap_.free(block);
        EXPECT_NE(allocate(bytes), block) << bytes;
    }
    expect_valid();
}

TEST_F(QuarantineTest, ABlockThatWaitsIsKnownToBeFree) {
    unsigned char* const block = allocate(60);
    heap_.free(block);
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    EXPECT_EQ(heap_.counters().live_bytes, 0u);
    EXPECT_EQ(heap_.counters().usable_bytes, 0u);
    expect_valid();
}

TEST_F(QuarantineTest, ItIsBounded) {
    std::set<unsigned char*> blocks;
    for (int i = 0; i < 1000; ++i) {
        unsigned char* const block = allocate(1000);
        blocks.insert(block);
        heap_.free(block);
    }
    EXPECT_LE(blocks.size(), heap_internal::Quarantine::places + 1u);
    // The time that a block waits is random: most places were taken.
    EXPECT_GT(blocks.size(), heap_internal::Quarantine::places / 2u);
    expect_valid();
}

TEST_F(QuarantineTest, BlocksThatAreTooLargeDoNotWait) {
    unsigned char* const block = allocate(3000);
    heap_.free(block);
    EXPECT_EQ(allocate(3000), block);
}

TEST_F(QuarantineTest, TrimSendsAllOfThemAway) {
    for (int i = 0; i < 40; ++i)
        heap_.free(allocate(500));
    heap_.trim();
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    EXPECT_EQ(heap_.counters().committed_bytes, heap_.counters().bookkeeping_bytes);
    expect_valid();
}

TEST_F(QuarantineTest, WhenPagesRunOutBlocksThatWaitAreUsed) {
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 60; ++i)
        blocks.push_back(allocate(1000));
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    while (heap_.allocate(1000).ok()) {
    }
    heap_.free(blocks.back());
    EXPECT_EQ(allocate(1000), blocks.back());
    expect_valid();
}

// ---- random placement
// ----------------------------------------------------------------------------

TEST_F(HeapTest, CellsComeInRandomOrder) {
    std::vector<std::vector<ptrdiff_t>> orders;
    for (const uint64_t seed : {1u, 2u}) {
        HeapOptions options;
        options.random_placement = true;
        options.seed = seed;
        start(options);
        // The span has memory for all of them.
        unsigned char* const first = allocate(64);
        std::vector<unsigned char*> blocks;
        for (int i = 0; i < 40; ++i)
            blocks.push_back(allocate(64));
        EXPECT_FALSE(std::is_sorted(blocks.begin(), blocks.end()));
        EXPECT_EQ(std::set<unsigned char*>(blocks.begin(), blocks.end()).size(), blocks.size());
        orders.emplace_back();
        for (unsigned char* const block : blocks)
            orders.back().push_back(block - first);
        expect_valid();
        heap_.stop();
    }
    EXPECT_NE(orders[0], orders[1]);
}

// ---- sampled blocks
// ------------------------------------------------------------------------------

class SampleTest : public HeapTest {
  protected:
    void SetUp() override { start(options()); }
    static HeapOptions options() {
        HeapOptions options;
        options.sample_interval = 1;
        options.guard_pages = false;
        return options;
    }
    static unsigned char* page_of(unsigned char* block) {
        return block - reinterpret_cast<uintptr_t>(block) % page_size;
    }
    bool is_sampled(unsigned char* block) {
        return !pages_.is_committed(page_of(block) - page_size) && pages_.is_committed(block) &&
               !pages_.is_committed(page_of(block) + page_size);
    }
};

TEST_F(SampleTest, ABlockHasAPageOfItsOwnBetweenTwoThatFault) {
    unsigned at_the_end = 0;
    std::vector<unsigned char*> blocks;
    for (size_t bytes = 1; bytes <= page_size; bytes = bytes * 3 + 1) {
        unsigned char* const block = allocate(bytes);
        EXPECT_TRUE(is_sampled(block)) << bytes;
        EXPECT_TRUE(is_aligned(block, 2 * sizeof(void*)));
        EXPECT_EQ(*heap_.usable_size(block), bytes);
        std::memset(block, 0x41, bytes);
        const auto left = static_cast<size_t>(page_of(block) + page_size - (block + bytes));
        at_the_end += left < 2 * sizeof(void*) ? 1 : 0;
        EXPECT_TRUE(left < 2 * sizeof(void*) || block == page_of(block));
        blocks.push_back(block);
    }
    EXPECT_GT(at_the_end, 0u);
    expect_valid();
    for (unsigned char* const block : blocks)
        EXPECT_TRUE(heap_.try_free(block).ok());
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    expect_valid();
}

TEST_F(SampleTest, AFreedBlocksPageGoesBackAtOnce) {
    unsigned char* const block = allocate(100);
    EXPECT_TRUE(heap_.try_free(block).ok());
    EXPECT_FALSE(pages_.is_committed(block));
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    // Its place is used again after all others.
    for (unsigned i = 1; i < GuardedBlocks::slots; ++i)
        EXPECT_NE(page_of(allocate(100)), page_of(block));
    EXPECT_EQ(page_of(allocate(100)), page_of(block));
}

TEST_F(SampleTest, WhenAllPlacesAreTakenBlocksAreAsOthers) {
    std::vector<unsigned char*> blocks;
    for (unsigned i = 0; i < GuardedBlocks::slots + 5; ++i)
        blocks.push_back(allocate(100));
    // The others share a page.
    std::set<unsigned char*> pages;
    for (unsigned char* const block : blocks)
        pages.insert(page_of(block));
    EXPECT_EQ(pages.size(), GuardedBlocks::slots + 1u);
    for (unsigned char* const block : blocks)
        EXPECT_TRUE(heap_.try_free(block).ok());
    expect_valid();
}

TEST_F(SampleTest, BadFreesAreKnownForWhatTheyAre) {
    unsigned char* const block = allocate(100);
    EXPECT_EQ(heap_.try_free(block + 16).error(), Error::misaligned);
    EXPECT_EQ(heap_.try_free(block + 200).error(), Error::foreign);
    EXPECT_EQ(heap_.try_free(page_of(block) - 1).error(), Error::foreign);
    EXPECT_EQ(heap_.try_free_sized(block, 99).error(), Error::bad_argument);
    for (unsigned char* const byte : {block + 100, block - 1}) {
        if (!pages_.is_committed(byte)) continue;
        *byte ^= 1;
        EXPECT_EQ(heap_.try_free(block).failure(), (Failure{Error::corrupted, value_of(byte)}));
        EXPECT_EQ(heap_.validate().failure(), (Failure{Error::corrupted, value_of(byte)}));
        *byte ^= 1;
    }
    EXPECT_TRUE(heap_.try_free_sized(block, 100).ok());
}

TEST_F(SampleTest, SizesAreKnownWhereOthersAreNot) {
    heap_.stop();
    HeapOptions unwatched = options();
    unwatched.overrun_check = OverrunCheck::none;
    start(unwatched);
    unsigned char* const block = allocate(100);
    EXPECT_EQ(*heap_.usable_size(block), 100u);
    EXPECT_EQ(heap_.try_free_sized(block, 99).error(), Error::bad_argument);
    EXPECT_TRUE(heap_.try_free_sized(block, 100).ok());
}

TEST_F(SampleTest, ReallocateKeepsContents) {
    unsigned char* block = allocate(100);
    std::memset(block, 0x41, 100);
    for (const size_t bytes : {200u, 3000u, 60u, 6000u, 10u}) {
        const size_t kept = std::min(*heap_.usable_size(block), bytes);
        block = static_cast<unsigned char*>(*heap_.reallocate(block, bytes));
        for (size_t i = 0; i < std::min(kept, size_t{10}); ++i)
            ASSERT_EQ(block[i], 0x41) << bytes;
        EXPECT_EQ(*heap_.usable_size(block), bytes);
        expect_valid();
    }
    EXPECT_TRUE(heap_.try_free(block).ok());
}

TEST_F(SampleTest, GetsSmallerWhereItIsWhenPagesHaveRunOut) {
    unsigned char* const block = allocate(100);
    while (heap_.counters().live_blocks < GuardedBlocks::slots)
        allocate(100);
    pages_.limit_pages(0);
    EXPECT_EQ(heap_.reallocate(block, 40).value(), block);
    EXPECT_EQ(*heap_.usable_size(block), 40u);
    expect_valid();
}

TEST_F(SampleTest, ZeroedBlocksAreZero) {
    for (int i = 0; i < 3; ++i) {
        auto* const block = static_cast<unsigned char*>(*heap_.allocate_zeroed(1000));
        for (size_t at = 0; at < 1000; ++at)
            ASSERT_EQ(block[at], 0);
        std::memset(block, 0x41, 1000);
        heap_.free(block);
    }
}

TEST_F(SampleTest, AnAlignmentIsKept) {
    for (size_t alignment = 1; alignment <= page_size; alignment *= 2) {
        unsigned char* const block = allocate_aligned(100, alignment);
        EXPECT_TRUE(is_sampled(block));
        EXPECT_TRUE(is_aligned(block, alignment)) << alignment;
        heap_.free(block);
    }
}

TEST_F(SampleTest, WithoutPagesBlocksAreAsOthers) {
    heap_.stop();
    for (size_t call = 1; call < 10; ++call) {
        start(options());
        pages_.fail_call(call);
        const Result<void*> block = heap_.allocate(100);
        // There is always another way.
        EXPECT_TRUE(block.ok()) << call;
        pages_.fail_call(0);
        expect_valid();
        if (block.ok()) heap_.free(*block);
        EXPECT_EQ(heap_.counters().live_blocks, 0u);
        expect_valid();
        heap_.stop();
    }
}

TEST_F(SampleTest, APageThatIsRefusedGoesBackLater) {
    unsigned char* const block = allocate(100);
    pages_.refuse_decommit(true);
    EXPECT_TRUE(heap_.try_free(block).ok());
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    EXPECT_EQ(heap_.try_free(block).error(), Error::already_free);
    expect_valid();
    pages_.refuse_decommit(false);
    heap_.trim();
    EXPECT_FALSE(pages_.is_committed(block));
    expect_valid();
}

TEST_F(SampleTest, AWalkShowsThem) {
    unsigned char* const block = allocate(100);
    std::vector<LiveBlock> seen;
    heap_.for_each_block([&](const LiveBlock& live) {
        seen.push_back(live);
        return true;
    });
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].address, block);
    EXPECT_EQ(seen[0].bytes, 100u);
}

TEST_F(SampleTest, AFaultIsExplained) {
    unsigned char* const block = allocate(100);
    unsigned char* const behind = page_of(block) + page_size;
    const Result<Report> beyond = heap_.explain_fault(value_of(behind));
    ASSERT_TRUE(beyond.ok());
    EXPECT_STREQ(beyond->what, "heap: memory behind a block was used");
    EXPECT_EQ(beyond->block, value_of(block));
    EXPECT_EQ(beyond->block_bytes, 100u);
    const Result<Report> before = heap_.explain_fault(value_of(page_of(block) - 1));
    ASSERT_TRUE(before.ok());
    EXPECT_STREQ(before->what, "heap: memory before a block was used");
    heap_.free(block);
    const Result<Report> late = heap_.explain_fault(value_of(block + 50));
    ASSERT_TRUE(late.ok());
    EXPECT_STREQ(late->what, "heap: a block was used after it was freed");
    EXPECT_EQ(late->address, value_of(block + 50));
    EXPECT_EQ(late->block, value_of(block));
    EXPECT_EQ(heap_.explain_fault(value_of(this)).error(), Error::foreign);
    // The next place was not used yet.
    EXPECT_EQ(heap_.explain_fault(value_of(page_of(block) + 2 * page_size)).error(),
              Error::foreign);
}

TEST_F(SampleTest, AFaultElsewhereIsOfNoBlock) {
    while (heap_.counters().live_blocks < GuardedBlocks::slots)
        allocate(100);
    for (const uintptr_t address : {uintptr_t{0}, value_of(this), UINTPTR_MAX})
        EXPECT_EQ(heap_.explain_fault(address).failure(), (Failure{Error::foreign, address}));
}

TEST_F(SampleTest, AFaultBehindALargeBlockIsExplained) {
    unsigned char* const block = allocate(100 * page_size);
    const Result<Report> beyond = heap_.explain_fault(value_of(block + 100 * page_size));
    ASSERT_TRUE(beyond.ok());
    EXPECT_STREQ(beyond->what, "heap: memory behind a block was used");
    EXPECT_EQ(beyond->block, value_of(block));
    // Where the block has memory, it was not the heap's doing.
    EXPECT_EQ(heap_.explain_fault(value_of(block + 100 * page_size - 1)).error(), Error::foreign);
}

TEST_F(SampleTest, AFaultInABlockThatLivesIsNotTheHeapsDoing) {
    unsigned char* const block = allocate(100);
    for (const unsigned char* at : {block, block + 99, page_of(block)})
        EXPECT_EQ(heap_.explain_fault(value_of(at)).error(), Error::foreign);
}

TEST_F(HeapTest, AFaultBehindWholePagesIsExplained) {
    start();
    unsigned char* const block = allocate(2 * page_size);
    const Result<Report> beyond = heap_.explain_fault(value_of(block + 2 * page_size + 7));
    ASSERT_TRUE(beyond.ok());
    EXPECT_STREQ(beyond->what, "heap: memory behind a block was used");
    EXPECT_EQ(beyond->block, value_of(block));
    EXPECT_EQ(beyond->block_bytes, 2 * page_size);
    unsigned char* const small = allocate(100);
    for (const unsigned char* at : {block, block + 2 * page_size - 1, small + 99, small + 5000})
        EXPECT_EQ(heap_.explain_fault(value_of(at)).error(), Error::foreign);
    heap_.free(block);
    EXPECT_EQ(heap_.explain_fault(value_of(block + 2 * page_size)).error(), Error::foreign);
}

TEST_F(HeapTest, AboutOneInSoManyIsSampled) {
    HeapOptions options;
    options.sample_interval = 50;
    start(options);
    unsigned sampled = 0;
    for (int i = 0; i < 5000; ++i) {
        unsigned char* const block = allocate(48);
        sampled += heap_.try_free(block).ok() && !pages_.is_committed(block) ? 1 : 0;
    }
    EXPECT_GT(sampled, 50u);
    EXPECT_LT(sampled, 200u);
}

TEST_F(HeapTest, ACpusNextAllocationCanBeSampled) {
    for (const OverrunCheck check : {OverrunCheck::none, OverrunCheck::every_block}) {
        HeapOptions options;
        options.overrun_check = check;
        options.sample_interval = UINT32_MAX;
        start(options);
        PerCpuHeap<Heap, SingleCpu>::Slot slots[1];
        PerCpuHeap<Heap, SingleCpu> front(heap_, slots);
        const auto is_sampled = [&] {
            auto* const block = static_cast<unsigned char*>(*front.allocate(48));
            EXPECT_TRUE(front.try_free(block).ok());
            return !pages_.is_committed(block);
        };
        is_sampled();  // the first one may be
        for (int i = 0; i < 100; ++i)
            EXPECT_FALSE(is_sampled());
        front.sample_next();
        EXPECT_TRUE(is_sampled());
        EXPECT_FALSE(is_sampled());
        front.drain();
        heap_.stop();
    }
}

}  // namespace
}  // namespace quire::test
