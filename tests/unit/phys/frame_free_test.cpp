// SPDX-License-Identifier: MIT
// How frames come back, what is refused, and what is released late.
#include <gtest/gtest.h>

#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

Span<const Frame> span_of(const std::vector<Frame>& frames) {
    return {frames.data(), frames.size()};
}

TEST(FrameFree, InWholeOrInPartHoweverAskedFor) {
    Machine machine({{1, 3000}});
    const auto run = machine.frames.allocate_run(FrameCount(1500));
    const auto order = machine.frames.allocate_order(8);
    const auto single = machine.frames.allocate();
    ASSERT_TRUE(run.ok() && order.ok() && single.ok());
    EXPECT_TRUE(machine.frames.free(run->first() + FrameCount(700)).ok());
    EXPECT_TRUE(machine.frames.free(run->prefix(FrameCount(700))).ok());
    EXPECT_TRUE(machine.frames.free(run->without_prefix(FrameCount(701))).ok());
    EXPECT_TRUE(machine.frames.free(order->without_prefix(FrameCount(1))).ok());
    EXPECT_TRUE(machine.frames.free(order->first()).ok());
    EXPECT_TRUE(machine.frames.free(FrameRange(*single, FrameCount(1))).ok());
    EXPECT_EQ(machine.free(), 3000u);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(3000));
}

TEST(FrameFree, NeighboursAreGivenBackTogether) {
    Machine machine({{1, 3000}});
    machine.take(100, 300);
    machine.take(400, 1000);
    EXPECT_TRUE(machine.frames.free(run_of(100, 1300)).ok());
    EXPECT_EQ(machine.free(), 3000u);
}

// Blocks go and come as a whole, past the books of their parts.
TEST(FrameFree, WholeBlocks) {
    Machine machine({{512, 512 * 6}});
    std::vector<Frame> taken;
    for (unsigned i = 0; i < 6; ++i) {
        const auto block = machine.frames.allocate_order(
            9, Zone::high, i % 2 == 0 ? Mobility::unmovable : Mobility::movable);
        ASSERT_TRUE(block.ok());
        EXPECT_EQ(block->count(), FrameCount(512));
        taken.push_back(block->first());
        EXPECT_EQ(machine.frames.statistics().whole_blocks, 5u - i);
        EXPECT_EQ(machine.free(), 512u * (5 - i));
        ASSERT_TRUE(machine.frames.validate().ok());
    }
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(9), Error::out_of_frames, 512));
    for (const size_t i : {2u, 0u, 5u}) {
        ASSERT_TRUE(machine.frames.free(FrameRange(taken[i], FrameCount(512))).ok());
        ASSERT_TRUE(machine.frames.validate().ok());
        EXPECT_TRUE(fails_with(machine.frames.free(FrameRange(taken[i], FrameCount(512))),
                               Error::already_free, taken[i].value()));
    }
    EXPECT_EQ(machine.frames.statistics().whole_blocks, 3u);
    // What was freed last is given out first, and single frames of either kind come from any.
    EXPECT_EQ(machine.frames.allocate_order(9)->first(), taken[5]);
    EXPECT_EQ(machine.frames.allocate(Zone::high, Mobility::movable).value(), taken[0]);
    EXPECT_EQ(machine.frames.allocate().value(), taken[2]);
}

// As many frames as a block has, but not a block that was given out as a whole.
TEST(FrameFree, RunsAsLongAsABlock) {
    Machine machine({{512, 512 * 3}, {512 * 8, 300}, {512 * 9, 512}});
    machine.leave_free({});
    EXPECT_TRUE(machine.frames.free(run_of(700, 512)).ok());
    EXPECT_EQ(machine.free(), 512u);
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(1024, 512)), Error::already_free, 1024));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(512, 512)), Error::already_free, 700));
    EXPECT_TRUE(
        fails_with(machine.frames.free(run_of(512 * 8, 512)), Error::reserved, 512 * 8 + 300));
    EXPECT_TRUE(
        fails_with(machine.frames.free(run_of(512 * 20, 512)), Error::out_of_range, 512 * 20));
    EXPECT_EQ(machine.free(), 512u);
    EXPECT_TRUE(machine.frames.free(run_of(512 * 9, 512)).ok());
    EXPECT_EQ(machine.frames.statistics().whole_blocks, 1u);
}

