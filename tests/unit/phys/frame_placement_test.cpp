// SPDX-License-Identifier: MIT
// Which of the frames that would do are taken: those that leave the most memory in whole blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_placement_test {
namespace {

using test::Machine;
using test::run_of;

constexpr uint64_t base = 512 * 10;  // above 16 MiB, so that there is one zone

uint64_t whole_blocks(Machine& machine, uint64_t blocks) {
    uint64_t whole = 0;
    for (uint64_t block = 0; block < blocks; ++block) {
        bool free = true;
        for (uint64_t i = 0; i < 512 && free; ++i)
            free = machine.frames.is_free(Frame(base + block * 512 + i));
        whole += free ? 1 : 0;
    }
    return whole;
}

TEST(FramePlacement, OneBlockAfterTheOther) {
    Machine machine({{base, 512 * 20}});
    for (unsigned i = 1; i <= 512 * 5 + 1; ++i) {
        ASSERT_TRUE(machine.frames.allocate().ok());
        if (i % 100 != 0) continue;
        ASSERT_EQ(whole_blocks(machine, 20), 20 - (i + 511) / 512);
    }
    EXPECT_EQ(whole_blocks(machine, 20), 14u);
}

TEST(FramePlacement, LowMemoryFirst) {
    Machine machine({{base, 512 * 20}});
    EXPECT_EQ(machine.frames.allocate().value(), Frame(base));
    EXPECT_EQ(machine.frames.allocate_order(9).value(), run_of(base + 512, 512));
}

TEST(FramePlacement, TheFullestBlockFirst) {
    Machine machine({{base, 512 * 4}});
    machine.take(base, 10);             // a little of block 0
    machine.take(base + 512, 300);      // most of block 1
    machine.take(base + 512 * 2, 100);  // some of block 2
    const auto frame = machine.frames.allocate();
    ASSERT_TRUE(frame.ok());
    EXPECT_TRUE(run_of(base + 512, 512).contains(*frame));
    // Where it has no hole large enough, the next.
    EXPECT_EQ(machine.frames.allocate_order(8).value(), run_of(base + 512 * 2 + 256, 256));
    EXPECT_EQ(machine.frames.allocate_order(8).value(), run_of(base + 256, 256));
    EXPECT_EQ(machine.frames.allocate_order(8).value(), run_of(base + 512 * 3, 256));
}

TEST(FramePlacement, TheSmallestHoleFirst) {
    Machine machine({{base, 512 * 4}});
    machine.leave_free({run_of(base, 64), run_of(base + 100, 1), run_of(base + 200, 4)});
    EXPECT_EQ(machine.frames.allocate().value(), Frame(base + 100));
    EXPECT_EQ(machine.frames.allocate().value(), Frame(base + 200));
    EXPECT_EQ(machine.frames.allocate().value(), Frame(base + 201));
    EXPECT_EQ(machine.frames.allocate_order(1).value(), run_of(base + 202, 2));
    EXPECT_EQ(machine.frames.allocate_order(6).value(), run_of(base, 64));
}

TEST(FramePlacement, AmongEquallyFullBlocksTheSmallestHole) {
    Machine machine({{base, 512 * 4}});
    machine.leave_free({run_of(base, 64), run_of(base + 512, 32), run_of(base + 512 + 64, 32),
                        run_of(base + 1024, 16), run_of(base + 1024 + 32, 16),
                        run_of(base + 1024 + 64, 16), run_of(base + 1024 + 96, 16)});
    EXPECT_EQ(machine.frames.allocate_order(5).value(), run_of(base + 512, 32));
    EXPECT_EQ(machine.frames.allocate_order(3).value(), run_of(base + 1024, 8));
    EXPECT_EQ(machine.frames.allocate_order(6).value(), run_of(base, 64));
}

// What is reserved for good counts as used: such blocks can never be whole again.
TEST(FramePlacement, BlocksWithReservedFramesFirst) {
    Machine machine({{base, 512 * 4}, {base + 1024, 1, MemoryKind::reserved}});
    for (int i = 0; i < 511; ++i)
        EXPECT_TRUE(run_of(base + 1025, 511).contains(machine.frames.allocate().value()));
    EXPECT_EQ(whole_blocks(machine, 4), 3u);
}

// Memory that was full, then 90 % freed at random, then rounds in which a tenth of the rest is
// given back and asked for again, until hardly a frame is where it was: nearly all blocks that
// could be whole are.
TEST(FramePlacement, ChurnGathersWhatIsUsed) {
    constexpr uint64_t blocks = 64;
    Machine machine({{base, 512 * blocks}});
    std::vector<Frame> taken(512 * blocks);
    ASSERT_TRUE(machine.frames.allocate_batch({taken.data(), taken.size()}).ok());
    std::mt19937 random(3);
    const auto free_some = [&](size_t count) {
        for (size_t i = 0; i < count; ++i) {
            std::swap(taken[random() % taken.size()], taken.back());
            const Status freed = machine.frames.free(taken.back());
            ASSERT_TRUE(freed.ok());
            taken.pop_back();
        }
    };
    free_some(taken.size() * 9 / 10);
    EXPECT_LT(whole_blocks(machine, blocks), blocks / 10);
    for (int round = 0; round < 100; ++round) {
        const size_t part = taken.size() / 10;
        free_some(part);
        for (size_t i = 0; i < part; ++i)
            taken.push_back(machine.frames.allocate().value());
    }
    const uint64_t ideal = machine.free() / 512;
    EXPECT_GE(whole_blocks(machine, blocks) * 100, ideal * 95);
}

}  // namespace
}  // namespace quire::frame_placement_test
