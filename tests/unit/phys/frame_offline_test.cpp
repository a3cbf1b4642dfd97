// SPDX-License-Identifier: MIT
// Frames that are taken off line and brought back.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_offline_test {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

constexpr uint64_t base = 512 * 10;
constexpr uint64_t gibi_frames = uint64_t{1} << (30 - page_shift);

TEST(FrameOffline, ABadFrameIsNeverGivenOut) {
    Machine machine({{base, 512 * 2}});
    ASSERT_TRUE(machine.frames.offline(run_of(base + 5, 1)).ok());
    EXPECT_TRUE(machine.frames.validate().ok());
    EXPECT_EQ(machine.frames.counters().total, FrameCount(1023));
    EXPECT_FALSE(machine.frames.is_free(Frame(base + 5)));
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(base + 5)), Error::reserved, base + 5));
    EXPECT_FALSE(machine.frames.may_be_given_out(Frame(base + 5)));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(base, 8)), Error::reserved, base + 5));
    for (int i = 0; i < 1023; ++i)
        ASSERT_NE(machine.frames.allocate().value(), Frame(base + 5));
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    ASSERT_TRUE(machine.frames.online(run_of(base + 5, 1)).ok());
    EXPECT_EQ(machine.frames.allocate().value(), Frame(base + 5));
    EXPECT_TRUE(machine.frames.free(run_of(base, 1024)).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(1024));
}

TEST(FrameOffline, ErrorsChangeNothing) {
    Machine machine({{base, 512 * 4},
                     {base + 600, 10, MemoryKind::reserved},
                     {base + 700, 10, MemoryKind::module}});
    machine.take(base + 100, 1);
    ASSERT_TRUE(machine.frames.release_reserved(run_of(base + 700, 10)).ok());
    const FrameCounters before = machine.frames.counters();
    const auto refused = [&](const FrameRange& run, Error error, uint64_t where) {
        return fails_with(machine.frames.offline(run), error, where);
    };
    EXPECT_TRUE(refused(run_of(base, 0), Error::zero_size, base));
    EXPECT_TRUE(refused(run_of(1, 1), Error::out_of_range, 1));
    EXPECT_TRUE(refused(run_of(base + 90, 20), Error::in_use, base + 100));
    EXPECT_TRUE(refused(run_of(base + 590, 20), Error::reserved, base + 600));
    EXPECT_TRUE(refused(run_of(base + 705, 1), Error::reserved, base + 705));
    const auto kept = [&](const FrameRange& run, Error error, uint64_t where) {
        return fails_with(machine.frames.online(run), error, where);
    };
    EXPECT_TRUE(kept(run_of(base, 0), Error::zero_size, base));
    EXPECT_TRUE(kept(run_of(1, 1), Error::out_of_range, 1));
    EXPECT_TRUE(kept(run_of(base + 5, 1), Error::in_use, base + 5));
    EXPECT_TRUE(kept(run_of(base + 600, 1), Error::reserved, base + 600));
    EXPECT_EQ(machine.frames.counters(), before);
    FrameAllocator not_started;
    EXPECT_TRUE(fails_with(not_started.offline(run_of(7, 1)), Error::out_of_range, 7));
    EXPECT_TRUE(fails_with(not_started.online(run_of(7, 1)), Error::out_of_range, 7));
    ASSERT_TRUE(machine.frames.offline(run_of(base + 200, 4)).ok());
    EXPECT_TRUE(kept(run_of(base + 202, 4), Error::in_use, base + 204));
    EXPECT_TRUE(machine.frames.online(run_of(base + 200, 4)).ok());
}

// Whole blocks need no bitmap; at most 16 others can be off line in part.
TEST(FrameOffline, BlocksInPartAreCounted) {
    Machine machine({{base, 512 * 40}});
    ASSERT_TRUE(machine.frames.offline(run_of(base + 512 * 20, 512 * 20)).ok());
    for (uint64_t block = 0; block < 16; ++block)
        ASSERT_TRUE(machine.frames.offline(run_of(base + 512 * block + 7, 3)).ok());
    EXPECT_TRUE(fails_with(machine.frames.offline(run_of(base + 512 * 17, 1)), Error::too_many,
                           base + 512 * 17));
    EXPECT_TRUE(fails_with(machine.frames.online(run_of(base + 512 * 21, 1)), Error::too_many,
                           base + 512 * 21));
    // More of the same block needs no more, and a block that is done with makes room.
    EXPECT_TRUE(machine.frames.offline(run_of(base + 100, 1)).ok());
    EXPECT_TRUE(machine.frames.validate().ok());
    EXPECT_TRUE(machine.frames.online(run_of(base + 512 + 7, 3)).ok());
    EXPECT_TRUE(machine.frames.online(run_of(base + 512 * 21 + 1, 511)).ok());
    EXPECT_TRUE(machine.frames.validate().ok());
    EXPECT_TRUE(machine.frames.online(run_of(base + 512 * 21, 1)).ok());
    EXPECT_TRUE(machine.frames.online(run_of(base + 512 * 22, 512 * 18)).ok());
    EXPECT_EQ(machine.frames.allocate_order(9).value().first().value() % 512, 0u);
    EXPECT_TRUE(machine.frames.validate().ok());
}

// Frames off line anywhere, in groups that nobody had asked for, and all of them back.
TEST(FrameOffline, RandomRanges) {
    Machine machine({{700, gibi_frames}, {5000, 100, MemoryKind::reserved}}, Frame(100000));
    const FrameCounters before = machine.frames.counters();
    std::mt19937_64 random(11);
    std::vector<FrameRange> off;
    for (int i = 0; i < 200; ++i) {
        const FrameRange run = run_of(random() % gibi_frames, 1 + random() % 5000);
        const Status taken = machine.frames.offline(run);
        if (taken.ok()) off.push_back(run);
        if (off.size() > 6) {
            std::swap(off[random() % off.size()], off.back());
            ASSERT_TRUE(machine.frames.online(off.back()).ok());
            off.pop_back();
        }
        if (i % 20 == 0) {
            ASSERT_TRUE(machine.frames.validate().ok());
        }
    }
    for (const FrameRange& run : off)
        ASSERT_TRUE(machine.frames.online(run).ok());
    EXPECT_EQ(machine.frames.counters(), before);
}

}  // namespace
}  // namespace quire::frame_offline_test
