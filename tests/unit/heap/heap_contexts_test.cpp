// SPDX-License-Identifier: MIT
// Contexts: who may not wait gets what is at hand, and frees; whoever comes back to a heap that is
// calling its page source is refused. None of them ever reaches the page source, or a lock.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/per_cpu_heap.hpp"

namespace quire::test::heap_contexts_test {
namespace {

// Two CPUs that tests turn between by hand, and whether what they do now may wait.
struct ContextCpus {
    struct Pin {
        bool may_wait() const { return in_thread; }
    };
    static unsigned index() { return current; }
    static inline unsigned current = 0;
    static inline bool in_thread = true;
};

// Counts calls that nobody may make, and calls back in those that may be made.
class WatchedPages final : public PageSource {
  public:
    Result<void*> reserve(size_t bytes, size_t alignment) override {
        called();
        return pages.reserve(bytes, alignment);
    }
    Status commit(void* address, size_t bytes) override {
        called();
        return pages.commit(address, bytes);
    }
    Status decommit(void* address, size_t bytes) override {
        called();
        return pages.decommit(address, bytes);
    }
    Status release(void* address, size_t bytes) override {
        called();
        return pages.release(address, bytes);
    }

    HostPageSource pages;
    std::function<void()> on_call;
    size_t calls = 0;
    size_t forbidden_calls = 0;

  private:
    void called() {
        ++calls;
        if (!ContextCpus::in_thread) ++forbidden_calls;
        if (on_call) on_call();
    }
};

class HeapContexts : public testing::TestWithParam<OverrunCheck> {
  protected:
    using Front = PerCpuHeap<Heap, ContextCpus>;

    void SetUp() override {
        HeapOptions options;
        options.overrun_check = GetParam();
        ASSERT_TRUE(heap_.start(pages_, platform_, options).ok());
    }
    void TearDown() override {
        pages_.on_call = nullptr;
        ContextCpus::in_thread = true;
        for (unsigned cpu = 0; cpu < 2; ++cpu) {
            ContextCpus::current = cpu;
            front_.drain();
        }
        ContextCpus::current = 0;
        EXPECT_TRUE(heap_.validate().ok());
        EXPECT_EQ(front_.counters().live_blocks, 0u);
        heap_.stop();
        EXPECT_EQ(pages_.forbidden_calls, 0u);
        EXPECT_EQ(pages_.pages.breaches(), 0u);
        EXPECT_EQ(pages_.pages.reserved_bytes(), 0u);
    }

    void* allocate(size_t bytes) {
        const Result<void*> block = front_.allocate(bytes);
        EXPECT_TRUE(block.ok());
        return block.value_or(nullptr);
    }
    // Blocks of which some lie at hand afterwards.
    void warm(size_t bytes, unsigned count = 64) {
        std::vector<void*> blocks;
        for (unsigned i = 0; i < count; ++i)
            blocks.push_back(allocate(bytes));
        for (void* block : blocks)
            front_.free(block);
    }

