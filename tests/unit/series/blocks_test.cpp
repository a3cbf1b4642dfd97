// SPDX-License-Identifier: MIT
// Blocks: regions called free and used in any order, what may be freed, and where the books go.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "series_machine.hpp"

namespace quire::series {
namespace {

using Machine = SeriesMachine<Tutorial>;

class SeriesBlocks : public testing::Test {
  protected:
    SeriesBlocks() { EXPECT_EQ(machine.init(), QUIRE_OK); }
    uint32_t alloc(size_t count = 1) { return number_of(kernel.alloc_blocks(count)); }

    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
};

TEST_F(SeriesBlocks, CountsInBlocksAndKibibytes) {
    EXPECT_EQ(kernel.memory_size(), 16384U);
    EXPECT_EQ(kernel.block_count(), 4096U);
    kernel.init_region(2_MiB, 1_MiB);
    EXPECT_EQ(kernel.free_block_count(), 256U);
    EXPECT_EQ(kernel.use_block_count(), 3840U);
    alloc(6);
    EXPECT_EQ(kernel.free_block_count(), 250U);
    EXPECT_EQ(kernel.use_block_count(), 3846U);
}

TEST_F(SeriesBlocks, FreeIsRoundedInwardAndUsedOutward) {
    EXPECT_EQ(kernel.init_region(0x200001, 0x2FFF), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 2U);
    EXPECT_EQ(kernel.init_region(0x300800, 0x1000), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.free_block_count(), 2U);
    EXPECT_EQ(kernel.deinit_region(0x201FFF, 2), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 0U);
}

TEST_F(SeriesBlocks, TheLaterOfTwoRegionsCounts) {
    kernel.deinit_region(0x300000, 0x4000);
    kernel.init_region(0x2FE000, 0x8000);
    EXPECT_EQ(kernel.free_block_count(), 8U);
    kernel.deinit_region(0x300000, 0x4000);
    EXPECT_EQ(kernel.free_block_count(), 4U);
    EXPECT_EQ(kernel.free_blocks(0x301000, 1), QUIRE_RESERVED);
    kernel.init_region(0x301000, 0x1000);
    EXPECT_EQ(kernel.free_block_count(), 5U);
}

TEST_F(SeriesBlocks, WhatIsKeptIsNeverFree) {
    EXPECT_EQ(kernel.keep_region(0x300000, 0x2001), QUIRE_OK);
    kernel.init_region(0x2FF000, 0x5000);
    EXPECT_EQ(kernel.free_block_count(), 2U);
    EXPECT_EQ(kernel.keep_region(0x2FF000, 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 1U);
    kernel.init_region(0x2FF000, 0x5000);
    EXPECT_EQ(kernel.free_block_count(), 1U);
    EXPECT_EQ(kernel.free_blocks(0x300000, 1), QUIRE_RESERVED);
}

// They stay with who has them: called free, they are not given out again; called used, they are
// not taken back either.
TEST_F(SeriesBlocks, RegionsOverBlocksThatAreGivenOut) {
    kernel.init_region(0x300000, 0x2000);
    const uint32_t first = alloc();
    const uint32_t second = alloc();
    kernel.init_region(0x300000, 0x2000);
    EXPECT_EQ(kernel.free_block_count(), 0U);
    EXPECT_EQ(kernel.deinit_region(first, 0x1000), QUIRE_OK);
    EXPECT_EQ(kernel.free_blocks(first, 1), QUIRE_RESERVED);
    kernel.init_region(0x300000, 0x2000);
    EXPECT_EQ(kernel.free_block_count(), 0U);
    EXPECT_EQ(kernel.free_blocks(second, 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 1U);
}

TEST_F(SeriesBlocks, BadInputRegionsBeyondMemoryAndPast4GiB) {
    EXPECT_EQ(kernel.init_region(16_MiB, 1_MiB), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.init_region(0xFFFFF000, 0x2000), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.init_region(UINT64_MAX - 10, 100), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.deinit_region(16_MiB, 1_MiB), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.keep_region(16_MiB, 1_MiB), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.init_region(3_MiB, 0), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.deinit_region(3_MiB, 0), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.keep_region(3_MiB, 0), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.free_block_count(), 0U);
    // In part: what is there.
    EXPECT_EQ(kernel.init_region(15_MiB, 0xF0000000), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 256U);
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

// A wrong entry of the firmware's calls the kernel free.
TEST(SeriesKernelImage, BadInputRegionsInTheKernel) {
    Machine machine;
    machine.boot_with_paging(0xC0000000);  // tables from 1 MiB on
    Face<Tutorial>& kernel = machine.kernel();
    machine.init();
    kernel.init_region(0, 16_MiB);
    EXPECT_EQ(kernel.keep_region(0x104000, 0x30000), QUIRE_OK);  // the image
    EXPECT_EQ(kernel.init_region(0x100000, 0x40000), QUIRE_OK);
    EXPECT_EQ(kernel.free_blocks(0x104000, 1), QUIRE_RESERVED);
    while (void* const block = kernel.alloc_blocks(1)) {
        const uint32_t at = number_of(block);
        EXPECT_FALSE(at >= 0x100000 && at < 0x103000) << "a live table";
        EXPECT_FALSE(at >= 0x104000 && at < 0x134000) << "the image";
    }
}

TEST_F(SeriesBlocks, RandomRegionsAgreeWithAListOfBlocks) {
    std::mt19937 random(20240801);
    enum class Is { used, free, given, stuck };
    std::vector<Is> blocks(4096, Is::used);
    for (int step = 0; step < 3000; ++step) {
        const uint64_t base = random() % 0x1100000;
        const uint64_t bytes = 1 + random() % 0x40000;
        const auto for_blocks = [&](uint64_t first, uint64_t end, auto change) {
            for (uint64_t i = first; i < end && i < 4096; ++i)
                change(i);
        };
        switch (random() % 4) {
            case 0:
                kernel.init_region(base, bytes);
                for_blocks((base + 4095) / 4096, (base + bytes) / 4096, [&](uint64_t i) {
                    if (i != 0 && blocks[i] == Is::used) blocks[i] = Is::free;
                });
                break;
            case 1:
                kernel.deinit_region(base, bytes);
                for_blocks(base / 4096, (base + bytes + 4095) / 4096, [&](uint64_t i) {
                    if (blocks[i] == Is::free) blocks[i] = Is::used;
                    if (blocks[i] == Is::given) blocks[i] = Is::stuck;
                });
                break;
            case 2: {
                const size_t count = 1 + random() % 40;
                const uint32_t run = alloc(count);
                for (size_t i = 0; i < count && run != 0; ++i) {
                    ASSERT_EQ(blocks[run / 4096 + i], Is::free) << step;
                    blocks[run / 4096 + i] = Is::given;
                }
                break;
            }
            default: {
                const uint64_t i = random() % 4096;
                const bool freed = kernel.free_blocks(static_cast<uint32_t>(i * 4096), 1) == 0;
                ASSERT_EQ(freed, blocks[i] == Is::given) << step;
                if (freed) blocks[i] = Is::free;
            }
        }
        const auto free = std::count(blocks.begin(), blocks.end(), Is::free);
        ASSERT_EQ(kernel.free_block_count(), free) << step;
    }
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

// ---- bad input

TEST_F(SeriesBlocks, BadInputFreeingBlockZero) {
    kernel.init_region(0, 16_MiB);
    EXPECT_EQ(kernel.free_blocks(0, 1), QUIRE_RESERVED);
    EXPECT_EQ(kernel.free_blocks(0, 4), QUIRE_RESERVED);
    EXPECT_EQ(kernel.free_block_count(), 4095U);
}

TEST_F(SeriesBlocks, BadInputFreeingABlockTwiceOrNeverGivenOut) {
    kernel.init_region(4_MiB, 4_MiB);
    const uint32_t block = alloc();
    EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_ALREADY_FREE);
    EXPECT_EQ(kernel.outcome().where(), block);
    EXPECT_EQ(kernel.free_blocks(7_MiB, 1), QUIRE_ALREADY_FREE);
    EXPECT_EQ(kernel.free_blocks(9_MiB, 1), QUIRE_RESERVED);
    EXPECT_EQ(kernel.free_blocks(17_MiB, 1), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.free_blocks(block + 4, 1), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.free_blocks(block, 0), QUIRE_ZERO_SIZE);
    EXPECT_EQ(kernel.free_block_count(), 1024U);
}

TEST_F(SeriesBlocks, BadInputFreeingHalfARun) {
    kernel.init_region(4_MiB, 4_MiB);
    const uint32_t run = alloc(8);
    // A half that is given out may go; what is left is given out still.
    EXPECT_EQ(kernel.free_blocks(run + 4 * 4096, 4), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 1020U);
    // The whole is not: nothing of it is freed.
    EXPECT_EQ(kernel.free_blocks(run, 8), QUIRE_ALREADY_FREE);
    EXPECT_EQ(kernel.outcome().where(), run + 4 * 4096U);
    EXPECT_EQ(kernel.free_block_count(), 1020U);
    EXPECT_EQ(kernel.free_blocks(run, 4), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 1024U);
}

TEST_F(SeriesBlocks, BadInputMoreBlocksThanThereAre) {
    kernel.init_region(4_MiB, 4_MiB);
    EXPECT_EQ(alloc(1025), 0U);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(alloc(SIZE_MAX), 0U);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(alloc(0), 0U);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_ZERO_SIZE);
    physical_addr block = 1;
    EXPECT_EQ(kernel.alloc_blocks(1025, &block), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(block, 1U);
    EXPECT_EQ(kernel.alloc_blocks(2, nullptr), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.free_blocks(4_MiB, 0xFFFFF), QUIRE_ALREADY_FREE);
    EXPECT_EQ(kernel.free_blocks(4_MiB, SIZE_MAX), QUIRE_OVERFLOW);
    EXPECT_EQ(kernel.free_block_count(), 1024U);
    EXPECT_EQ(kernel.alloc_blocks(2, &block), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 1022U);
}

// ---- the books

TEST(SeriesBooks, RoomForEverySize) {
    static MemoryMap map;
    for (uint64_t kib = 8; kib <= 0x400000; kib += kib < 4096 ? 4 : kib / 7) {
        MemoryMapBuilder builder(map);
        builder.add(0, kib << 10, MemoryKind::usable);
        ASSERT_TRUE(builder.finish(PhysicalAddress(UINT32_MAX)).ok());
        const uint64_t allocator = BasicFrameAllocator<NoLock>::metadata_bytes(map).value();
        ASSERT_GE(Blocks::room_bytes(kib), (allocator + 63) / 64 * 64 + kib / 16) << kib;
    }
    // As quire/series_config.h says.
    EXPECT_LE(Blocks::room_bytes(0x400000), 424U << 10);
    EXPECT_LE(Blocks::room_bytes(128 << 10), 18U << 10);
}

TEST(SeriesBooks, SaysHowMuchIsWantedAndWritesNothingWhenItIsTooLittle) {
    Machine machine;
    alignas(64) static unsigned char room[2048];
    std::fill(std::begin(room), std::end(room), static_cast<unsigned char>(0x5a));
    EXPECT_EQ(machine.kernel().init(16384, {room, sizeof room}), QUIRE_OUT_OF_NODES);
    const uint64_t wanted = machine.kernel().outcome().where();
    EXPECT_GT(wanted, sizeof room);
    EXPECT_LE(wanted, Blocks::room_bytes(16384));
    EXPECT_TRUE(std::all_of(std::begin(room), std::end(room), [](auto b) { return b == 0x5a; }));
    EXPECT_EQ(machine.kernel().block_count(), 0U);
    EXPECT_EQ(machine.kernel().alloc_blocks(1), nullptr);
    // Nothing is lost by having tried.
    EXPECT_EQ(machine.init(16384, wanted), QUIRE_OK);
    EXPECT_EQ(machine.init(), QUIRE_IN_USE);
}

TEST(SeriesBooks, RefusesWhatCannotBeARoom) {
    Machine machine;
    alignas(64) static unsigned char room[8192];
    EXPECT_EQ(machine.kernel().init(1024, {room + 8, sizeof room - 64}), QUIRE_MISALIGNED);
    EXPECT_EQ(machine.kernel().init(7, {room, sizeof room}), QUIRE_NO_USABLE_MEMORY);
    EXPECT_EQ(machine.kernel().init(0, {room, sizeof room}), QUIRE_NO_USABLE_MEMORY);
    EXPECT_EQ(machine.kernel().init(8, {room, sizeof room}), QUIRE_OK);
    EXPECT_EQ(machine.kernel().init_region(0, 8192), QUIRE_OK);
    EXPECT_EQ(machine.kernel().free_block_count(), 1U);
}

// The caller's choice: a place in the machine's own memory, which is then nobody else's.
TEST(SeriesBooks, AtThePlaceThatTheKernelGives) {
    Machine machine;
    const size_t bytes = Blocks::room_bytes(16384);
    machine.ram().fill_pattern(0x1FF000, 0x5000, 3);
    ASSERT_EQ(machine.kernel().init(16384, {machine.pointer<unsigned char>(0x200000), bytes}),
              QUIRE_OK);
    machine.kernel().init_region(0x1FF000, 0x5000);
    // Two pages of books, whatever is called free.
    EXPECT_EQ(bytes / 4096, 1U);
    EXPECT_EQ(machine.kernel().free_block_count(), 3U);
    EXPECT_EQ(machine.kernel().free_blocks(0x200000, 1), QUIRE_RESERVED);
    EXPECT_TRUE(machine.ram().holds_pattern(0x1FF000, 0x1000, 3));
    while (void* const block = machine.kernel().alloc_blocks(1)) {
        EXPECT_NE(number_of(block), 0x200000U);
        EXPECT_NE(number_of(block), 0x201000U);
    }
}

TEST(SeriesBooks, ValidateNoticesBooksThatWereOverwritten) {
    Machine machine;
    std::vector<unsigned char> memory(Blocks::room_bytes(16384) + 64);
    unsigned char* const room =
        memory.data() + 64 - reinterpret_cast<uintptr_t>(memory.data()) % 64;
    ASSERT_EQ(machine.kernel().init(16384, {room, Blocks::room_bytes(16384)}), QUIRE_OK);
    machine.kernel().init_region(8_MiB, 8_MiB);
    EXPECT_EQ(machine.kernel().validate(), QUIRE_OK);
    // The states of the last blocks, two bits each, are the last that is written.
    const std::vector<unsigned char> clean(room, room + Blocks::room_bytes(16384));
    size_t last = clean.size();
    while (clean[last - 1] == 0)
        --last;
    room[last - 1] = 0;
    EXPECT_EQ(machine.kernel().validate(), QUIRE_CORRUPTED);
    EXPECT_EQ(machine.kernel().outcome().where(), 4092U * 4096U);
    room[last - 1] = clean[last - 1];
    EXPECT_EQ(machine.kernel().validate(), QUIRE_OK);
}

TEST(SeriesBooks, AllOf4GiB) {
    Machine machine;
    ASSERT_EQ(machine.init(0x500000), QUIRE_OK);  // 5 GiB, of which 4 can be addressed
    EXPECT_EQ(machine.kernel().block_count(), 0x100000U);
    EXPECT_EQ(machine.kernel().init_region(0xFFFFF000, 0x1000), QUIRE_OK);
    EXPECT_EQ(number_of(machine.kernel().alloc_blocks(1)), 0xFFFFF000U);
    EXPECT_EQ(machine.kernel().free_blocks(0xFFFFF000, 2), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(machine.kernel().free_blocks(0xFFFFF000, 1), QUIRE_OK);
}

// ---- locks

// A CPU before paging, for many threads.
struct BareCpu {
    using Local = sim::MappedMachine::LocalTlb;
    AddressView view() const { return AddressView(); }
    bool is_paging() const { return false; }
    void set_paging(bool) const {}
    bool large_pages() const { return false; }
    Frame root() const { return Frame(0); }
    void load_root(Frame) const {}
    void flush_page(VirtualAddress) const {}
    void flush_all() const {}
    uint32_t code() const { return 0; }
    uint32_t stack() const { return 0; }
};
struct Bare : ChoicesOfConfig {
    using Cpu = BareCpu;
};
static_assert(same_as<ChoicesOfConfig::Lock, SpinLock>);

// QUIRE_SERIES_LOCK: several CPUs at once. The series had none: "no locks".
TEST(SeriesConcurrent, NoLocks) {
    static Face<Bare> kernel;
    const size_t bytes = Blocks::room_bytes(16384);
    unsigned char* const room = static_cast<unsigned char*>(std::aligned_alloc(64, bytes + 64));
    ASSERT_EQ(kernel.init(16384, {room, bytes}), QUIRE_OK);
    kernel.init_region(1_MiB, 8_MiB);
    const auto work = [](uint32_t seed) {
        std::mt19937 random(seed);
        std::vector<uint32_t> mine;
        for (int step = 0; step < 300; ++step) {
            if (mine.empty() || random() % 2 == 0) {
                const uint32_t block = number_of(kernel.alloc_blocks(1));
                if (block != 0) mine.push_back(block);
            } else {
                EXPECT_EQ(kernel.free_blocks(mine.back(), 1), QUIRE_OK);
                mine.pop_back();
            }
        }
        for (const uint32_t block : mine)
            EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_OK);
    };
    std::vector<std::thread> threads;
    // Two, and not for long: on a busy machine each turn of the lock may cost a time slice.
    for (uint32_t i = 0; i < 2; ++i)
        threads.emplace_back(work, i);
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(kernel.free_block_count(), 2048U);
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

}  // namespace
}  // namespace quire::series
