// SPDX-License-Identifier: MIT
#include "quire/heap/region_page_source.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

class RegionPageSourceTest : public testing::Test {
  protected:
    static constexpr size_t pages = 256;
    static constexpr size_t bytes = pages * page_size;

    void SetUp() override {
        memory_ = static_cast<unsigned char*>(std::aligned_alloc(size_t{64} << 10, bytes));
        std::memset(memory_, 0xa5, bytes);
        ASSERT_TRUE(source_.start(memory_, bytes).ok());
    }
    void TearDown() override { std::free(memory_); }

    unsigned char* reserve(size_t count, size_t alignment = page_size) {
        const auto base = source_.reserve(count * page_size, alignment);
        EXPECT_TRUE(base.ok());
        return static_cast<unsigned char*>(base.value_or(nullptr));
    }

    unsigned char* memory_ = nullptr;
    RegionPageSource source_;
};

TEST_F(RegionPageSourceTest, StartRefusesWhatIsNoRegion) {
    RegionPageSource source;
    EXPECT_EQ(source.start(memory_, 0).error(), Error::zero_size);
    EXPECT_EQ(source.start(memory_ + 1, bytes).error(), Error::misaligned);
    EXPECT_EQ(source.start(memory_, bytes - 1).error(), Error::misaligned);
    EXPECT_EQ(source.start(memory_, page_size).error(), Error::bad_argument);
    EXPECT_EQ(source.start(memory_, 0 - page_size).error(), Error::overflow);
    EXPECT_EQ(source.reserve(page_size, page_size).error(), Error::out_of_address_space);
    EXPECT_TRUE(source.start(memory_, 2 * page_size).ok());
    EXPECT_EQ(source.total_bytes(), page_size);
}

TEST_F(RegionPageSourceTest, KeepsOnePageForItself) {
    EXPECT_EQ(source_.total_bytes(), bytes - page_size);
    EXPECT_EQ(reserve(pages - 1), memory_ + page_size);
    EXPECT_EQ(source_.reserve(page_size, page_size).error(), Error::out_of_address_space);
}

TEST_F(RegionPageSourceTest, ReserveRefusesWhatIsNoSize) {
    EXPECT_EQ(source_.reserve(0, page_size).error(), Error::zero_size);
    EXPECT_EQ(source_.reserve(100, page_size).error(), Error::misaligned);
    EXPECT_EQ(source_.reserve(page_size, 100).error(), Error::misaligned);
    EXPECT_EQ(source_.reserve(page_size, page_size / 2).error(), Error::misaligned);
    EXPECT_EQ(source_.reserve(page_size, 3 * page_size).error(), Error::misaligned);
    EXPECT_EQ(source_.reserve(bytes, page_size).error(), Error::out_of_address_space);
    EXPECT_EQ(source_.reserve(0 - page_size, page_size).error(), Error::out_of_address_space);
    EXPECT_EQ(source_.reserve(page_size, SIZE_MAX / 2 + 1).error(), Error::out_of_address_space);
    EXPECT_EQ(source_.reserved_bytes(), 0u);
}

TEST_F(RegionPageSourceTest, ReservesAlignedAndApart) {
    unsigned char* one = reserve(1);
    unsigned char* aligned = reserve(3, 16 * page_size);
    EXPECT_TRUE(is_aligned(aligned, 16 * page_size));
    unsigned char* two = reserve(2);
    EXPECT_EQ(two, one + page_size);
    EXPECT_EQ(source_.reserved_bytes(), 6 * page_size);
}

TEST_F(RegionPageSourceTest, CommittedMemoryIsZero) {
    unsigned char* base = reserve(4);
    ASSERT_TRUE(source_.commit(base + page_size, 2 * page_size).ok());
    EXPECT_EQ(source_.committed_bytes(), 2 * page_size);
    for (size_t i = page_size; i < 3 * page_size; ++i)
        ASSERT_EQ(base[i], 0);
    base[page_size] = 1;
    ASSERT_TRUE(source_.decommit(base, 4 * page_size).ok());
    EXPECT_EQ(source_.committed_bytes(), 0u);
    ASSERT_TRUE(source_.commit(base, 4 * page_size).ok());
    EXPECT_EQ(base[page_size], 0);
}

TEST_F(RegionPageSourceTest, CommitsOnlyWhatIsReservedAndNotCommitted) {
    unsigned char* base = reserve(4);
    unsigned char* next = reserve(4);
    ASSERT_EQ(next, base + 4 * page_size);
    EXPECT_EQ(source_.commit(base + 1, page_size).error(), Error::misaligned);
    EXPECT_EQ(source_.commit(base, 100).error(), Error::misaligned);
    EXPECT_EQ(source_.commit(base, 5 * page_size).error(), Error::no_region) << "two reservations";
    EXPECT_EQ(source_.commit(next, 5 * page_size).error(), Error::no_region);
    EXPECT_EQ(source_.commit(memory_, page_size).error(), Error::no_region) << "the bookkeeping";
    EXPECT_EQ(source_.commit(memory_ + bytes, page_size).error(), Error::no_region);
    EXPECT_EQ(source_.commit(base, bytes * 2).error(), Error::no_region);
    ASSERT_TRUE(source_.commit(base + page_size, page_size).ok());
    base[page_size] = 7;
    EXPECT_EQ(source_.commit(base, 4 * page_size).error(), Error::already_mapped);
    EXPECT_EQ(base[page_size], 7);
    EXPECT_EQ(source_.committed_bytes(), page_size);
}