    WatchedPages pages_;
    ThrowingPlatform platform_;
    Heap heap_;
    Front::Slot slots_[2];
    Front front_{heap_, slots_};
};

TEST_P(HeapContexts, WhoMayNotWaitIsRefusedWhatMayHaveTo) {
    void* const block = allocate(100);
    warm(100);
    const HeapCounters before = front_.counters();
    ContextCpus::in_thread = false;
    EXPECT_EQ(front_.allocate(100).error(), Error::busy);
    EXPECT_EQ(front_.allocate_aligned(100, 64).error(), Error::busy);
    EXPECT_EQ(front_.allocate_zeroed(100).error(), Error::busy);
    EXPECT_EQ(front_.reallocate(block, 200).error(), Error::busy);
    EXPECT_EQ(front_.reallocate(nullptr, 200).error(), Error::busy);
    EXPECT_EQ(front_.usable_size(block).error(), Error::busy);
    EXPECT_EQ(front_.trim(), 0u);
    front_.drain();
    EXPECT_EQ(front_.counters().live_blocks, before.live_blocks);
    EXPECT_EQ(front_.counters().allocations, before.allocations);
    ContextCpus::in_thread = true;
    front_.free(block);
}

TEST_P(HeapContexts, TryAllocateTakesOfSpansThatOtherCpusTakeOf) {
    void* const block = allocate(100);
    front_.free(allocate(100));
    ContextCpus::current = 1;
    ContextCpus::in_thread = false;
    const Result<void*> beside = front_.try_allocate(100);
    ASSERT_TRUE(beside.ok());
    EXPECT_EQ(value_of(*beside) / heap_internal::largest_span,
              value_of(block) / heap_internal::largest_span);
    front_.free(*beside);
    front_.free(block);
}

TEST_P(HeapContexts, CpusTakeCellsOfSpansOfTheirOwn) {
    std::vector<void*> blocks;
    std::set<uint64_t> spans[2];
    for (unsigned i = 0; i < 300; ++i) {
        ContextCpus::current = i % 2;
        blocks.push_back(allocate(512));
        spans[i % 2].insert(value_of(blocks.back()) / heap_internal::slot_bytes);
    }
    // With guards where pages are full, nothing lies at hand, and all take of the same.
    const bool apart = GetParam() != OverrunCheck::where_slack;
    for (const uint64_t span : spans[0])
        EXPECT_TRUE(!apart || spans[1].count(span) == 0);
    for (void* const block : blocks)
        front_.free(block);
}

TEST_P(HeapContexts, TryAllocateTakesWhatIsThereAndNoMore) {
    constexpr size_t sizes[] = {0, 16, 100, 1000, 1024, 3000, 4096, 20000};
    for (const size_t bytes : sizes)
        warm(bytes, 8);
    ContextCpus::in_thread = false;
    for (const size_t bytes : sizes) {
        std::vector<void*> blocks;
        for (;;) {
            const Result<void*> block = front_.try_allocate(bytes);
            if (!block.ok()) {
                EXPECT_EQ(block.error(), Error::out_of_memory);
                break;
            }
            std::memset(*block, 0x5A, bytes);
            blocks.push_back(*block);
        }
        EXPECT_GE(blocks.size(), bytes == 20000 ? 1u : 2u) << bytes;
        for (void* block : blocks)
            EXPECT_TRUE(front_.try_free(block).ok());
    }
    EXPECT_EQ(front_.try_allocate(SIZE_MAX).error(), Error::out_of_memory);
    EXPECT_EQ(front_.try_allocate(size_t{1} << 20).error(), Error::out_of_memory);
}

TEST_P(HeapContexts, TryAllocateAlignsAndZeroes) {
    void* const dirty = allocate(200);
    std::memset(dirty, 0xFF, 200);
    warm(256);
    warm(200);
    front_.free(dirty);
    ContextCpus::in_thread = false;
    EXPECT_EQ(front_.try_allocate_aligned(64, 0).error(), Error::bad_argument);
    EXPECT_EQ(front_.try_allocate_aligned(64, 3).error(), Error::bad_argument);
    const Result<void*> aligned = front_.try_allocate_aligned(200, 256);
    const Result<void*> zeroed = front_.try_allocate_zeroed(200);
    // A watched heap serves one of the two from another class, which has nothing.
    ASSERT_TRUE(zeroed.ok());
    for (size_t i = 0; i < 200; ++i)
        ASSERT_EQ(static_cast<unsigned char*>(*zeroed)[i], 0);
    front_.free(*zeroed);
    if (aligned.ok()) {
        EXPECT_TRUE(is_aligned(*aligned, 256));
        front_.free(*aligned);
    }
    ContextCpus::in_thread = true;
    EXPECT_EQ(front_.allocate_aligned(64, 0).error(), Error::bad_argument);
}

TEST_P(HeapContexts, FreesWaitForNobody) {
    std::vector<void*> blocks;
    for (int i = 0; i < 4000; ++i)
        blocks.push_back(allocate(static_cast<size_t>(i % 700)));
    ContextCpus::in_thread = false;
    const size_t calls = pages_.calls;
    for (size_t i = 0; i < blocks.size(); ++i) {
        ASSERT_TRUE(
            (i % 2 == 0 ? front_.try_free(blocks[i]) : front_.try_free_sized(blocks[i], i % 700))
                .ok())
            << i;
        if (i % 16 == 0) {
            EXPECT_EQ(front_.try_free(blocks[i]).error(), Error::already_free);
        }
    }
    EXPECT_EQ(pages_.calls, calls);
    EXPECT_EQ(front_.counters().live_blocks, 0u);
    EXPECT_TRUE(heap_.validate().ok());
    const size_t committed = pages_.pages.committed_bytes();
    // A thread that frees, or allocates, gives back what is more than the cache keeps.
    ContextCpus::in_thread = true;
    front_.free(allocate(3000));
    EXPECT_LT(pages_.pages.committed_bytes(), committed);
}

TEST_P(HeapContexts, LargeBlocksGoBackWithTheNextCallOfAThread) {
    constexpr size_t bytes = size_t{3} << 20;
    void* const block = allocate(bytes);
    const size_t committed = pages_.pages.committed_bytes();
    ContextCpus::in_thread = false;
    front_.free(block);
    EXPECT_EQ(front_.counters().live_blocks, 0u);
    EXPECT_EQ(front_.counters().cached_bytes, bytes);
    EXPECT_EQ(pages_.pages.committed_bytes(), committed);
    EXPECT_EQ(front_.try_free(block).error(), Error::already_free);
    EXPECT_TRUE(heap_.validate().ok());
    ContextCpus::in_thread = true;
    // While the source refuses, it stays owed.
    pages_.pages.refuse_release(true);
    front_.free(allocate(100));
    EXPECT_GE(pages_.pages.committed_bytes(), committed);
    pages_.pages.refuse_release(false);
    front_.free(allocate(5000));
    EXPECT_LT(pages_.pages.committed_bytes(), committed - bytes / 2);
    EXPECT_LT(front_.counters().cached_bytes, bytes);
}

TEST_P(HeapContexts, WhatCannotBeFreedAtOnceIsQueuedAndJudgedLater) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i <= heap_internal::CpuPart::most_deferred; ++i)
        blocks.push_back(allocate(100000));
    void* const small = allocate(64);
    int on_the_stack = 0;
    heap_.lock_for_fork();  // somebody else's, for a while
    ContextCpus::in_thread = false;
    EXPECT_TRUE(front_.try_free(&on_the_stack).ok());
    for (unsigned i = 1; i + 1 < blocks.size(); ++i)
        EXPECT_TRUE(front_.try_free(blocks[i]).ok());
    EXPECT_EQ(front_.try_free(blocks[0]).error(), Error::too_many);
    EXPECT_EQ(front_.try_allocate(50000).error(), Error::busy);
    ContextCpus::in_thread = true;
    heap_.unlock_after_fork();
    EXPECT_EQ(front_.counters().live_blocks, blocks.size() + 1);
    Report report{};
    try {
        front_.free(allocate(9000));
    } catch (const Panic& panic) {
        report = panic.report;
    }
    EXPECT_EQ(report.error, Error::foreign);
    EXPECT_EQ(report.address, value_of(&on_the_stack));
    front_.free(small);
    front_.free(blocks.front());
    front_.free(blocks.back());
}

