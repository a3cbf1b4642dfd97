// SPDX-License-Identifier: MIT
// What each way to ask for frames gives, and what it refuses.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

TEST(FrameAllocate, EveryFrameOnceAndNoMore) {
    Machine machine({{1, 2000}, {700, 5, MemoryKind::reserved}});
    std::set<uint64_t> seen;
    for (int i = 0; i < 1995; ++i) {
        const auto frame = machine.frames.allocate();
        ASSERT_TRUE(frame.ok());
        EXPECT_TRUE(seen.insert(frame->value()).second);
        EXPECT_FALSE(machine.frames.is_free(*frame));
        EXPECT_TRUE(machine.map->is_usable(FrameRange(*frame, FrameCount(1))));
    }
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_EQ(machine.free(), 0u);
    EXPECT_EQ(machine.frames.counters().total, FrameCount(1995));
}

TEST(FrameAllocate, ServesAsAFrameSource) {
    Machine machine({{1, 2}});
    const auto frame = machine.frames.allocate_frame();
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(machine.free(), 1u);
    EXPECT_TRUE(machine.frames.free_frame(*frame).ok());
    EXPECT_EQ(machine.free(), 2u);
    EXPECT_EQ(machine.frames.allocate_frame_up_to(Frame(1)).value(), Frame(1));
    EXPECT_EQ(machine.frames.allocate_frame_up_to(Frame(1)).error(), Error::out_of_frames);
    EXPECT_EQ(machine.free(), 1u);
}

TEST(FrameAllocateOrder, NaturallyAlignedUpToGibibytes) {
    const uint64_t gibi_frames = uint64_t{1} << (30 - page_shift);
    Machine machine({{1, 4 * gibi_frames}});
    for (unsigned order = 0; order <= 18; ++order) {
        const auto run = machine.frames.allocate_order(order);
        ASSERT_TRUE(run.ok()) << order;
        EXPECT_EQ(run->count().value(), uint64_t{1} << order);
        EXPECT_TRUE(run->first().is_aligned(run->count()));
    }
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(22), Error::out_of_frames, 1u << 22));
}

TEST(FrameAllocateOrder, TooLargeForAnyMemory) {
    Machine machine({{1, 100}});
    const unsigned last = 63 - page_shift;
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(last + 1), Error::bad_argument, last + 1));
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(64), Error::bad_argument, 64));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_order(UINT32_MAX), Error::bad_argument, UINT32_MAX));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_order(last), Error::out_of_frames, uint64_t{1} << last));
    EXPECT_EQ(machine.free(), 100u);
}

TEST(FrameAllocateOrder, NoUnalignedHoleWillDo) {
    Machine machine({{1, 2000}});
    machine.leave_free({run_of(3, 4), run_of(508, 8)});
    std::set<uint64_t> seen;
    seen.insert(machine.frames.allocate_order(2).value().first().value());
    seen.insert(machine.frames.allocate_order(2).value().first().value());
    EXPECT_EQ(seen, (std::set<uint64_t>{508, 512}));
    EXPECT_TRUE(fails_with(machine.frames.allocate_order(2), Error::out_of_frames, 4));
    EXPECT_EQ(machine.frames.allocate_order(1).value(), run_of(4, 2));
}

TEST(FrameAllocateRun, Errors) {
    Machine machine({{1, 2000}});
    FrameAllocator& frames = machine.frames;
    const auto with = [](uint64_t alignment, uint64_t boundary) {
        return FrameConstraints{.alignment = FrameCount(alignment),
                                .boundary = FrameCount(boundary)};
    };
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(0)), Error::zero_size, 0));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(3), with(0, 0)), Error::misaligned, 0));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(3), with(3, 0)), Error::misaligned, 3));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(3), with(1, 12)), Error::misaligned, 12));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(9), with(1, 8)), Error::bad_argument, 9));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(2001)), Error::out_of_frames, 2001));
    EXPECT_TRUE(
        fails_with(frames.allocate_run(FrameCount(UINT64_MAX)), Error::out_of_frames, UINT64_MAX));
    EXPECT_EQ(machine.free(), 2000u);
    EXPECT_TRUE(frames.allocate_run(FrameCount(8), with(1, 8)).ok());
}

