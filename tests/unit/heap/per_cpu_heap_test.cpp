// SPDX-License-Identifier: MIT
// Blocks at hand: what CPUs keep, exchange and give back, and that no bad free gets past them.
#include "quire/heap/per_cpu_heap.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

// Tests turn from CPU to CPU by hand.
struct TurnedCpus {
    struct Pin {};
    static unsigned index() { return current; }
    static inline unsigned current = 0;
};

class PerCpuHeapTest : public testing::Test {
  protected:
    using Front = PerCpuHeap<Heap, TurnedCpus>;

    void SetUp() override { restart({}); }
    void restart(HeapOptions options) {
        options.overrun_check = OverrunCheck::none;
        for (Front::Slot& slot : slots_)
            heap_.drain(slot.value);
        heap_.stop();
        for (Front::Slot& slot : slots_)
            std::construct_at(&slot);
        ASSERT_TRUE(heap_.start(pages_, platform_, options).ok());
    }
    void TearDown() override {
        drain_all();
        EXPECT_TRUE(heap_.validate().ok());
        EXPECT_EQ(heap_.late_refusals(), 0u);
        heap_.stop();
        EXPECT_EQ(pages_.committed_bytes(), 0u);
        EXPECT_EQ(pages_.breaches(), 0u);
        TurnedCpus::current = 0;
    }
    void drain_all() {
        for (unsigned cpu = 0; cpu < 3; ++cpu)
            on(cpu).drain();
    }
    Front& on(unsigned cpu) {
        TurnedCpus::current = cpu;
        return front_;
    }
    unsigned char* allocate(size_t bytes) {
        const Result<void*> block = front_.allocate(bytes);
        EXPECT_TRUE(block.ok());
        return static_cast<unsigned char*>(block.value_or(nullptr));
    }
    void expect_misuse(void* block, Error error) {
        const size_t live = front_.counters().live_blocks;
        const Status status = front_.try_free(block);
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error(), error);
        try {
            front_.free(block);
            ADD_FAILURE() << "no report";
        } catch (const Panic& panic) {
            EXPECT_EQ(panic.report.error, error);
            EXPECT_EQ(panic.report.address, value_of(block));
        }
        EXPECT_EQ(front_.counters().live_blocks, live);
    }

    HostPageSource pages_;
    ThrowingPlatform platform_;
    Heap heap_;
    Front::Slot slots_[3];
    Front front_{heap_, slots_};
};

TEST_F(PerCpuHeapTest, GivesDistinctBlocksOfEverySize) {
    std::set<unsigned char*> blocks;
    for (size_t bytes = 0; bytes < 3000; ++bytes) {
        unsigned char* block = allocate(bytes);
        ASSERT_TRUE(is_aligned(block, heap_internal::granule));
        ASSERT_TRUE(blocks.insert(block).second);
        ASSERT_GE(*front_.usable_size(block), bytes);
        std::memset(block, static_cast<int>(bytes), bytes);
    }
    EXPECT_EQ(front_.counters().live_blocks, 3000u);
    for (unsigned char* block : blocks) {
        const size_t size = *front_.usable_size(block);
        ASSERT_TRUE(front_.try_free(block).ok()) << size;
    }
    EXPECT_EQ(front_.counters().live_blocks, 0u);
    EXPECT_EQ(front_.counters().live_bytes, 0u);
    EXPECT_EQ(front_.counters().usable_bytes, 0u);
}

TEST_F(PerCpuHeapTest, WhatIsFreedLastComesFirst) {
    unsigned char* first = allocate(64);
    unsigned char* second = allocate(64);
    front_.free(first);
    front_.free(second);
    EXPECT_EQ(allocate(64), second);
    EXPECT_EQ(allocate(60), first);
    front_.free(first);
    front_.free(second);
}

TEST_F(PerCpuHeapTest, FreshBlocksAscend) {
    unsigned char* before = allocate(64);
    for (int i = 0; i < 200; ++i) {
        unsigned char* next = allocate(64);
        ASSERT_EQ(next, before + 64);
        before = next;
    }
    for (int i = 0; i <= 200; ++i)
        front_.free(before - i * 64);
}

TEST_F(PerCpuHeapTest, CallsOfThePageSourceAreFew) {
    front_.free(allocate(64));
    const size_t calls = pages_.calls();
    for (int i = 0; i < 1000; ++i)
        front_.free(allocate(64));
    EXPECT_EQ(pages_.calls(), calls);
}