// Every call of the page source comes back to the heap with everything there is to call.
TEST_P(HeapContexts, AHeapInsideItsPageSourceIsNotEnteredAgain) {
    std::vector<void*> spare;
    for (int i = 0; i < 100; ++i) {
        spare.push_back(allocate(40));
        spare.push_back(allocate(300000));
    }
    void* const kept = allocate(500);
    warm(48);
    size_t entered = 0;
    size_t refused = 0;  // when too many wait
    pages_.on_call = [&] {
        const auto on_call = std::exchange(pages_.on_call, nullptr);
        ++entered;
        EXPECT_EQ(front_.allocate(200000).error(), Error::busy);
        EXPECT_EQ(front_.allocate_aligned(100, 64).error(), Error::busy);
        EXPECT_EQ(front_.allocate_zeroed(100).error(), Error::busy);
        EXPECT_EQ(front_.reallocate(kept, 200).error(), Error::busy);
        EXPECT_EQ(front_.usable_size(kept).error(), Error::busy);
        EXPECT_EQ(front_.try_allocate(100000).error(), Error::busy);
        EXPECT_EQ(front_.trim(), 0u);
        if (!spare.empty()) {
            const Status freed = front_.try_free(spare.back());
            if (freed.ok()) spare.pop_back();
            refused += freed.ok() ? 0 : 1;
        }
        pages_.on_call = on_call;
    };
    std::vector<void*> blocks;
    for (int i = 0; i < 60; ++i)
        blocks.push_back(allocate(static_cast<size_t>(i) * 700));
    for (int i = 0; i < 60; i += 2) {
        const Result<void*> moved = front_.reallocate(blocks[static_cast<size_t>(i)], 150000);
        ASSERT_TRUE(moved.ok());
        blocks[static_cast<size_t>(i)] = *moved;
    }
    for (void* block : blocks)
        front_.free(block);
    front_.trim();
    pages_.on_call = nullptr;
    EXPECT_GT(entered, 100u);
    EXPECT_LT(refused, entered);
    for (void* block : spare)
        front_.free(block);
    front_.free(kept);
    EXPECT_EQ(front_.counters().live_blocks, 0u);
}