TEST(FrameAllocateRun, AnyCountThereIsRoomFor) {
    for (const uint64_t count :
         {1u, 2u, 3u, 100u, 511u, 512u, 513u, 1023u, 1024u, 1500u, 2999u, 3000u}) {
        Machine machine({{1, 3000}});
        const auto run = machine.frames.allocate_run(FrameCount(count));
        ASSERT_TRUE(run.ok()) << count;
        EXPECT_EQ(run->count().value(), count);
        for (const Frame frame : *run)
            EXPECT_FALSE(machine.frames.is_free(frame));
        EXPECT_EQ(machine.free(), 3000 - count);
    }
}

TEST(FrameAllocateRun, FindsTheOnlyPlaceWhereverItIs) {
    Machine machine({{1, 3000}});
    for (const uint64_t count : {1u, 5u, 64u, 100u, 512u, 700u, 1600u}) {
        for (const uint64_t first : {1u, 63u, 400u, 511u, 512u, 513u, 1000u, 1401u}) {
            machine.leave_free({run_of(first, count)});
            const auto run = machine.frames.allocate_run(FrameCount(count));
            ASSERT_TRUE(run.ok()) << count << " at " << first;
            EXPECT_EQ(*run, run_of(first, count));
            EXPECT_TRUE(
                fails_with(machine.frames.allocate_run(FrameCount(1)), Error::out_of_frames, 1));
            ASSERT_TRUE(machine.frames.free(*run).ok());
            EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(count + 1)),
                                   Error::out_of_frames, count + 1));
        }
    }
}

TEST(FrameAllocateRun, PrefersTheShortestRunThatHasRoom) {
    Machine machine({{1, 20000}});
    machine.leave_free(
        {run_of(5010, 3000), run_of(9000, 700), run_of(10000, 900), run_of(11000, 1500)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(600)).value(), run_of(9000, 600));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(600)).value(), run_of(10000, 600));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(600)).value(), run_of(11000, 600));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(600)).value(), run_of(11600, 600));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(2000)).value(), run_of(5010, 2000));
}

TEST(FrameAllocateRun, Highest) {
    Machine machine({{1, 3000}});
    const auto below = [](uint64_t highest) { return FrameConstraints{.highest = Frame(highest)}; };
    machine.leave_free({run_of(100, 10), run_of(1000, 100)});
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(1), below(99)), Error::out_of_frames, 1));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(1), below(100)).value(), run_of(100, 1));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(9), below(108)),
                           Error::out_of_frames, 9));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(9), below(109)).value(), run_of(101, 9));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(64), below(1062)),
                           Error::out_of_frames, 64));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(64), below(1063)).value(), run_of(1000, 64));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(1), below(0)), Error::out_of_frames, 1));
}

TEST(FrameAllocateRun, Alignment) {
    Machine machine({{1, 5000}});
    const auto aligned = [](uint64_t unit) {
        return FrameConstraints{.alignment = FrameCount(unit)};
    };
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(3), aligned(4096)).value(), run_of(4096, 3));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(1), aligned(8192)),
                           Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(1), aligned(uint64_t{1} << 63)),
                           Error::out_of_frames, 1));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(1500), aligned(1024)).value(),
              run_of(1024, 1500));
    machine.leave_free({run_of(33, 95)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(64), aligned(64)).value(), run_of(64, 64));
}

TEST(FrameAllocateRun, Boundary) {
    Machine machine({{1, 5000}});
    const auto within = [](uint64_t boundary, uint64_t alignment = 1) {
        return FrameConstraints{.alignment = FrameCount(alignment),
                                .boundary = FrameCount(boundary)};
    };
    machine.leave_free({run_of(10, 12)});  // 16 lies inside
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(7), within(16)),
                           Error::out_of_frames, 7));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(6), within(16)).value(), run_of(10, 6));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(6), within(16)).value(), run_of(16, 6));
    machine.leave_free({run_of(1000, 1500)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(1000), within(1024)).value(),
              run_of(1024, 1000));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(453), within(1024)),
                           Error::out_of_frames, 453));
    // Where 12 frames of 16 must begin at a multiple of 8, only multiples of 16 will do.
    machine.leave_free({run_of(24, 30)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(12), within(16, 8)).value(), run_of(32, 12));
}

