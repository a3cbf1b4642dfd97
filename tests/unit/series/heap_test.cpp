// SPDX-License-Identifier: MIT
// kmalloc and its kin: a heap that grows by itself, and one over a region that is mapped already.
#include <gtest/gtest.h>

#include <cstring>

#include "series_machine.hpp"

namespace quire::series::heap_test {
namespace {

using Machine = SeriesMachine<Tutorial>;
constexpr uint32_t place = 0xD0000000;

class SeriesHeap : public testing::Test {
  protected:
    SeriesHeap() { machine.start_like_the_tutorial(); }
    int error() { return kernel.outcome().last_error(); }

    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
};

TEST_F(SeriesHeap, GrowsByItselfAndGivesBack) {
    ASSERT_EQ(kernel.alloc_pages(kernel.active(), place - 0x1000, 0x1000, 2), QUIRE_OK);
    const uint32_t start = kernel.free_block_count();
    ASSERT_EQ(kernel.heap_create(place, 64_KiB, 8_MiB), QUIRE_OK);
    const uint32_t created = kernel.free_block_count();
    EXPECT_GE(start - created, 16U);
    void* const large = kernel.allocate(2_MiB);
    ASSERT_NE(large, nullptr);
    EXPECT_GE(machine.address(large), place);
    EXPECT_LT(machine.address(large), place + 8_MiB);
    std::memset(large, 0x5a, 2_MiB);
    EXPECT_GE(created - kernel.free_block_count(), 512U);
    kernel.free(large);
    EXPECT_EQ(error(), QUIRE_OK);
    EXPECT_LT(created - kernel.free_block_count(), 16U);
    // The frames need not follow one another: every other block is taken.
    std::vector<uint32_t> blocks;
    while (void* const block = kernel.alloc_blocks(1))
        blocks.push_back(number_of(block));
    for (const uint32_t block : blocks) {
        if (block / 4096 % 2 == 0) kernel.free_blocks(block, 1);
    }
    EXPECT_EQ(kernel.alloc_blocks(2), nullptr);
    void* const scattered = kernel.allocate(1_MiB);
    ASSERT_NE(scattered, nullptr);
    std::memset(scattered, 0x5b, 1_MiB);
    kernel.free(scattered);
    kernel.heap_destroy();
    for (const uint32_t block : blocks) {
        if (block / 4096 % 2 != 0) {
            EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_OK);
        }
    }
    // What is left is the tables of the kernel's part.
    EXPECT_LE(start - kernel.free_block_count(), 2U);
    EXPECT_EQ(kernel.allocate(16), nullptr);
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.heap_create(place, 64_KiB, 8_MiB), QUIRE_OK);
    EXPECT_NE(kernel.allocate(16), nullptr);
    EXPECT_EQ(machine.harmful_stale_entries(), 0U);
}

TEST_F(SeriesHeap, TheUsualNames) {
    ASSERT_EQ(kernel.heap_create(place, 0, 4_MiB), QUIRE_OK);
    auto* const bytes = static_cast<unsigned char*>(kernel.allocate(100));
    std::memset(bytes, 7, 100);
    auto* const moved = static_cast<unsigned char*>(kernel.reallocate(bytes, 70000));
    ASSERT_NE(moved, nullptr);
    EXPECT_EQ(moved[99], 7);
    auto* const zeroed = static_cast<unsigned char*>(kernel.allocate_zeroed(30, 40));
    for (size_t i = 0; i < 1200; ++i)
        ASSERT_EQ(zeroed[i], 0);
    EXPECT_EQ(kernel.allocate_zeroed(SIZE_MAX, 2), nullptr);
    EXPECT_EQ(error(), QUIRE_OVERFLOW);
    void* const aligned = kernel.allocate_aligned(100, 4096);
    EXPECT_EQ(machine.address(aligned) % 4096, 0U);
    EXPECT_EQ(kernel.allocate_aligned(100, 24), nullptr);
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
    kernel.free(nullptr);
    EXPECT_EQ(error(), QUIRE_OK);
    for (void* const block : {static_cast<void*>(moved), static_cast<void*>(zeroed), aligned}) {
        kernel.free(block);
        EXPECT_EQ(error(), QUIRE_OK);
    }
}

TEST_F(SeriesHeap, MisuseIsRefusedAndTold) {
    ASSERT_EQ(kernel.heap_create(place, 0, 4_MiB), QUIRE_OK);
    auto* const block = static_cast<unsigned char*>(kernel.allocate(100));
    kernel.free(block + 16);
    EXPECT_EQ(error(), QUIRE_MISALIGNED);
    kernel.free(&kernel);
    EXPECT_EQ(error(), QUIRE_FOREIGN);
    block[100] = 1;
    kernel.free(block);
    EXPECT_EQ(error(), QUIRE_CORRUPTED);
    auto* const other = kernel.allocate(200);
    kernel.free(other);
    kernel.free(other);
    EXPECT_EQ(error(), QUIRE_ALREADY_FREE);
}