TEST(FrameFree, TwiceIsAnError) {
    Machine machine({{1, 3000}});
    machine.take(10, 1000);
    EXPECT_TRUE(machine.frames.free(Frame(500)).ok());
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(500)), Error::already_free, 500));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(10, 1000)), Error::already_free, 500));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(501, 1000)), Error::already_free, 1010));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(9, 5)), Error::already_free, 9));
    EXPECT_EQ(machine.free(), 3000u - 999);
}

TEST(FrameFree, WhatWasNeverGivenOutIsAnError) {
    Machine machine({{1, 3000}, {500, 20, MemoryKind::reserved}, {100000, 10}});
    machine.leave_free({});
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(0)), Error::out_of_range, 0));
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(510)), Error::reserved, 510));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(400, 200)), Error::reserved, 500));
    // Between memory, wherever the books have a hole.
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(3001)), Error::reserved, 3001));
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(50000)), Error::reserved, 50000));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(2900, 97101)), Error::reserved, 3001));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(100005, 6)), Error::out_of_range, 100010));
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(Frame::highest)), Error::out_of_range,
                           Frame::highest));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(100, 0)), Error::zero_size, 100));
    EXPECT_EQ(machine.free(), 0u);
}

TEST(FrameFree, AcrossZones) {
    Machine machine({{1, 6000}}, Frame(5000));
    machine.leave_free({});
    EXPECT_TRUE(machine.frames.free(run_of(4000, 1500)).ok());
    EXPECT_EQ(machine.free(Zone::dma), 96u);
    EXPECT_EQ(machine.free(Zone::direct), 904u);
    EXPECT_EQ(machine.free(Zone::high), 500u);
}

TEST(FrameFreeBatch, AllOrNothing) {
    Machine machine({{1, 3000}, {500, 20, MemoryKind::reserved}});
    machine.leave_free({run_of(700, 1)});
    EXPECT_TRUE(machine.frames.free_batch(span_of({Frame(5), Frame(2000), Frame(6)})).ok());
    EXPECT_EQ(machine.free(), 4u);
    EXPECT_TRUE(machine.frames.free_batch({}).ok());
    const auto refused = [&](std::vector<Frame> frames, Error error, uint64_t where) {
        const FrameCounters before = machine.frames.counters();
        EXPECT_TRUE(fails_with(machine.frames.free_batch(span_of(frames)), error, where));
        EXPECT_EQ(machine.frames.counters(), before);
        EXPECT_TRUE(machine.frames.validate().ok());
        EXPECT_FALSE(machine.frames.is_free(frames[0]));
    };
    refused({Frame(10), Frame(11), Frame(700), Frame(12)}, Error::already_free, 700);
    refused({Frame(10), Frame(11), Frame(510)}, Error::reserved, 510);
    refused({Frame(10), Frame(1010), Frame(99999)}, Error::out_of_range, 99999);
    refused({Frame(10), Frame(11), Frame(10)}, Error::already_free, 10);  // twice in one batch
}

TEST(FrameRelease, ReservedFramesBecomeFree) {
    Machine machine({{1, 3000},
                     {600, 1000, MemoryKind::module},
                     {100, 10, MemoryKind::boot_information},
                     {110, 5, MemoryKind::acpi_reclaimable}});
    const uint64_t before = machine.free();
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(100)), Error::reserved, 100));
    // Neighbours of different kinds at once.
    EXPECT_TRUE(machine.frames.release_reserved(run_of(100, 15)).ok());
    EXPECT_EQ(machine.free(), before + 15);
    EXPECT_EQ(machine.frames.counters().total.value(), before + 15);
    EXPECT_TRUE(machine.frames.is_free(Frame(114)));
    // In part, over whole blocks, and the rest later.
    EXPECT_TRUE(machine.frames.release_reserved(run_of(700, 900)).ok());
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(690, 20)), Error::reserved, 690));
    EXPECT_TRUE(machine.frames.release_reserved(run_of(600, 100)).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(3000));
    EXPECT_TRUE(machine.frames.validate().ok());
    // Now they are like any other frame.
    EXPECT_TRUE(machine.frames.allocate_at(run_of(1, 3000)).ok());
    EXPECT_TRUE(machine.frames.free(run_of(1, 3000)).ok());
}