// The same of a heap with nothing in front, and from one into the other.
TEST_P(HeapContexts, AHeapAloneIsNotEnteredAgainEither) {
    void* const kept = heap_.allocate(500).value();
    heap_internal::CpuBlocks& cpu = slots_[0].value;
    size_t entered = 0;
    pages_.on_call = [&] {
        const auto on_call = std::exchange(pages_.on_call, nullptr);
        ++entered;
        EXPECT_EQ(heap_.start(pages_, platform_).error(), Error::busy);
        heap_.stop();
        EXPECT_EQ(heap_.allocate(10).error(), Error::busy);
        EXPECT_EQ(heap_.allocate_aligned(100, 64).error(), Error::busy);
        EXPECT_EQ(heap_.allocate_zeroed(100).error(), Error::busy);
        EXPECT_EQ(heap_.reallocate(kept, 200).error(), Error::busy);
        EXPECT_EQ(heap_.try_free(kept).error(), Error::busy);
        EXPECT_EQ(heap_.try_free_sized(kept, 500).error(), Error::busy);
        EXPECT_EQ(heap_.usable_size(kept).error(), Error::busy);
        EXPECT_EQ(heap_.trim(), 0u);
        EXPECT_EQ(heap_.age(), 0u);
        EXPECT_GE(heap_.counters().live_blocks, 1u);
        heap_.for_each_block([](const LiveBlock&) {
            ADD_FAILURE() << "a block was shown";
            return true;
        });
        EXPECT_EQ(heap_.validate().error(), Error::busy);
        EXPECT_EQ(heap_.late_refusals(), 0u);
        EXPECT_EQ(heap_.explain_fault(value_of(kept)).error(), Error::busy);
        EXPECT_EQ(heap_.allocate_for(cpu, 10, heap_internal::Fill::none).error(), Error::busy);
        EXPECT_EQ(heap_.allocate_aligned_for(cpu, 10, 16, heap_internal::Fill::none).error(),
                  Error::busy);
        EXPECT_EQ(heap_.try_free_for(cpu, kept).error(), Error::busy);
        EXPECT_EQ(heap_.try_free_sized_for(cpu, kept, 500, 1).error(), Error::busy);
        heap_.drain(cpu);
        EXPECT_EQ(heap_.age_for(cpu), 0u);
        EXPECT_EQ(heap_.trim_for(cpu), 0u);
        EXPECT_EQ(front_.allocate(300000).error(), Error::busy);
        try {
            heap_.free(kept);
            ADD_FAILURE() << "a block was freed";
        } catch (const Panic& panic) {
            EXPECT_EQ(panic.report.error, Error::busy);
            EXPECT_EQ(panic.report.address, value_of(kept));
        }
        pages_.on_call = on_call;
    };
    heap_.free(heap_.allocate(3000000).value());
    heap_.free(heap_.reallocate(heap_.allocate(9000).value(), 100000).value());
    heap_.trim();
    EXPECT_GT(entered, 5u);
    // What one of them has begun is not entered through the other.
    entered = 0;
    front_.free(allocate(5000000));
    EXPECT_GT(entered, 2u);
    pages_.on_call = nullptr;
    EXPECT_TRUE(heap_.try_free(kept).ok());
}