TEST(FrameAllocateRun, AlignmentBeyondTheBoundary) {
    Machine machine({{1, 5000}});
    const FrameConstraints constraints{.alignment = FrameCount(256), .boundary = FrameCount(16)};
    machine.leave_free({run_of(250, 300)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(16), constraints).value(), run_of(256, 16));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(16), constraints).value(), run_of(512, 16));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(16), constraints),
                           Error::out_of_frames, 16));
}

TEST(FrameZones, BestFirstThenScarcer) {
    Machine machine({{1, 6000}}, Frame(5000));
    EXPECT_EQ(machine.frames.zone_of(machine.frames.allocate(Zone::high).value()), Zone::high);
    EXPECT_EQ(machine.frames.zone_of(machine.frames.allocate(Zone::direct).value()), Zone::direct);
    EXPECT_EQ(machine.frames.zone_of(machine.frames.allocate(Zone::dma).value()), Zone::dma);
    machine.leave_free({run_of(20, 1), run_of(4500, 1), run_of(5500, 1)});
    EXPECT_EQ(machine.frames.allocate(Zone::high).value(), Frame(5500));
    EXPECT_EQ(machine.frames.allocate(Zone::high).value(), Frame(4500));
    EXPECT_EQ(machine.frames.allocate(Zone::high).value(), Frame(20));
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
}

TEST(FrameZones, NeverAboveTheZoneAskedFor) {
    Machine machine({{1, 6000}}, Frame(5000));
    machine.leave_free({run_of(4500, 1), run_of(5500, 100)});
    EXPECT_TRUE(fails_with(machine.frames.allocate(Zone::dma), Error::out_of_frames, 1));
    EXPECT_EQ(machine.frames.allocate(Zone::direct).value(), Frame(4500));
    EXPECT_TRUE(fails_with(machine.frames.allocate(Zone::direct), Error::out_of_frames, 1));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_order(2, Zone::direct), Error::out_of_frames, 4));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(3), {.zone = Zone::dma}),
                           Error::out_of_frames, 3));
    Frame batch[2];
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_batch(batch, Zone::direct), Error::out_of_frames, 2));
    EXPECT_EQ(machine.free(), 100u);
}

TEST(FrameZones, FallbackCanBeRefused) {
    Machine machine({{1, 6000}}, Frame(5000));
    machine.leave_free({run_of(100, 100), run_of(4500, 10)});
    const FrameConstraints strict{.zone = Zone::direct, .fallback = false};
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(20), strict), Error::out_of_frames, 20));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(10), strict).value(), run_of(4500, 10));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(1), strict), Error::out_of_frames, 1));
    const auto run = machine.frames.allocate_run(FrameCount(20), {.zone = Zone::direct});
    ASSERT_TRUE(run.ok());
    EXPECT_TRUE(run_of(100, 100).contains(*run));
}

// A run that no zone has room for may reach from one into the next, but into no forbidden one.
TEST(FrameZones, RunsAcrossTheEndOfAZone) {
    Machine machine({{1, 6000}}, Frame(5000));
    machine.leave_free({run_of(4080, 32), run_of(4990, 20)});
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(30), {.zone = Zone::direct}).value(),
              run_of(4080, 30));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(15), {.zone = Zone::direct}),
                           Error::out_of_frames, 15));
    const FrameConstraints strict{.zone = Zone::high, .fallback = false};
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(15), strict), Error::out_of_frames, 15));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(15)).value(), run_of(4990, 15));
}

// The end of a zone inside a block does not hide an aligned hole that lies across it.
TEST(FrameZones, AlignedHolesAcrossTheEndOfAZone) {
    Machine machine({{1, 6000}}, Frame(5000));
    machine.leave_free({run_of(4992, 16), run_of(4608, 256)});
    EXPECT_EQ(machine.frames.allocate_order(4, Zone::high).value().first(), Frame(4608));
    EXPECT_TRUE(machine.frames.allocate_at(run_of(4624, 240)).ok());
    EXPECT_EQ(machine.frames.allocate_order(4, Zone::high).value(), run_of(4992, 16));
    Machine other({{1, 6000}}, Frame(5000));
    other.leave_free({run_of(4608, 512)});
    EXPECT_TRUE(
        fails_with(other.frames.allocate_order(9, Zone::direct), Error::out_of_frames, 512));
    EXPECT_EQ(other.frames.allocate_order(9).value(), run_of(4608, 512));
}