TEST(PerCpuHeapStartTest, NothingComesFromAHeapThatHasNotStarted) {
    Heap heap;
    heap_internal::CpuBlocks blocks;
    PerCpuHeap<Heap, TurnedCpus>::Slot slot;
    PerCpuHeap<Heap, TurnedCpus> front(heap, Span(&slot, 1));
    EXPECT_EQ(front.try_allocate(64).failure(), Failure{Error::bad_argument});
    EXPECT_EQ(front.allocate(64).failure(), Failure{Error::bad_argument});
    const auto none = heap_internal::Fill::none;
    for (const size_t bytes :
         {size_t{1}, size_t{64}, size_t{5000}, size_t{100000}, size_t{2} << 20})
        EXPECT_EQ(heap.allocate_aligned_for(blocks, bytes, 16, none).failure(),
                  Failure{Error::bad_argument});
}

TEST_F(PerCpuHeapTest, AlignmentsArePowersOfTwo) {
    heap_internal::CpuBlocks blocks;
    const auto none = heap_internal::Fill::none;
    EXPECT_EQ(heap_.allocate_aligned_for(blocks, 64, 48, none).failure(),
              (Failure{Error::bad_argument, 48}));
}

TEST_F(PerCpuHeapTest, EveryBadFreeIsRefused) {
    for (size_t bytes : {size_t{1}, size_t{64}, size_t{1000}, size_t{5000}, size_t{30000}}) {
        unsigned char* keep = allocate(bytes);
        unsigned char* block = allocate(bytes);
        for (size_t offset : {size_t{1}, size_t{8}, size_t{16}, bytes / 2, bytes - 1})
            if (offset != 0 && offset < *front_.usable_size(block))
                expect_misuse(block + offset, Error::misaligned);
        front_.free(block);
        expect_misuse(block, Error::already_free);  // in this CPU's array
        TurnedCpus::current = 1;
        expect_misuse(block, Error::already_free);  // in another's
        TurnedCpus::current = 0;
        drain_all();
        TurnedCpus::current = 0;
        expect_misuse(block, Error::already_free);  // back in its span
        front_.free(keep);
        drain_all();
        TurnedCpus::current = 0;
        heap_.trim();
        expect_misuse(block, Error::already_free);  // its span gone
    }
    int local = 0;
    expect_misuse(&local, Error::foreign);
    expect_misuse(reinterpret_cast<void*>(16), Error::foreign);
    expect_misuse(reinterpret_cast<void*>(UINTPTR_MAX - 15), Error::foreign);
    unsigned char* block = allocate(64);
    expect_misuse(block + 8 * heap_internal::slot_bytes, Error::foreign);
    expect_misuse(block + (size_t{64} << 20) + page_size, Error::foreign);  // the bookkeeping
    front_.free(block);
    front_.free(nullptr);
    EXPECT_TRUE(front_.try_free(nullptr).ok());
}

TEST_F(PerCpuHeapTest, TheRestBehindTheLastCellIsNoBlock) {
    // 16384 is no multiple of 48, 112 and so on.
    for (unsigned index = 0; index < heap_internal::ordinary_classes; ++index) {
        const heap_internal::SizeClass& shape = heap_internal::size_classes.entries[index];
        const size_t behind = size_t{shape.cells} * shape.stride;
        if (behind == shape.span_bytes()) continue;
        unsigned char* first = allocate(shape.cell_bytes);
        auto* span = reinterpret_cast<unsigned char*>(value_of(first) & ~(shape.span_bytes() - 1));
        EXPECT_FALSE(front_.try_free(span + behind).ok()) << shape.cell_bytes;
        front_.free(first);
    }
}