// Two threads are not one: who waits for a page source that another calls gets its block.
TEST_P(HeapContexts, OthersWaitForWhoeverCallsThePageSource) {
    void* block = nullptr;
    std::thread other;
    pages_.on_call = [&] {
        if (other.joinable()) return;
        other = std::thread([&] { block = heap_.allocate(100).value_or(nullptr); });
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(block, nullptr);
    };
    heap_.free(heap_.allocate(3000000).value());
    other.join();
    pages_.on_call = nullptr;
    EXPECT_TRUE(heap_.try_free(block).ok());
}

TEST_P(HeapContexts, AQueueThatIsFullIsToldOfWithoutTheLock) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i <= heap_internal::CpuPart::most_deferred; ++i)
        blocks.push_back(allocate(100000));
    heap_.lock_for_fork();
    ContextCpus::in_thread = false;
    for (unsigned i = 0; i + 1 < blocks.size(); ++i)
        front_.free(blocks[i]);
    try {
        front_.free(blocks.back());
        ADD_FAILURE() << "nothing was reported";
    } catch (const Panic& panic) {
        EXPECT_EQ(panic.report.error, Error::too_many);
        EXPECT_EQ(panic.report.address, value_of(blocks.back()));
    }
    ContextCpus::in_thread = true;
    heap_.unlock_after_fork();
    front_.free(blocks.back());
}

TEST_P(HeapContexts, SeveralLargeBlocksWaitTogether) {
    std::vector<void*> blocks;
    for (int i = 0; i < 5; ++i)
        blocks.push_back(allocate(size_t{1} << 20));
    const size_t committed = pages_.pages.committed_bytes();
    ContextCpus::in_thread = false;
    for (void* block : blocks)
        front_.free(block);
    EXPECT_TRUE(heap_.validate().ok());
    ContextCpus::in_thread = true;
    front_.free(allocate(40000));
    EXPECT_TRUE(heap_.validate().ok());
    EXPECT_LT(pages_.pages.committed_bytes(), committed - (size_t{4} << 20));
}

