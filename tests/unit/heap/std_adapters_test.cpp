// SPDX-License-Identifier: MIT
// Containers of the C++ library on a heap.
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/std/heap_allocator.hpp"
#include "quire/std/memory_resource.hpp"

namespace quire::test::std_adapters_test {
namespace {

struct alignas(128) Wide {
    char bytes[128];
};

class StdAdapters : public HeapTest, public testing::WithParamInterface<OverrunCheck> {
  protected:
    void SetUp() override {
        HeapOptions options;
        options.overrun_check = GetParam();
        start(options);
        ASSERT_TRUE(other_.start(other_pages_, platform_, options).ok());
    }
    void TearDown() override {
        EXPECT_EQ(heap_.counters().live_blocks, 0u);
        EXPECT_EQ(other_.counters().live_blocks, 0u);
        other_.stop();
        HeapTest::TearDown();
    }
    HostPageSource other_pages_;
    Heap other_;
};
INSTANTIATE_TEST_SUITE_P(Checks, StdAdapters,
                         testing::Values(OverrunCheck::none, OverrunCheck::every_block));

TEST_P(StdAdapters, PolymorphicContainersLiveOnTheHeap) {
    HeapResource resource(heap_);
    {
        std::pmr::map<int, std::pmr::string> map(&resource);
        for (int i = 0; i < 500; ++i)
            map.emplace(i, std::string(static_cast<size_t>(i), 'x'));
        for (int i = 0; i < 500; ++i)
            EXPECT_EQ(map.at(i).size(), static_cast<size_t>(i));
        EXPECT_GE(heap_.counters().live_blocks, 900u);
        std::pmr::vector<Wide> wide(&resource);
        for (int i = 0; i < 50; ++i) {
            wide.emplace_back();
            ASSERT_TRUE(is_aligned(&wide.back(), 128));
        }
    }
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
}

TEST_P(StdAdapters, ResourcesOfOneHeapAreEqual) {
    HeapResource one(heap_);
    HeapResource two(heap_);
    HeapResource other(other_);
    EXPECT_TRUE(one == two);
    EXPECT_FALSE(one == other);
    EXPECT_FALSE(one.is_equal(*std::pmr::new_delete_resource()));
    // Between equal resources nothing is copied.
    std::pmr::vector<int> from(1000, 7, &one);
    const int* const data = from.data();
    std::pmr::vector<int> to(&two);
    to = std::move(from);
    EXPECT_EQ(to.data(), data);
    std::pmr::vector<int> elsewhere(&other);
    elsewhere = std::move(to);
    EXPECT_NE(elsewhere.data(), data);
    EXPECT_EQ(elsewhere.at(999), 7);
}

TEST_P(StdAdapters, ADeallocationOfAnotherSizeIsMisuse) {
    HeapResource resource(heap_);
    void* const block = resource.allocate(100, 8);
    EXPECT_EQ(report_of([&] { resource.deallocate(block, 1000, 8); }).error, Error::bad_argument);
    resource.deallocate(block, 100, 8);
    void* const aligned = resource.allocate(40, 256);
    EXPECT_TRUE(is_aligned(aligned, 256));
    resource.deallocate(aligned, 40, 256);
    HeapAllocator<uint64_t> allocator(heap_);
    uint64_t* const words = allocator.allocate(20);
    // A deallocation must not throw, as this test's panic does.
    EXPECT_DEATH(allocator.deallocate(words, 200), "Panic");
    allocator.deallocate(words, 20);
}

TEST_P(StdAdapters, NoMemoryIsBadAlloc) {
    HeapResource resource(heap_);
    EXPECT_THROW(static_cast<void>(resource.allocate(SIZE_MAX / 2, 8)), std::bad_alloc);
    HeapAllocator<uint64_t> allocator(heap_);
    EXPECT_THROW(static_cast<void>(allocator.allocate(SIZE_MAX / 16)), std::bad_alloc);
    EXPECT_THROW(static_cast<void>(allocator.allocate(SIZE_MAX / 4)), std::bad_alloc);
    // So many that their bytes, cut to a word, would be eight.
    EXPECT_THROW(static_cast<void>(allocator.allocate(SIZE_MAX / 8 + 2)), std::bad_alloc);
}

TEST_P(StdAdapters, ContainersTakeAnAllocator) {
    using Allocator = HeapAllocator<int>;
    const Allocator here(heap_);
    const Allocator there(other_);
    EXPECT_TRUE(here == HeapAllocator<char>(heap_));
    EXPECT_FALSE(here == there);
    {
        std::vector<int, Allocator> vector(here);
        std::list<int, Allocator> list(here);
        std::map<int, Wide, std::less<>, HeapAllocator<std::pair<const int, Wide>>> map{
            HeapAllocator<std::pair<const int, Wide>>(heap_)};
        for (int i = 0; i < 300; ++i) {
            vector.push_back(i);
            list.push_back(i);
            map[i].bytes[127] = static_cast<char>(i);
            ASSERT_TRUE(is_aligned(&map[i], 128));
        }
        EXPECT_EQ(heap_.counters().live_blocks, 1u + 300u + 300u);
        std::vector<int, Allocator> moved(there);
        moved.assign(10, 3);
        EXPECT_EQ(other_.counters().live_blocks, 1u);
        moved = std::move(vector);  // with its heap
        EXPECT_EQ(other_.counters().live_blocks, 0u);
        EXPECT_EQ(moved.at(299), 299);
    }
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
}

}  // namespace
}  // namespace quire::test::std_adapters_test
