// SPDX-License-Identifier: MIT
// What an allocator says of how much there is: watermarks, the reserve, statistics.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_watermarks_test {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

constexpr uint64_t base = 512 * 10;

class Listener : public FramePressure {
  public:
    void on_pressure(FrameCount free) override {
        heard += "low " + std::to_string(free.value()) + ";";
        // No lock is held: the hook may use the allocator.
        if (give_back != nullptr) {
            EXPECT_TRUE(give_back->free(run_of(base, 10)).ok());
        }
    }
    void on_relief(FrameCount free) override {
        heard += "high " + std::to_string(free.value()) + ";";
    }
    std::string heard;
    FrameAllocator* give_back = nullptr;
};

TEST(FrameWatermarks, TheReserveIsForUrgentRequests) {
    Machine machine({{base, 1024}});
    machine.leave_free({run_of(base, 20)});
    ASSERT_TRUE(machine.frames.set_watermarks({.reserve = FrameCount(8)}).ok());
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(4), Error::out_of_frames, 16));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(13)), Error::out_of_frames, 13));
    Frame batch[13];
    EXPECT_TRUE(fails_with(machine.frames.allocate_batch(batch), Error::out_of_frames, 13));
    EXPECT_EQ(machine.frames.allocate_some(batch), 12u);
    EXPECT_EQ(machine.frames.allocate_some(batch), 0u);
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(0), Error::out_of_frames, 1));
    EXPECT_TRUE(machine.frames.allocate(Zone::high, Mobility::unmovable, Urgency::urgent).ok());
    EXPECT_TRUE(
        machine.frames.allocate_order(1, Zone::high, Mobility::unmovable, Urgency::urgent).ok());
    EXPECT_TRUE(machine.frames.allocate_run(FrameCount(3), {.urgency = Urgency::urgent}).ok());
    ASSERT_TRUE(machine.frames.set_watermarks({}).ok());
    EXPECT_TRUE(machine.frames.allocate().ok());
    EXPECT_EQ(machine.free(), 1u);
}

TEST(FrameWatermarks, PressureIsToldOnceEachTime) {
    Machine machine({{base, 1024}});
    machine.leave_free({run_of(base, 20)});
    Listener listener;
    ASSERT_TRUE(
        machine.frames.set_watermarks({.low = FrameCount(10), .high = FrameCount(15)}, &listener)
            .ok());
    Frame batch[10];
    ASSERT_TRUE(machine.frames.allocate_batch(batch).ok());
    EXPECT_EQ(listener.heard, "");
    const Frame ninth = machine.frames.allocate().value();
    EXPECT_EQ(listener.heard, "low 9;");
    ASSERT_TRUE(machine.frames.allocate_order(0).ok());
    EXPECT_EQ(listener.heard, "low 9;");
    ASSERT_TRUE(machine.frames.free(ninth).ok());
    ASSERT_TRUE(machine.frames.free_batch(Span<const Frame>(batch, 5)).ok());
    EXPECT_EQ(listener.heard, "low 9;");
    EXPECT_EQ(machine.frames.free_some(Span<const Frame>(batch + 5, 1)), 0u);
    EXPECT_EQ(listener.heard, "low 9;high 15;");
    ASSERT_TRUE(machine.frames.allocate_run(FrameCount(3)).ok());
    EXPECT_EQ(machine.frames.allocate_some(Span<Frame>(batch, 4)), 4u);
    EXPECT_EQ(listener.heard, "low 9;high 15;low 8;");
}

TEST(FrameWatermarks, TheHookMayFree) {
    Machine machine({{base, 1024}});
    machine.leave_free({run_of(base + 512, 20)});
    Listener listener;
    listener.give_back = &machine.frames;
    ASSERT_TRUE(
        machine.frames.set_watermarks({.low = FrameCount(20), .high = FrameCount(25)}, &listener)
            .ok());
    ASSERT_TRUE(machine.frames.allocate().ok());
    EXPECT_EQ(listener.heard, "low 19;high 29;");
    EXPECT_EQ(machine.free(), 29u);
}

TEST(FrameWatermarks, MarksOutOfOrderAreRefused) {
    Machine machine({{base, 1024}});
    Listener listener;
    EXPECT_TRUE(fails_with(
        machine.frames.set_watermarks({.low = FrameCount(10), .high = FrameCount(9)}, &listener),
        Error::bad_argument, 9));
    ASSERT_TRUE(machine.frames.allocate_run(FrameCount(1020)).ok());
    EXPECT_EQ(listener.heard, "");
}

TEST(FrameStatistics, CountWholeBlocks) {
    Machine machine({{base, 512 * 4}, {base + 100, 1, MemoryKind::reserved}});
    FrameStatistics statistics = machine.frames.statistics();
    EXPECT_EQ(statistics.total, FrameCount(2047));
    EXPECT_EQ(statistics.free, FrameCount(2047));
    EXPECT_EQ(statistics.whole_blocks, 3u);
    EXPECT_EQ(statistics.fragmentation(), 249u);
    machine.take(base + 512, 1);
    machine.take(base + 1024, 512);
    statistics = machine.frames.statistics();
    EXPECT_EQ(statistics.whole_blocks, 1u);
    EXPECT_EQ(statistics.fragmentation(), 666u);
    machine.leave_free({run_of(base + 3, 5)});
    EXPECT_EQ(machine.frames.statistics().fragmentation(), 1000u);
    machine.take(base + 3, 5);
    EXPECT_EQ(machine.frames.statistics().fragmentation(), 0u);
    FrameStatistics vast;
    vast.free = FrameCount(uint64_t{1} << 40);
    vast.whole_blocks = uint64_t{1} << 30;
    EXPECT_EQ(vast.fragmentation(), 500u);
}

TEST(FrameStatistics, HolesByOrder) {
    Machine machine({{base, 512 * 4}});
    machine.leave_free({run_of(base + 1, 3), run_of(base + 64, 192), run_of(base + 512, 512)});
    const HoleHistogram histogram = machine.frames.holes();
    const uint64_t expected[] = {1, 1, 0, 0, 0, 0, 1, 1, 0, 1};
    for (unsigned order = 0; order <= block_order; ++order)
        EXPECT_EQ(histogram.holes[order], expected[order]) << order;
    // Also of blocks that nobody has asked for yet.
    Machine large({{1, 512 * 200}});
    EXPECT_EQ(large.frames.holes().holes[block_order], 199u);
}

}  // namespace
}  // namespace quire::frame_watermarks_test