TEST_P(HeapContexts, BatchesAreWholeOrNothing) {
    void* blocks[100] = {};
    for (const size_t bytes : {size_t{24}, size_t{700}, size_t{9000}, size_t{100000}}) {
        ASSERT_TRUE(front_.allocate_batch(bytes, blocks).ok());
        std::set<void*> distinct(std::begin(blocks), std::end(blocks));
        EXPECT_EQ(distinct.size(), 100u);
        for (void* block : blocks)
            std::memset(block, 0x3C, bytes);
        EXPECT_EQ(front_.counters().live_blocks, 100u);
        front_.free_batch(blocks);
        EXPECT_EQ(front_.counters().live_blocks, 0u);
        // Not enough pages for all of them.
        front_.trim();
        pages_.pages.limit_pages(pages_.pages.committed_bytes() / page_size +
                                 90 * bytes / page_size);
        EXPECT_EQ(front_.allocate_batch(bytes, blocks).error(), Error::out_of_memory);
        EXPECT_EQ(front_.counters().live_blocks, 0u);
        for (void* block : blocks)
            EXPECT_EQ(block, nullptr);
        pages_.pages.limit_pages(SIZE_MAX);
    }
    warm(24);
    ContextCpus::in_thread = false;
    EXPECT_EQ(front_.allocate_batch(24, blocks).error(), Error::busy);
    ContextCpus::in_thread = true;
    ASSERT_TRUE(front_.allocate_batch(24, blocks).ok());
    // One of them twice: those before it are free, the rest still live.
    std::swap(blocks[50], blocks[99]);
    void* const last = blocks[99];
    blocks[99] = blocks[0];
    EXPECT_THROW(front_.free_batch(blocks), Panic);
    front_.free(last);
}

TEST_P(HeapContexts, BothCpusGiveBackWhatTheyKeepWhenAskedTo) {
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        ContextCpus::current = cpu;
        warm(64, 5000);
        warm(1000, 500);
    }
    const size_t committed = pages_.pages.committed_bytes();
    ContextCpus::in_thread = false;
    front_.request_trim();
    EXPECT_EQ(pages_.pages.committed_bytes(), committed);
    ContextCpus::in_thread = true;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        ContextCpus::current = cpu;
        front_.free(allocate(30000));
    }
    EXPECT_LT(pages_.pages.committed_bytes(), committed);
    EXPECT_LE(heap_.counters().live_blocks, 2u);  // the ones that each has freed since
    // Once.
    const size_t calls = pages_.calls;
    front_.free(allocate(30000));
    front_.free(allocate(30000));
    EXPECT_EQ(pages_.calls, calls);
}

TEST(HeapTrimRequest, IsHeardByTheNextCall) {
    using Use = std::function<void(Heap&)>;
    const Use uses[] = {
        [](Heap& heap) { EXPECT_TRUE(heap.allocate(10).ok()); },
        [](Heap& heap) { EXPECT_TRUE(heap.allocate_aligned(10, 64).ok()); },
        [](Heap& heap) { EXPECT_TRUE(heap.allocate_zeroed(10).ok()); },
        [](Heap& heap) { heap.free(nullptr); },
        [](Heap& heap) { EXPECT_TRUE(heap.try_free(nullptr).ok()); },
    };
    for (const Use& use : uses) {
        HostPageSource pages;
        ThrowingPlatform platform;
        Heap heap;
        ASSERT_TRUE(heap.start(pages, platform).ok());
        heap.free(heap.allocate(3000).value());
        EXPECT_NE(heap.counters().cached_bytes, 0u);
        heap.request_trim();
        EXPECT_NE(heap.counters().cached_bytes, 0u);
        use(heap);
        EXPECT_EQ(heap.counters().cached_bytes, 0u);
        heap.stop();
    }
}

struct Counted {
    static int disable() { return depth++; }
    static void restore(int before) { depth = before; }
    static inline int depth = 0;
};

TEST(ExcludingLock, IsTriedWithoutWaiting) {
    ExcludingLock<Counted> lock;
    ASSERT_TRUE(lock.try_lock());
    EXPECT_EQ(Counted::depth, 1);
    EXPECT_FALSE(lock.try_lock());
    EXPECT_EQ(Counted::depth, 1);
    lock.unlock();
    EXPECT_EQ(Counted::depth, 0);
}

INSTANTIATE_TEST_SUITE_P(Checks, HeapContexts,
                         testing::Values(OverrunCheck::none, OverrunCheck::where_slack,
                                         OverrunCheck::every_block));

}  // namespace
}  // namespace quire::test::heap_contexts_test
