// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/per_cpu_heap.hpp"
#include "quire/heap/tagged_heap.hpp"

namespace quire::test {
namespace {

// Threads allocate, fill, check and free, and hand blocks to each other; the page source, which has
// no lock of its own, is called under the heap's. A mutex stands in for the spin lock, which makes
// threads that outnumber their CPUs wait for whole time slices.
TEST(HeapConcurrent, SeveralThreadsExchangeBlocks) {
    HostPageSource pages;
    ThrowingPlatform platform;
    BasicHeap<std::mutex> heap;
    HeapOptions options;
    options.arena_bytes = size_t{1} << 20;
    options.cached_bytes = 32 << 10;
    ASSERT_TRUE(heap.start(pages, platform, options).ok());
    constexpr unsigned threads = 4;
    constexpr unsigned rounds = 6000;
    struct Header {
        size_t bytes;
        unsigned char fill;
    };
    std::atomic<Header*> exchange[16] = {};
    std::atomic<unsigned> mistakes{0};
    auto dispose = [&](Header* header) {
        const auto* data = reinterpret_cast<const unsigned char*>(header);
        for (size_t i = sizeof(Header); i < header->bytes; ++i)
            if (data[i] != header->fill) ++mistakes;
        if (!heap.try_free_sized(header, header->bytes).ok()) ++mistakes;
    };
    auto work = [&](unsigned number) {
        uint32_t random = number + 1;
        for (unsigned round = 0; round < rounds; ++round) {
            random = random * 1664525 + 1013904223;
            const unsigned pick = random >> 8;
            const size_t bytes = sizeof(Header) + (pick % 50 == 0 ? 40000 : pick % 700);
            const auto block = heap.allocate(bytes);
            if (!block.ok()) {
                ++mistakes;
                continue;
            }
            auto* header = static_cast<Header*>(*block);
            std::memset(*block, static_cast<int>(number), bytes);
            *header = {bytes, static_cast<unsigned char>(number)};
            std::memset(header + 1, static_cast<int>(number), bytes - sizeof(Header));
            if (Header* other = exchange[pick % 16].exchange(header)) dispose(other);
            if (round % 1000 == 0) {
                round % 2000 == 0 ? heap.trim() : heap.age();
                if (!heap.validate().ok()) ++mistakes;
            }
            if (heap.counters().live_blocks > threads + 16) ++mistakes;
        }
    };
    std::vector<std::thread> running;
    for (unsigned number = 0; number < threads; ++number)
        running.emplace_back(work, number);
    for (std::thread& thread : running)
        thread.join();
    for (auto& place : exchange)
        if (Header* header = place.load()) dispose(header);
    EXPECT_EQ(mistakes.load(), 0u);
    EXPECT_EQ(heap.counters().live_blocks, 0u);
    EXPECT_EQ(heap.counters().allocations, uint64_t{threads} * rounds);
    EXPECT_TRUE(heap.validate().ok());
    heap.stop();
    EXPECT_EQ(pages.reserved_bytes(), 0u);
    EXPECT_EQ(pages.breaches(), 0u);
}

// Tags, records and sum agree whenever they are looked at, in the middle of others' calls.
TEST(TaggedHeapConcurrent, TheSumOfTagsIsTheUseWhileOthersAllocate) {
    HostPageSource pages;
    HostPageSource record_pages;
    ThrowingPlatform platform;
    BasicHeap<std::mutex> heap;
    TaggedHeap<BasicHeap<std::mutex>, std::mutex> tagged(heap);
    ASSERT_TRUE(heap.start(pages, platform).ok());
    ASSERT_TRUE(tagged.start(record_pages, 1000).ok());
    HeapTag tags[] = {HeapTag("files"), HeapTag("nets"), HeapTag("rest")};
    std::atomic<unsigned> mistakes{0};
    const auto work = [&](uint32_t random) {
        std::vector<void*> blocks;
        for (unsigned round = 0; round < 10000; ++round) {
            random = random * 1664525 + 1013904223;
            const unsigned pick = random >> 8;
            HeapTag& tag = tags[pick % 3];
            if (blocks.size() < 2 || (blocks.size() < 50 && pick % 5 < 2)) {
                blocks.push_back(tagged.allocate(pick % 300, tag).value());
            } else if (pick % 5 == 2) {
                blocks.back() = tagged.reallocate(blocks.back(), pick % 700, tag).value();
            } else {
                std::swap(blocks[pick % blocks.size()], blocks.back());
                tagged.free(blocks.back());
                blocks.pop_back();
            }
            if (round % 8 == 0 && !tagged.validate().ok()) ++mistakes;
        }
        for (void* const block : blocks)
            tagged.free(block);
    };
    std::vector<std::thread> running;
    for (uint32_t seed = 1; seed <= 3; ++seed)
        running.emplace_back(work, seed);
    for (std::thread& thread : running)
        thread.join();
    EXPECT_EQ(mistakes.load(), 0u);
    EXPECT_EQ(tagged.use(), TagUse{});
    EXPECT_EQ(heap.counters().live_blocks, 0u);
    EXPECT_TRUE(tagged.validate().ok());
    tagged.stop();
    heap.stop();
    EXPECT_EQ(record_pages.breaches() + pages.breaches(), 0u);
}

// Each thread is a CPU.
struct ThreadCpus {
    struct Pin {};
    static unsigned index() { return current; }
    static inline thread_local unsigned current = 0;
};

// CPUs pass blocks on, through a ring each, to be checked and freed by the next: what one allocates
// another frees, so arrays travel through the depot and spans all the time.
TEST(PerCpuHeapConcurrent, CpusFreeEachOthersBlocks) {
    using BackHeap = BasicHeap<std::mutex>;
    using Front = PerCpuHeap<BackHeap, ThreadCpus>;
    HostPageSource pages;
    ThrowingPlatform platform;
    BackHeap heap;
    HeapOptions options;
    options.arena_bytes = size_t{4} << 20;
    options.cached_bytes = 32 << 10;
    options.overrun_check = OverrunCheck::none;
    ASSERT_TRUE(heap.start(pages, platform, options).ok());
    constexpr unsigned cpus = 3;
    constexpr unsigned rounds = 20000;
    Front::Slot slots[cpus];
    Front front(heap, slots);
    std::atomic<unsigned char*> handed_on[cpus][8] = {};
    std::atomic<unsigned> mistakes{0};
    auto work = [&](unsigned cpu) {
        ThreadCpus::current = cpu;
        uint32_t random = cpu + 1;
        for (unsigned round = 0; round < rounds; ++round) {
            random = random * 1664525 + 1013904223;
            const unsigned pick = random >> 8;
            const size_t bytes = 2 + (pick % 100 == 0 ? 30000 : pick % 700);
            const auto allocated = front.allocate(bytes);
            if (!allocated.ok()) {
                ++mistakes;
                continue;
            }
            auto* block = static_cast<unsigned char*>(*allocated);
            block[0] = block[1] = static_cast<unsigned char>(round);
            auto& place = handed_on[(cpu + 1) % cpus][pick % 8];
            if (unsigned char* other = place.exchange(block)) {
                if (other[0] != other[1]) ++mistakes;
                if (!front.try_free(other).ok()) ++mistakes;
            }
            if (unsigned char* mine = handed_on[cpu][pick % 7].exchange(nullptr)) {
                if (mine[0] != mine[1]) ++mistakes;
                if (!front.try_free(mine).ok()) ++mistakes;
                if (front.try_free(&random).ok()) ++mistakes;
            }
            if (round % 4000 == 0) front.trim();
            if (round % 1000 == 0) front.age();
        }
    };
    std::vector<std::thread> running;
    for (unsigned cpu = 0; cpu < cpus; ++cpu)
        running.emplace_back(work, cpu);
    for (std::thread& thread : running)
        thread.join();
    for (auto& of_cpu : handed_on)
        for (auto& place : of_cpu)
            if (unsigned char* block = place.load()) front.free(block);
    EXPECT_EQ(mistakes.load(), 0u);
    EXPECT_EQ(front.counters().live_blocks, 0u);
    EXPECT_TRUE(heap.validate().ok());
    EXPECT_EQ(heap.late_refusals(), 0u);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        ThreadCpus::current = cpu;
        front.drain();
    }
    EXPECT_EQ(heap.counters().live_blocks, 0u);
    EXPECT_TRUE(heap.validate().ok());
    heap.stop();
    EXPECT_EQ(pages.reserved_bytes(), 0u);
}

}  // namespace
}  // namespace quire::test