// As the thread has it: contiguous blocks, a loop of vmmngr_map_page, and the region to the heap.
TEST_F(SeriesHeap, OverARegionMappedPageByPage) {
    const uint32_t blocks = number_of(kernel.alloc_blocks(64));
    ASSERT_NE(blocks, 0U);
    for (uint32_t i = 0; i < 64; ++i) {
        ASSERT_TRUE(kernel.map_page(reinterpret_cast<void*>(uintptr_t{blocks + i * 4096}),
                                    reinterpret_cast<void*>(uintptr_t{place + i * 4096})));
    }
    ASSERT_EQ(kernel.heap_create_region(machine.pointer<void>(place), 64 * 4096), QUIRE_OK);
    const uint32_t free = kernel.free_block_count();
    std::vector<void*> all;
    while (void* const block = kernel.allocate(1000))
        all.push_back(block);
    EXPECT_EQ(error(), QUIRE_OUT_OF_MEMORY);
    EXPECT_GE(all.size(), 50U);
    for (void* const block : all)
        std::memset(block, 3, 1000);
    for (void* const block : all)
        kernel.free(block);
    EXPECT_EQ(kernel.free_block_count(), free);  // it neither grows nor gives back
    EXPECT_EQ(kernel.heap_create(place + 4_MiB, 0, 4_MiB), QUIRE_IN_USE);
    EXPECT_EQ(kernel.heap_create_region(machine.pointer<void>(place), 64 * 4096), QUIRE_IN_USE);
    kernel.heap_destroy();
    EXPECT_EQ(kernel.heap_create_region(machine.pointer<void>(place), 64 * 4096), QUIRE_OK);
}

TEST_F(SeriesHeap, BadPlaces) {
    EXPECT_EQ(kernel.heap_create(place + 1, 0, 4_MiB), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.heap_create(place, 1, 4_MiB), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.heap_create(place, 0, 4_MiB + 1), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.heap_create(place, 8_MiB, 4_MiB), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.heap_create(place, 0, 64_KiB), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.heap_create(0xFFF00000, 0, 4_MiB), QUIRE_OVERFLOW);
    EXPECT_EQ(kernel.heap_create(0xC0000000, 64_KiB, 4_MiB), QUIRE_ALREADY_MAPPED);
    EXPECT_EQ(kernel.heap_create_region(machine.pointer<void>(0x300001), 0x8000), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.heap_create_region(machine.pointer<void>(0x300000), 0), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.heap_create(place, 64_KiB, 4_MiB), QUIRE_OK);
}

// As its users see it: what it promises of PageSource.
TEST(SeriesGrowingPages, UndoesWhatItCannotCommit) {
    Machine machine;
    Memory<Tutorial> memory{SimulatedSeriesCpu(machine.machine(), machine.at())};
    const size_t bytes = Blocks::room_bytes(16384);
    unsigned char* const room = static_cast<unsigned char*>(std::aligned_alloc(64, bytes));
    ASSERT_TRUE(memory.start(16384, {room, bytes}).ok());
    ASSERT_TRUE(memory.make_free(2_MiB, 14_MiB).ok());
    ASSERT_TRUE(memory.initialize().ok());
    GrowingPages<Tutorial> pages(memory);
    ASSERT_TRUE(pages.start(place, 8192, 1_MiB).ok());
    const Result<void*> reserved = pages.reserve(16384, 4096);
    ASSERT_TRUE(reserved.ok());
    const uint64_t free = memory.free_count();
    // Not reserved: blocks were mapped there, and go again.
    void* const wild = machine.pointer<void>(place + 0x80000);
    EXPECT_EQ(pages.commit(wild, 8192).error(), Error::no_region);
    EXPECT_EQ(memory.free_count(), free);
    EXPECT_TRUE(pages.commit(*reserved, 16384).ok());
    EXPECT_EQ(free - memory.free_count(), 3U);  // one of the four lies in the part that stays
    EXPECT_FALSE(pages.commit(*reserved, 16384).ok());
    EXPECT_TRUE(pages.decommit(*reserved, 8192).ok());
    EXPECT_FALSE(pages.decommit(wild, 8192).ok());
    EXPECT_EQ(free - memory.free_count(), 2U);
    EXPECT_FALSE(pages.release(*reserved, 4096).ok());
    EXPECT_TRUE(pages.release(*reserved, 16384).ok());
    EXPECT_EQ(memory.free_count(), free);
    pages.stop();
    EXPECT_EQ(memory.free_count(), free + 2);
    std::free(room);
}

TEST_F(SeriesHeap, OutOfMemoryAtEveryPoint) {
    std::vector<uint32_t> held;
    kernel.createPageTable(kernel.active(), place, 3);  // which stays when the rest is undone
    while (void* const block = kernel.alloc_blocks(1))
        held.push_back(number_of(block));
    bool created = false;
    for (size_t left = 0; left < 200 && !created; ++left) {
        ASSERT_EQ(kernel.free_block_count(), left);
        created = kernel.heap_create(place, 0, 1_MiB) == QUIRE_OK;
        if (!created) {
            ASSERT_EQ(kernel.free_block_count(), left);
            kernel.free_blocks(held.back(), 1);
            held.pop_back();
        }
    }
    ASSERT_TRUE(created);
    for (;;) {
        const uint32_t before = kernel.free_block_count();
        void* const block = kernel.allocate(3 * 4096 + 5);
        if (block == nullptr) {
            EXPECT_EQ(error(), QUIRE_OUT_OF_MEMORY);
            ASSERT_EQ(kernel.free_block_count(), before);
            if (held.size() < 3000) break;
            for (int i = 0; i < 3; ++i) {
                kernel.free_blocks(held.back(), 1);
                held.pop_back();
            }
        }
    }
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

}  // namespace
}  // namespace quire::series::heap_test
