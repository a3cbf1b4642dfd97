// SPDX-License-Identifier: MIT
#include "sim/flushed_frames.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "sim/explicit_machine.hpp"
#include "sim/frame_pool.hpp"
#include "sim/mapped_machine.hpp"
#include "unit/sim/hand_tables.hpp"

namespace quire::sim::test::flushed_frames_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint32_t here = 0xc0001000;

class FlushedFramesTest : public testing::Test {
  protected:
    FlushedFramesTest() : tables(ram) {
        frame = *pool.allocate_frame();
        tables.map(here, static_cast<uint32_t>(address_of(frame).value()));
        tables.map_large(0x80000000, 0);  // a direct map of the first 4 MiB
    }

    Ram ram{flat_segments(16 * MiB)};
    HandTables tables;
    FramePool pool{ram, FrameRange(Frame(0x200), FrameCount(4))};
    Frame frame;
    std::vector<Frame> early;
};

TEST_F(FlushedFramesTest, FreeBeforeTheFlushIsAViolation) {
    MappedMachine machine(ram);
    machine.enable_paging(tables.root());
    FlushedFrames frames(pool, machine);
    frames.on_violation([&](Frame which) { early.push_back(which); });
    ASSERT_TRUE(machine.probe_load<int>(here).ok());
    tables.table_entry(here) = 0;
    EXPECT_TRUE(machine.sees_stale(frame));
    tables.map(here, 0x300000);
    EXPECT_TRUE(machine.sees_stale(frame)) << "the page is there, but elsewhere";
    ASSERT_TRUE(frames.free_frame(frame).ok());
    EXPECT_EQ(early, std::vector<Frame>{frame});
    ASSERT_EQ(*frames.allocate_frame(), frame);
    machine.invalidate_page(here);
    ASSERT_TRUE(frames.free_frame(frame).ok());
    EXPECT_EQ(early.size(), 1u);
    EXPECT_TRUE(pool.is_free(frame));
}

TEST_F(FlushedFramesTest, BeingSeenThroughADirectMapIsNone) {
    MappedMachine machine(ram);
    machine.enable_paging(tables.root());
    FlushedFrames frames(pool, machine);
    frames.on_violation([&](Frame which) { early.push_back(which); });
    ASSERT_TRUE(machine.probe_load<int>(0x80000000).ok());
    EXPECT_TRUE(machine.sees(frame));
    ASSERT_TRUE(frames.free_frame(frame).ok());
    EXPECT_TRUE(early.empty());
}

TEST_F(FlushedFramesTest, PartOfALargePageThatIsSplit) {
    MappedMachine machine(ram);
    machine.enable_paging(tables.root());
    ASSERT_TRUE(machine.probe_load<int>(0x80000000).ok());
    tables.directory_entry(0x80000000) = 0;
    tables.map(0x80000000 + 0x200000, 0x200000);
    EXPECT_FALSE(machine.sees_stale(Frame(0x200))) << "still mapped, by a small page";
    EXPECT_TRUE(machine.sees_stale(Frame(0x201)));
}

TEST_F(FlushedFramesTest, TablesCount) {
    MappedMachine machine(ram);
    machine.enable_paging(tables.root());
    const Frame table(tables.directory_entry(here) >> 12);
    ASSERT_TRUE(machine.probe_load<int>(here).ok());
    EXPECT_FALSE(machine.sees_stale(table));
    tables.directory_entry(here) = 0;
    EXPECT_TRUE(machine.sees_stale(table));
    machine.invalidate_page(0);
    EXPECT_FALSE(machine.sees_stale(table));
}

TEST_F(FlushedFramesTest, ExplicitMachineAsksEveryCpu) {
    ExplicitMachine machine(ram, 3);
    machine.enable_paging(tables.root());
    FlushedFrames frames(pool, machine);
    frames.on_violation([&](Frame which) { early.push_back(which); });
    machine.cpu(2).load<int>(here);
    tables.table_entry(here) = 0;
    machine.cpu(0).invalidate_page(here);
    ASSERT_TRUE(frames.free_frame(frame).ok());
    EXPECT_EQ(early.size(), 1u);
    ASSERT_EQ(*frames.allocate_frame(), frame);
    machine.cpu(2).invalidate_page(here);
    ASSERT_TRUE(frames.free_frame(frame).ok());
    EXPECT_EQ(early.size(), 1u);
}

}  // namespace
}  // namespace quire::sim::test::flushed_frames_test