TEST_F(PerCpuHeapTest, BlocksTravelBetweenCpus) {
    // One CPU allocates and another frees, far more than arrays and depot hold.
    const size_t limit = size_t{64} << 10;
    for (int round = 0; round < 30; ++round) {
        std::vector<unsigned char*> blocks;
        on(0);
        for (int i = 0; i < 1000; ++i)
            blocks.push_back(allocate(64));
        on(1);
        for (unsigned char* block : blocks)
            front_.free(block);
    }
    EXPECT_EQ(front_.counters().live_blocks, 0u);
    EXPECT_LE(heap_.counters().usable_bytes, 1000 * 64 + limit);
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(PerCpuHeapTest, TheHeapBehindTakesAndGivesTheSameBlocks) {
    unsigned char* from_front = allocate(100);
    auto* from_heap = static_cast<unsigned char*>(*heap_.allocate(100));
    EXPECT_TRUE(heap_.try_free(from_front).ok());
    EXPECT_TRUE(front_.try_free(from_heap).ok());
    expect_misuse(from_front, Error::already_free);
    EXPECT_EQ(heap_.try_free(from_heap).error(), Error::already_free);
    EXPECT_EQ(front_.counters().live_blocks, 0u);
}

TEST_F(PerCpuHeapTest, WrongSizesAreRefused) {
    const size_t sizes[] = {20, 64, 1000, 3000, 20000, 100000, 900000, 3000000};
    for (const size_t bytes : sizes) {
        for (const size_t alignment : {size_t{1}, size_t{64}, page_size}) {
            const auto expect_told = [&](void* block) {
                const auto expect_refused = [&](size_t wrong) {
                    const Status status = front_.try_free_sized(block, wrong, alignment);
                    ASSERT_FALSE(status.ok()) << bytes << " as " << wrong;
                    EXPECT_EQ(status.error(), Error::bad_argument);
                };
                expect_refused(bytes / 2);
                expect_refused(bytes * 2);
                for (const size_t more : {1u, 7u, 16u, 64u, 128u, 512u, 4096u, 65536u}) {
                    expect_refused(bytes + more);
                    if (bytes >= more) expect_refused(bytes - more);
                }
                EXPECT_TRUE(front_.try_free_sized(block, bytes, alignment).ok());
                EXPECT_EQ(front_.try_free_sized(block, bytes, alignment).error(),
                          Error::already_free);
            };
            expect_told(front_.allocate_aligned(bytes, alignment).value_or(nullptr));
            expect_told(heap_.allocate_aligned(bytes, alignment).value_or(nullptr));
        }
    }
}

TEST_F(PerCpuHeapTest, AlignedAndZeroedBlocks) {
    for (size_t alignment = 1; alignment <= 4 * page_size; alignment *= 2) {
        for (size_t bytes : {size_t{1}, size_t{24}, size_t{200}, size_t{3000}}) {
            const Result<void*> block = front_.allocate_aligned(bytes, alignment);
            ASSERT_TRUE(block.ok());
            EXPECT_TRUE(is_aligned(*block, alignment));
            std::memset(*block, 0xaa, bytes);
            front_.free(*block);
            auto* zeroed = static_cast<unsigned char*>(*front_.allocate_zeroed(bytes));
            for (size_t i = 0; i < bytes; ++i)
                ASSERT_EQ(zeroed[i], 0);
            front_.free(zeroed);
        }
    }
    EXPECT_EQ(front_.allocate_aligned(8, 3).error(), Error::bad_argument);
}

TEST_F(PerCpuHeapTest, ReallocateKeepsContents) {
    unsigned char* block = allocate(10);
    size_t held = 10;
    std::memset(block, 7, held);
    for (const int size : {20, 64, 1000, 40000, 200000, 3000, 1, 500}) {
        const auto bytes = static_cast<size_t>(size);
        block = static_cast<unsigned char*>(*front_.reallocate(block, bytes));
        for (size_t i = 0; i < (bytes < held ? bytes : held); ++i)
            ASSERT_EQ(block[i], 7);
        std::memset(block, 7, bytes);
        held = bytes;
    }
    front_.free(block);
}

TEST_F(PerCpuHeapTest, MediumBlocksStayWithTheirCpu) {
    HeapOptions options;
    options.cached_bytes = size_t{16} << 20;
    restart(options);
    for (const size_t bytes : {size_t{36000}, size_t{70000}, size_t{300000}, size_t{1} << 20}) {
        unsigned char* block = allocate(bytes);
        std::memset(block, 0x41, bytes);
        EXPECT_GE(*front_.usable_size(block), bytes);
        for (const size_t inside : {size_t{1}, size_t{16}, heap_internal::slot_bytes, bytes - 1})
            expect_misuse(block + inside, Error::misaligned);
        front_.free(block);
        for (const size_t inside : {size_t{0}, heap_internal::slot_bytes})
            expect_misuse(block + inside, inside == 0 ? Error::already_free : Error::misaligned);
        const size_t calls = pages_.calls();
        const uint64_t asked = heap_.counters().allocations;
        EXPECT_EQ(allocate(bytes - 100), block);
        EXPECT_EQ(pages_.calls(), calls);
        EXPECT_EQ(heap_.counters().allocations, asked) << "the heap behind was asked";
        front_.free(block);
        auto* zeroed = static_cast<unsigned char*>(*front_.allocate_zeroed(bytes));
        for (size_t i = 0; i < bytes; ++i)
            ASSERT_EQ(zeroed[i], 0);
        // Another CPU takes it back, and has it from then on.
        on(1).free(zeroed);
        EXPECT_EQ(on(1).allocate(bytes).value(), zeroed);
        on(0).free(zeroed);
        EXPECT_TRUE(heap_.validate().ok());
    }
    EXPECT_EQ(front_.counters().live_blocks, 0u);
    EXPECT_EQ(front_.counters().live_bytes, 0u);
}

TEST_F(PerCpuHeapTest, MediumBlocksAtHandAreBounded) {
    HeapOptions options;
    options.cached_bytes = size_t{1} << 20;
    restart(options);
    std::vector<unsigned char*> blocks;
    for (size_t i = 0; i < 60; ++i)
        blocks.push_back(allocate(40000 + i * 3000));
    blocks.push_back(allocate(700000));  // more than may lie at hand
    for (unsigned char* block : blocks) {
        front_.free(block);
        const HeapCounters behind = heap_.counters();
        EXPECT_LE(behind.live_bytes, blocks.size() * 230000 + 800000);
        EXPECT_LE(behind.cached_bytes, options.cached_bytes);
    }
    EXPECT_LE(heap_.counters().live_bytes, options.cached_bytes / 2);
    EXPECT_GE(heap_.counters().live_bytes, options.cached_bytes / 4);
    EXPECT_FALSE(pages_.is_committed(blocks[0]));
    front_.trim();
    EXPECT_EQ(heap_.counters().live_bytes, 0u);
    for (unsigned char* block : blocks)
        EXPECT_FALSE(pages_.is_committed(block));
}

TEST_F(PerCpuHeapTest, WhatACpuDoesNotTouchForATickGoesBack) {
    HeapOptions options;
    options.cached_bytes = size_t{64} << 20;
    restart(options);
    // More than arrays have room for, so that some waits between CPUs.
    std::vector<unsigned char*> blocks;
    for (size_t i = 0; i < 400; ++i)
        blocks.push_back(allocate(1000));
    blocks.push_back(allocate(size_t{200} << 10));
    for (unsigned char* block : blocks)
        front_.free(block);
    const size_t kept = heap_.counters().live_bytes;  // by the CPU
    EXPECT_GT(kept, size_t{280} << 10);
    EXPECT_EQ(front_.age(), 0u);
    EXPECT_EQ(heap_.counters().live_bytes, kept);
    front_.age();
    // The main array of small blocks stays; all else is the heap's again, and goes in its turn.
    EXPECT_LE(heap_.counters().live_bytes, size_t{64} << 10);
    EXPECT_GT(heap_.counters().live_bytes, 0u);
    front_.age();
    EXPECT_GT(front_.age(), size_t{200} << 10);
    EXPECT_LE(heap_.counters().cached_bytes, size_t{64} << 10);
    EXPECT_TRUE(heap_.validate().ok());
    // What is used at every tick stays.
    for (size_t i = 0; i < 4; ++i) {
        unsigned char* const medium = allocate(size_t{200} << 10);
        unsigned char* const second = allocate(size_t{200} << 10);
        front_.free(medium);
        if (i % 2 == 0) front_.free(second);
        front_.age();
        EXPECT_GE(heap_.counters().live_bytes, size_t{200} << 10);
        if (i % 2 != 0) front_.free(second);
    }
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(PerCpuHeapTest, MediumBlocksGrowAndShrinkWhereTheyStand) {
    const auto resize = [&](unsigned char* block, size_t bytes) {
        const Result<void*> resized = front_.reallocate(block, bytes);
        EXPECT_TRUE(heap_.validate().ok());
        return static_cast<unsigned char*>(resized.value_or(nullptr));
    };
    const auto holds = [](const unsigned char* block, size_t bytes) {
        for (size_t i = 0; i < bytes; ++i)
            if (block[i] != static_cast<unsigned char>(i * 7)) return false;
        return true;
    };
    unsigned char* block = allocate(40000);
    for (size_t i = 0; i < 40000; ++i)
        block[i] = static_cast<unsigned char>(i * 7);
    for (const size_t bytes : {size_t{50000}, size_t{200000}, size_t{1} << 20, size_t{60000}}) {
        EXPECT_EQ(resize(block, bytes), block);
        EXPECT_GE(*front_.usable_size(block), bytes);
        EXPECT_TRUE(holds(block, 40000));
        expect_misuse(block + heap_internal::slot_bytes, Error::misaligned);
    }
    EXPECT_FALSE(pages_.is_committed(block + (size_t{64} << 10)));
    EXPECT_EQ(heap_.counters().committed_bytes, pages_.committed_bytes());
    // What it left can be had, and then is in its way.
    unsigned char* behind = allocate(50000);
    EXPECT_EQ(behind, block + (size_t{64} << 10));
    unsigned char* moved = resize(block, 90000);
    EXPECT_NE(moved, block);
    EXPECT_TRUE(holds(moved, 40000));
    // Out of pages: nothing is lost, here or in place.
    front_.free(behind);
    front_.trim();
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    const Result<void*> failed = front_.reallocate(moved, 400000);
    EXPECT_EQ(failed.error(), Error::out_of_memory);
    EXPECT_TRUE(heap_.validate().ok());
    EXPECT_TRUE(holds(moved, 40000));
    pages_.limit_pages(SIZE_MAX);
    moved = resize(moved, size_t{2} << 20);
    EXPECT_TRUE(holds(moved, 40000));
    moved = resize(moved, 40000);
    EXPECT_TRUE(holds(moved, 40000));
    front_.free(moved);
}

TEST_F(PerCpuHeapTest, RangesOfLargeBlocksAreKeptForTheNext) {
    HeapOptions options;
    options.arena_bytes = size_t{8} << 20;  // too small for medium blocks
    restart(options);
    unsigned char* first = allocate(70000);
    std::memset(first, 0x41, 70000);
    front_.free(first);
    expect_misuse(first, Error::already_free);
    EXPECT_GE(heap_.counters().cached_bytes, 70000u);
    const size_t calls = pages_.calls();
    // What is much smaller or larger does not fit; what is about as large does.
    unsigned char* smaller = allocate(50000);
    EXPECT_NE(smaller, first);
    unsigned char* larger = allocate(80000);
    EXPECT_NE(larger, first);
    EXPECT_GT(pages_.calls(), calls);
    const size_t calls_then = pages_.calls();
    auto* next = static_cast<unsigned char*>(*front_.allocate_zeroed(69000));
    EXPECT_EQ(next, first);
    EXPECT_EQ(pages_.calls(), calls_then);
    for (size_t i = 0; i < 69000; ++i)
        ASSERT_EQ(next[i], 0);
    EXPECT_TRUE(heap_.validate().ok());
    EXPECT_EQ(front_.try_free_sized(next, 20000).error(), Error::bad_argument);
    EXPECT_TRUE(front_.try_free_sized(next, 69000).ok());
    front_.free(smaller);
    front_.free(larger);
    EXPECT_TRUE(heap_.validate().ok());
    heap_.trim();
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    expect_misuse(first, Error::already_free);
}

TEST_F(PerCpuHeapTest, AKeptRangeTakesTheShortestWay) {
    using heap_internal::Fill;
    const size_t bytes = size_t{2} << 20;
    HeapOptions options;
    options.cached_bytes = 2 * bytes;
    restart(options);
    auto& cpu = slots_[0].value;
    const auto again = [&](size_t wanted, Fill fill) {
        return static_cast<unsigned char*>(heap_.allocate_for(cpu, wanted, fill).value());
    };
    unsigned char* const block = again(bytes, Fill::none);
    block[bytes - 1] = 1;
    heap_.free_for(cpu, block);
    const size_t calls = pages_.calls();
    EXPECT_EQ(heap_.try_free_for(cpu, block).error(), Error::already_free);
    EXPECT_THROW(heap_.free_for(cpu, block), Panic);
    EXPECT_EQ(again(bytes, Fill::none), block);
    EXPECT_EQ(heap_.counters().live_bytes, bytes);
    EXPECT_THROW(heap_.free_for(cpu, block + page_size), Panic);
    heap_.free_for(cpu, block);
    EXPECT_EQ(again(bytes - page_size, Fill::zero), block);
    EXPECT_EQ(block[bytes - page_size - 1], 0);
    EXPECT_EQ(*heap_.usable_size(block), bytes);
    heap_.free_for(cpu, block);
    EXPECT_EQ(pages_.calls(), calls);
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(PerCpuHeapTest, KeptRangesAreBounded) {
    HeapOptions options;
    options.arena_bytes = size_t{8} << 20;  // too small for medium blocks
    options.cached_bytes = size_t{1} << 20;
    restart(options);
    std::vector<unsigned char*> blocks;
    for (size_t i = 0; i < 60; ++i)
        blocks.push_back(allocate(40000 + i * 3000));
    blocks.push_back(allocate(700000));  // more than half of what may be kept
    for (unsigned char* block : blocks) {
        front_.free(block);
        EXPECT_LE(heap_.counters().cached_bytes, options.cached_bytes);
    }
    EXPECT_FALSE(pages_.is_committed(blocks.back()));
    EXPECT_LE(pages_.reservations(), 1 + heap_internal::LargeCache::most);
    // They serve other requests before memory is said to be out.
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    unsigned char* other = allocate(600000);
    front_.free(other);
    // When the page source will not have them back, they stay and are used.
    pages_.limit_pages(SIZE_MAX);
    unsigned char* last = allocate(100000);
    pages_.refuse_release(true);
    front_.free(last);
    heap_.trim();
    EXPECT_EQ(allocate(100000), last);
    pages_.refuse_release(false);
    front_.free(last);
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(PerCpuHeapTest, TrimGivesEverythingBack) {
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 20000; ++i)
        blocks.push_back(allocate(static_cast<size_t>(i % 2000)));
    for (unsigned char* block : blocks)
        front_.free(block);
    EXPECT_GT(heap_.counters().committed_bytes, size_t{1} << 20);
    front_.trim();
    EXPECT_EQ(heap_.counters().usable_bytes, 0u);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    EXPECT_LE(pages_.committed_bytes(), size_t{512} << 10);  // the records of spans
    EXPECT_EQ(pages_.committed_bytes(), heap_.counters().bookkeeping_bytes);
}

TEST_F(PerCpuHeapTest, WhatLiesWithThisCpuIsUsedBeforeMemoryIsSaidToBeOut) {
    HeapOptions options;
    options.arena_bytes = size_t{1} << 20;
    restart(options);
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 2000; ++i)
        blocks.push_back(allocate(256));
    for (unsigned char* block : blocks)
        front_.free(block);
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    // Of another size, which only pages of what was freed can serve.
    size_t served = 0;
    std::vector<void*> others;
    for (Result<void*> block = front_.allocate(1024); block.ok(); block = front_.allocate(1024)) {
        others.push_back(*block);
        ++served;
    }
    EXPECT_GE(served, 400u);
    for (void* block : others)
        front_.free(block);
    EXPECT_TRUE(heap_.validate().ok());
}

TEST_F(PerCpuHeapTest, OutOfPagesAtEveryPoint) {
    for (size_t n = 1;; ++n) {
        restart({});
        const size_t calls = pages_.calls();
        pages_.fail_call(n);
        std::vector<unsigned char*> blocks;
        for (int i = 0; i < 300; ++i) {
            const Result<void*> block = front_.allocate(static_cast<size_t>(i * 37 % 9000));
            if (block.ok()) blocks.push_back(static_cast<unsigned char*>(*block));
            if (i % 3 == 2 && !blocks.empty()) {
                ASSERT_TRUE(front_.try_free(blocks.back()).ok());
                blocks.pop_back();
            }
        }
        const bool reached = pages_.calls() - calls >= n;
        pages_.fail_call(0);
        EXPECT_EQ(front_.counters().live_blocks, blocks.size());
        for (unsigned char* block : blocks)
            ASSERT_TRUE(front_.try_free(block).ok());
        ASSERT_TRUE(heap_.validate().ok()) << "call " << n;
        // Usable afterwards.
        front_.free(allocate(100));
        if (!reached) break;
        ASSERT_LT(n, 1000u);
    }
}

TEST_F(PerCpuHeapTest, AHeapThatWatchesOverrunsWorksToo) {
    for (Front::Slot& slot : slots_)
        heap_.drain(slot.value);
    heap_.stop();
    ASSERT_TRUE(heap_.start(pages_, platform_, {}).ok());
    unsigned char* block = allocate(100);
    EXPECT_EQ(*front_.usable_size(block), 100u);
    block[100] ^= 1;
    EXPECT_EQ(front_.try_free(block).error(), Error::corrupted);
    block[100] ^= 1;
    EXPECT_TRUE(front_.try_free(block).ok());
    expect_misuse(block, Error::already_free);
}

}  // namespace
}  // namespace quire::test
