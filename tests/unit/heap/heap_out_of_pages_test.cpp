// SPDX-License-Identifier: MIT
// Pages that run out at any point: the operation fails whole, nothing leaks, the heap goes on.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

struct Live {
    unsigned char* block;
    size_t bytes;
};

// A heap in the middle of its life, without empty spans: giving those back is no failure.
struct Situation {
    HostPageSource pages;
    ThrowingPlatform platform;
    Heap heap;
    std::vector<Live> live;

    explicit Situation(size_t arena_bytes) {
        HeapOptions options;
        options.arena_bytes = arena_bytes;
        EXPECT_TRUE(heap.start(pages, platform, options).ok());
    }
    ~Situation() {
        heap.stop();
        EXPECT_EQ(pages.reserved_bytes(), 0u);
        EXPECT_EQ(pages.breaches(), 0u);
    }
    unsigned char* keep(size_t bytes) {
        auto* block = static_cast<unsigned char*>(heap.allocate(bytes).value());
        std::memset(block, static_cast<int>(bytes), bytes);
        live.push_back({block, bytes});
        return block;
    }
    void expect_contents() {
        for (const Live& each : live)
            for (size_t i = 0; i < each.bytes; ++i)
                ASSERT_EQ(each.block[i], static_cast<unsigned char>(each.bytes));
    }
};

struct Scenario {
    const char* name;
    size_t arena_bytes;
    std::function<void(Situation&)> prepare;
    std::function<bool(Situation&)> attempt;
    size_t least_calls;  // that the attempt makes, so that a scenario stays what it was meant to be
    size_t least_failures = 1;  // zero where there is always another way
};

void PrintTo(const Scenario& scenario, std::ostream* out) {
    *out << scenario.name;
}

constexpr size_t small_arena = size_t{64} << 10;
constexpr size_t arena = size_t{64} << 20;

bool allocates(Situation& at, size_t bytes, size_t alignment = 1) {
    return at.heap.allocate_aligned(bytes, alignment).ok();
}

// As many records of spans and pieces of the store as the committed pages have room for, so that
// the next span needs more of each.
void fill_bookkeeping(Situation& at) {
    const size_t records = page_size / sizeof(heap_internal::SpanRecord);
    for (size_t i = 0; i + 1 < records; ++i)
        at.keep(page_size / 2 - 1 + i % 2);
}

const Scenario scenarios[] = {
    {"TheFirstBlock", arena, [](Situation&) {}, [](Situation& at) { return allocates(at, 24); }, 3},
    {"ASpanOfAnotherClass", arena, [](Situation& at) { at.keep(24); },
     [](Situation& at) { return allocates(at, 48); }, 1},
    {"APageMoreOfASpan", arena,
     [](Situation& at) {
         for (size_t i = 0; i < page_size / 1024; ++i)
             at.keep(1000);
     },
     [](Situation& at) { return allocates(at, 1000); }, 1},
    {"AGuardedCell", arena, [](Situation& at) { at.keep(page_size); },
     [](Situation& at) { return allocates(at, page_size); }, 1},
    {"ALargeBlock", arena, [](Situation& at) { at.keep(24); },
     [](Situation& at) { return allocates(at, 100000); }, 2},
    {"TheFirstLargeBlock", arena, [](Situation&) {},
     [](Situation& at) { return allocates(at, 100000); }, 3},
    {"AnAlignedLargeBlock", arena, [](Situation&) {},
     [](Situation& at) { return allocates(at, 100, 1 << 20); }, 3},
    {"AFurtherArena", small_arena,
     [](Situation& at) {
         for (int i = 0; i < 2; ++i)
             at.keep(30000);
     },
     [](Situation& at) { return allocates(at, 30000); }, 5},
    {"ASpanWhoseRecordsNeedAPage", arena, fill_bookkeeping,
     [](Situation& at) {
         // Until a table page has been added.
         const size_t before = at.heap.counters().bookkeeping_bytes;
         for (int i = 0; i < 2000; ++i) {
             const auto block = at.heap.allocate(3000);
             if (!block.ok()) return false;
             at.live.push_back({static_cast<unsigned char*>(*block), 3000});
             std::memset(*block, static_cast<int>(size_t{3000}), 3000);
             if (at.heap.counters().bookkeeping_bytes > before) return true;
         }
         return false;
     },
     5},
    {"ALargeRecordInAFurtherArena", small_arena,
     [](Situation& at) {
         while (at.pages.reservations() == at.heap.counters().large_blocks + 1)
             at.keep(33000);
         // The one that needed the further arena is taken away with it.
         at.heap.free(at.live.back().block);
         at.live.pop_back();
         at.heap.trim();
     },
     [](Situation& at) { return allocates(at, 33000); }, 5},
    {"MovingALargeBlock", arena, [](Situation& at) { at.keep(40000); },
     [](Situation& at) {
         const auto block = at.heap.reallocate(at.live[0].block, 90000);
         if (block.ok()) at.live[0].block = static_cast<unsigned char*>(*block);
         return block.ok();
     },
     2, 0},
    {"MovingACellToALargeBlock", arena, [](Situation& at) { at.keep(4000); },
     [](Situation& at) {
         const auto block = at.heap.reallocate(at.live[0].block, 90000);
         if (block.ok()) at.live[0].block = static_cast<unsigned char*>(*block);
         return block.ok();
     },
     2},
};