TEST(FrameRelease, Errors) {
    Machine machine({{1, 3000},
                     {600, 100, MemoryKind::module},
                     {700, 100, MemoryKind::reserved},
                     {900, 100, MemoryKind::kernel}});
    const FrameCounters before = machine.frames.counters();
    const auto release = [&](uint64_t first, uint64_t count) {
        return machine.frames.release_reserved(run_of(first, count));
    };
    EXPECT_TRUE(fails_with(release(600, 0), Error::zero_size, 600));
    EXPECT_TRUE(fails_with(release(650, 60), Error::reserved, 700));
    EXPECT_TRUE(fails_with(release(750, 1), Error::reserved, 750));
    EXPECT_TRUE(fails_with(release(599, 10), Error::in_use, 599));
    EXPECT_TRUE(fails_with(release(950, 51), Error::in_use, 1000));
    EXPECT_TRUE(fails_with(release(0, 1), Error::out_of_range, 0));
    EXPECT_TRUE(fails_with(release(3001, 1), Error::out_of_range, 3001));
    EXPECT_TRUE(fails_with(release(123456789, 5), Error::out_of_range, 123456789));
    EXPECT_EQ(machine.frames.counters(), before);
    // Usable frames are no matter for release, given out or not.
    machine.take(20, 1);
    EXPECT_TRUE(fails_with(release(20, 1), Error::in_use, 20));
    // Nor are frames released before.
    EXPECT_TRUE(release(940, 20).ok());
    EXPECT_TRUE(fails_with(release(930, 20), Error::in_use, 940));
    EXPECT_TRUE(fails_with(release(900, 100), Error::in_use, 940));
    EXPECT_TRUE(release(900, 40).ok());
}

TEST(FrameRelease, KindsThatStay) {
    const std::vector<MemoryKind> stay{MemoryKind::persistent, MemoryKind::acpi_nvs,
                                       MemoryKind::reserved,   MemoryKind::bad,
                                       MemoryKind::low_memory, MemoryKind::frame_zero};
    for (const MemoryKind kind : stay) {
        Machine machine({{1, 3000}, {600, 10, kind}});
        EXPECT_TRUE(
            fails_with(machine.frames.release_reserved(run_of(605, 1)), Error::reserved, 605))
            << to_string(kind);
    }
    EXPECT_FALSE(is_releasable(MemoryKind::beyond_reach));
    const std::vector<MemoryKind> go{MemoryKind::acpi_reclaimable, MemoryKind::boot_information,
                                     MemoryKind::module, MemoryKind::kernel};
    for (const MemoryKind kind : go) {
        Machine machine({{1, 3000}, {600, 10, kind}});
        EXPECT_TRUE(machine.frames.release_reserved(run_of(605, 1)).ok()) << to_string(kind);
    }
}

TEST(FrameRelease, AboveAndBelowUsableMemory) {
    Machine machine({{20000, 1000},
                     {21000, 50, MemoryKind::acpi_reclaimable},
                     {19000, 1000, MemoryKind::kernel}},
                    Frame(21010));
    EXPECT_EQ(machine.free(), 1000u);
    EXPECT_TRUE(machine.frames.release_reserved(run_of(19000, 1000)).ok());
    EXPECT_TRUE(machine.frames.release_reserved(run_of(21000, 50)).ok());
    EXPECT_EQ(machine.free(Zone::high), 40u);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(2050));
    EXPECT_TRUE(
        fails_with(machine.frames.release_reserved(run_of(21050, 1)), Error::out_of_range, 21050));
}

TEST(FrameRelease, FarOutsideIsOutOfRange) {
    Machine machine({{1, 1000}, {100000, 50, MemoryKind::acpi_reclaimable}});
    EXPECT_TRUE(fails_with(machine.frames.release_reserved(run_of(100000, 50)), Error::out_of_range,
                           100000));
}

}  // namespace
}  // namespace quire