TEST(FrameAllocateAt, ExactlyThese) {
    Machine machine({{1, 3000}});
    EXPECT_TRUE(machine.frames.allocate_at(run_of(100, 1500)).ok());
    EXPECT_EQ(machine.free(), 1500u);
    EXPECT_TRUE(machine.frames.is_free(Frame(99)));
    EXPECT_FALSE(machine.frames.is_free(Frame(100)));
    EXPECT_FALSE(machine.frames.is_free(Frame(1599)));
    EXPECT_TRUE(machine.frames.is_free(Frame(1600)));
}

TEST(FrameAllocateAt, AcrossZones) {
    Machine machine({{1, 6000}}, Frame(5000));
    EXPECT_TRUE(machine.frames.allocate_at(run_of(4000, 1500)).ok());
    EXPECT_EQ(machine.free(Zone::dma), 3999u);
    EXPECT_EQ(machine.free(Zone::direct), 0u);
    EXPECT_EQ(machine.free(Zone::high), 501u);
}

TEST(FrameAllocateAt, ErrorsNameTheFirstFrame) {
    Machine machine({{1, 3000}, {500, 20, MemoryKind::reserved}});
    machine.take(200, 10);
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(100, 0)), Error::zero_size, 100));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(100, 1000)), Error::in_use, 200));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(205, 1000)), Error::in_use, 205));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(300, 1000)), Error::reserved, 500));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_at(run_of(2900, 200)), Error::out_of_range, 3001));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(0, 50)), Error::out_of_range, 0));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_at(run_of(9999999, 1)), Error::out_of_range, 9999999));
    EXPECT_EQ(machine.free(), 2970u);
}

TEST(FrameAllocateBatch, AllOrNothing) {
    Machine machine({{1, 100}});
    std::vector<Frame> batch(60, Frame(12345));
    const Span<Frame> span(batch.data(), batch.size());
    ASSERT_TRUE(machine.frames.allocate_batch(span).ok());
    EXPECT_EQ(machine.free(), 40u);
    std::set<uint64_t> seen;
    for (const Frame frame : batch) {
        EXPECT_FALSE(machine.frames.is_free(frame));
        seen.insert(frame.value());
    }
    EXPECT_EQ(seen.size(), 60u);
    std::vector<Frame> more(41, Frame(12345));
    EXPECT_TRUE(fails_with(machine.frames.allocate_batch({more.data(), more.size()}),
                           Error::out_of_frames, 41));
    EXPECT_EQ(machine.free(), 40u);
    EXPECT_EQ(more, std::vector<Frame>(41, Frame(12345)));
    EXPECT_TRUE(machine.frames.allocate_batch({more.data(), 40}).ok());
    EXPECT_TRUE(machine.frames.allocate_batch({}).ok());
}

TEST(FrameCountersTest, FollowEveryOperation) {
    Machine machine({{1, 6000}}, Frame(5000));
    const FrameCounters start = machine.frames.counters();
    EXPECT_EQ(start.of(Zone::dma).total, FrameCount(4095));
    EXPECT_EQ(start.of(Zone::direct).total, FrameCount(904));
    EXPECT_EQ(start.of(Zone::high).total, FrameCount(1001));
    EXPECT_EQ(start.total, FrameCount(6000));
    const auto run = machine.frames.allocate_run(FrameCount(700));
    ASSERT_TRUE(run.ok());
    EXPECT_EQ(machine.free(Zone::high), 301u);
    ASSERT_TRUE(machine.frames.free(run->prefix(FrameCount(300))).ok());
    EXPECT_EQ(machine.free(Zone::high), 601u);
    ASSERT_TRUE(machine.frames.free(run->without_prefix(FrameCount(300))).ok());
    EXPECT_EQ(machine.frames.counters(), start);
}

TEST(FrameLargestRun, CrossesBlocksAndZones) {
    Machine machine({{1, 6000}, {5500, 1, MemoryKind::reserved}}, Frame(5000));
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(5499));
    machine.take(3000, 1);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(2999));
    machine.leave_free({run_of(4999, 2)});
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(2));
    EXPECT_TRUE(machine.frames.allocate_run(FrameCount(2)).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(0));
}

}  // namespace
}  // namespace quire