class HeapOutOfPagesTest : public testing::TestWithParam<Scenario> {};

INSTANTIATE_TEST_SUITE_P(Scenarios, HeapOutOfPagesTest, testing::ValuesIn(scenarios),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

TEST_P(HeapOutOfPagesTest, FailsWholeOrSucceedsWhole) {
    const Scenario& scenario = GetParam();
    size_t failures = 0;
    size_t untroubled = 0;
    {
        Situation at(scenario.arena_bytes);
        scenario.prepare(at);
        ASSERT_TRUE(scenario.attempt(at));
        untroubled = at.pages.reserved_bytes();
    }
    for (size_t call = 1;; ++call) {
        Situation at(scenario.arena_bytes);
        scenario.prepare(at);
        ASSERT_EQ(at.heap.counters().cached_bytes, 0u);
        const size_t calls_before = at.pages.calls();
        const HeapState before(at.heap, at.pages);
        const size_t live_before = at.live.size();
        at.pages.fail_call(call);
        const bool ok = scenario.attempt(at);
        ASSERT_TRUE(at.heap.validate().ok());
        ASSERT_EQ(at.heap.counters().committed_bytes, at.pages.committed_bytes());
        ASSERT_EQ(at.heap.counters().reserved_bytes, at.pages.reserved_bytes());
        at.expect_contents();
        if (!ok) {
            ++failures;
            // The attempt may have allocated several blocks before the one that failed.
            if (at.live.size() == live_before) {
                EXPECT_TRUE(HeapState(at.heap, at.pages) == before) << "call " << call;
            }
        }
        if (!at.pages.failed()) {
            EXPECT_TRUE(ok);
            EXPECT_GE(at.pages.calls() - calls_before, scenario.least_calls);
            break;
        }
        if (ok) continue;
        // Once there are pages again, it goes through as if nothing had been.
        ASSERT_TRUE(scenario.attempt(at));
        EXPECT_EQ(at.pages.reserved_bytes(), untroubled);
        ASSERT_TRUE(at.heap.validate().ok());
        at.expect_contents();
    }
    EXPECT_GE(failures, scenario.least_failures);
}

// Every allocation of a long life fails in turn; what is left afterwards must be the same.
TEST(HeapOutOfPages, ALifeWithOneFailureAnywhereLeavesNothing) {
    for (size_t call = 1;; ++call) {
        HostPageSource pages;
        ThrowingPlatform platform;
        Heap heap;
        pages.fail_call(call);
        HeapOptions options;
        options.arena_bytes = small_arena;
        options.cached_bytes = 16 << 10;
        if (heap.start(pages, platform, options).ok()) {
            std::vector<void*> blocks;
            for (size_t i = 0; i < 120; ++i) {
                const auto block = heap.allocate(i % 10 == 9 ? 40000 + i : i * i * 2);
                if (block.ok()) blocks.push_back(*block);
                if (i % 7 == 6) {
                    const auto grown = heap.reallocate(blocks[i / 2], 50 * i);
                    if (grown.ok()) blocks[i / 2] = *grown;
                }
                ASSERT_EQ(heap.counters().live_blocks, blocks.size());
            }
            ASSERT_TRUE(heap.validate().ok());
            for (void* block : blocks)
                ASSERT_TRUE(heap.try_free(block).ok());
            heap.trim();
            ASSERT_TRUE(heap.validate().ok());
            EXPECT_EQ(heap.counters().live_blocks, 0u);
            EXPECT_EQ(heap.counters().cached_bytes, 0u);
            EXPECT_EQ(heap.counters().committed_bytes, heap.counters().bookkeeping_bytes);
            EXPECT_EQ(pages.reservations(), 1u);
        }
        heap.stop();
        ASSERT_EQ(pages.reserved_bytes(), 0u);
        ASSERT_EQ(pages.breaches(), 0u);
        if (!pages.failed()) break;
    }
}

using HeapOnFewPages = HeapTest;

TEST_F(HeapOnFewPages, UsesEveryPageThereIs) {
    pages_.limit_pages(64);
    start();
    size_t blocks = 0;
    while (heap_.allocate(500).ok())
        ++blocks;
    EXPECT_EQ(pages_.committed_bytes(), 64 * page_size);
    EXPECT_GE(blocks * 512, size_t{60} * page_size - 512 * 8);
    const auto one_more = heap_.allocate(500);
    ASSERT_FALSE(one_more.ok());
    EXPECT_EQ(one_more.error(), Error::out_of_memory);
    expect_valid();
}

TEST_F(HeapOnFewPages, EmptySpansOfOtherClassesGoBackBeforeItFails) {
    pages_.limit_pages(64);
    HeapOptions options;
    options.cached_bytes = size_t{1} << 20;
    start(options);
    std::vector<unsigned char*> blocks;
    for (auto block = heap_.allocate(500); block.ok(); block = heap_.allocate(500))
        blocks.push_back(static_cast<unsigned char*>(*block));
    for (unsigned char* block : blocks)
        heap_.free(block);
    EXPECT_GT(heap_.counters().cached_bytes, 50 * page_size);
    EXPECT_TRUE(heap_.allocate(1000).ok());
    expect_valid();
    unsigned char* large = allocate(50 * page_size);
    heap_.free(large);
    expect_valid();
}

TEST_F(HeapOnFewPages, LargeBlocksToMakeEmptySpansGoBack) {
    pages_.limit_pages(64);
    start();
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 300; ++i)
        blocks.push_back(allocate(500));
    for (unsigned char* block : blocks)
        heap_.free(block);
    ASSERT_GT(heap_.counters().cached_bytes, 20 * page_size);
    allocate(50 * page_size);
    EXPECT_EQ(heap_.counters().cached_bytes, 0u);
    expect_valid();
}