TEST_F(RegionPageSourceTest, DecommitRefusesWhatIsNotReserved) {
    unsigned char* base = reserve(4);
    EXPECT_EQ(source_.decommit(base + 1, page_size).error(), Error::misaligned);
    EXPECT_EQ(source_.decommit(base + 4 * page_size, page_size).error(), Error::no_region);
    EXPECT_TRUE(source_.decommit(base, 4 * page_size).ok()) << "pages without memory are passed";
}

TEST_F(RegionPageSourceTest, ReleasesWholeReservationsOnly) {
    unsigned char* base = reserve(4);
    unsigned char* next = reserve(4);
    unsigned char* last = reserve(pages - 9);
    ASSERT_TRUE(source_.commit(base, 2 * page_size).ok());
    EXPECT_EQ(source_.release(base, 3 * page_size).error(), Error::no_region);
    EXPECT_EQ(source_.release(base, 8 * page_size).error(), Error::no_region);
    EXPECT_EQ(source_.release(base + page_size, 3 * page_size).error(), Error::no_region);
    EXPECT_EQ(source_.release(base, 0).error(), Error::no_region);
    EXPECT_EQ(source_.release(base, 100).error(), Error::misaligned);
    EXPECT_EQ(source_.committed_bytes(), 2 * page_size);
    ASSERT_TRUE(source_.release(base, 4 * page_size).ok());
    EXPECT_EQ(source_.committed_bytes(), 0u);
    EXPECT_EQ(source_.release(base, 4 * page_size).error(), Error::no_region);
    EXPECT_EQ(source_.decommit(base, page_size).error(), Error::no_region);
    ASSERT_TRUE(source_.release(last, (pages - 9) * page_size).ok());
    ASSERT_TRUE(source_.release(next, 4 * page_size).ok());
    EXPECT_EQ(source_.reserved_bytes(), 0u);
    EXPECT_EQ(reserve(pages - 1), base);
}

TEST_F(RegionPageSourceTest, AgreesWithASearchPageByPage) {
    std::mt19937 random(3);
    std::vector<bool> taken(pages - 1);
    std::map<size_t, size_t> runs;
    for (int step = 0; step < 4000; ++step) {
        if (random() % 2 == 0 && !runs.empty()) {
            auto run = std::next(runs.begin(), static_cast<long>(random() % runs.size()));
            ASSERT_TRUE(
                source_.release(memory_ + page_size * (run->first + 1), run->second * page_size)
                    .ok());
            for (size_t i = 0; i < run->second; ++i)
                taken[run->first + i] = false;
            runs.erase(run);
            continue;
        }
        const size_t count = 1 + random() % 20;
        const size_t alignment = size_t{1} << random() % 4;
        size_t expected = pages;
        // The bookkeeping takes one page, and the region is aligned more than any request.
        for (size_t page = 0; page + count <= pages - 1 && expected == pages; ++page) {
            if ((page + 1) % alignment != 0) continue;
            bool free = true;
            for (size_t i = 0; i < count; ++i)
                free = free && !taken[page + i];
            if (free) expected = page;
        }
        const auto base = source_.reserve(count * page_size, alignment * page_size);
        ASSERT_EQ(base.ok(), expected != pages);
        if (!base.ok()) continue;
        ASSERT_EQ(*base, memory_ + page_size * (expected + 1));
        for (size_t i = 0; i < count; ++i)
            taken[expected + i] = true;
        runs[expected] = count;
    }
}

TEST(RegionPageSource, CarriesAHeap) {
    constexpr size_t bytes = size_t{4} << 20;
    // Spans begin at multiples of 64 KiB, so that more or less is lost at either end.
    void* const memory = std::aligned_alloc(size_t{64} << 10, bytes);
    RegionPageSource source;
    ASSERT_TRUE(source.start(memory, bytes).ok());
    ThrowingPlatform platform;
    Heap heap;
    ASSERT_TRUE(heap.start(source, platform, source.heap_options()).ok());
    std::vector<std::pair<unsigned char*, size_t>> blocks;
    size_t live = 0;
    for (size_t i = 0;; ++i) {
        const size_t wanted = 1 + i * 37 % 1500;
        const auto block = heap.allocate(wanted);
        if (!block.ok()) {
            EXPECT_EQ(block.error(), Error::out_of_memory);
            break;
        }
        std::memset(*block, static_cast<int>(i), wanted);
        blocks.emplace_back(static_cast<unsigned char*>(*block), wanted);
        live += wanted;
    }
    EXPECT_GT(live, bytes / 3 * 2) << "most of the region is of use";
    ASSERT_TRUE(heap.validate().ok());
    EXPECT_EQ(heap.counters().committed_bytes, source.committed_bytes());
    for (size_t i = 0; i < blocks.size(); ++i) {
        for (size_t byte = 0; byte < blocks[i].second; ++byte)
            ASSERT_EQ(blocks[i].first[byte], static_cast<unsigned char>(i));
        heap.free_sized(blocks[i].first, blocks[i].second);
    }
    heap.trim();
    const auto large = heap.allocate(bytes / 2);
    ASSERT_TRUE(large.ok());
    heap.free(*large);
    ASSERT_TRUE(heap.validate().ok());
    heap.stop();
    EXPECT_EQ(source.reserved_bytes(), 0u);
    std::free(memory);
}

}  // namespace
}  // namespace quire::test