TEST_F(HeapOnFewPages, FreeCellsWithMemoryAreFoundBehindOnesWithout) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::where_slack;
    start(options);
    // Two spans: in the fuller one only untouched cells are free, in the other a touched one.
    const heap_internal::SizeClass& shape =
        heap_internal::size_classes.entries[heap_internal::class_for(1024)];
    std::vector<unsigned char*> first, second;
    for (unsigned i = 0; i < shape.cells; ++i)
        first.push_back(allocate(1024));
    for (unsigned i = 0; i < 8; ++i)
        second.push_back(allocate(1024));
    ASSERT_FALSE(pages_.is_committed(second[0] + 2 * page_size));
    for (unsigned i = 1; i < shape.cells; ++i)
        heap_.free(first[i]);
    // The second span holds eight blocks, the first one: the second is the fuller.
    pages_.limit_pages(0);
    for (unsigned i = 1; i < shape.cells; ++i)
        EXPECT_TRUE(heap_.allocate(1024).ok());
    EXPECT_FALSE(heap_.allocate(1024).ok());
    expect_valid();
}

TEST_F(HeapOnFewPages, TheLastPageIsUsedWhereMoreWereWanted) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::where_slack;
    start(options);
    unsigned char* first = allocate(1024);
    for (int i = 1; i < 8; ++i)
        allocate(1024);
    // Two pages are full; the span would double, and there is one page.
    const size_t before = pages_.committed_bytes();
    pages_.limit_pages(before / page_size + 1);
    EXPECT_EQ(allocate(1024), first + size_t{8} * 1024);
    EXPECT_EQ(pages_.committed_bytes(), before + page_size);
    expect_valid();
}

TEST_F(HeapOnFewPages, ALargerCellIsTheLastResort) {
    start();
    unsigned char* larger = allocate(1000);
    pages_.limit_pages(0);
    unsigned char* block = allocate(100);
    EXPECT_EQ(block, larger + 1024);
    EXPECT_EQ(*heap_.usable_size(block), 100u);
    block[100] ^= 1;
    EXPECT_EQ(heap_.try_free(block).error(), Error::corrupted);
    block[100] ^= 1;
    EXPECT_TRUE(is_aligned(allocate_aligned(100, 512), 512));
    expect_valid();
    heap_.free_sized(block, 100);
    expect_valid();
}

TEST_F(HeapOnFewPages, TheLastResortIsAlignedToo) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::where_slack;
    start(options);
    allocate(80);
    pages_.limit_pages(0);
    // Cells of 80 bytes are there, but none is aligned as a block of 64 must be.
    EXPECT_EQ(heap_.allocate(64).error(), Error::out_of_memory);
    EXPECT_EQ(heap_.allocate_aligned(60, 32).error(), Error::out_of_memory);
    allocate(63);
}

}  // namespace
}  // namespace quire::test
