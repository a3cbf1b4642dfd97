// SPDX-License-Identifier: MIT
#include "quire/phys/boot_frames.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire {
namespace {

using test::everything;
using test::fails_with;
using test::make_map;
using test::run_of;

std::vector<FrameRange> given(const BootFrames& boot) {
    return {boot.given().begin(), boot.given().end()};
}

TEST(BootFrames, GivesTheHighestFirst) {
    const auto map = make_map({{1, 99}, {200, 3}});
    BootFrames boot(*map, everything);
    EXPECT_EQ(boot.allocate_frame().value(), Frame(202));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(201));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(200));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(99));
    EXPECT_EQ(given(boot), (std::vector{run_of(200, 3), run_of(99, 1)}));
    EXPECT_EQ(boot.given_frames(), FrameCount(4));
    EXPECT_EQ(&boot.map(), map.get());
}

TEST(BootFrames, GivesEveryUsableFrameOnce) {
    const auto map = make_map({{1, 50}, {20, 5, MemoryKind::reserved}, {60, 1}, {62, 10}});
    BootFrames boot(*map, everything);
    Frame last(1000);
    for (uint64_t i = 0; i < map->usable_frames().value(); ++i) {
        const Frame frame = boot.allocate_frame().value();
        EXPECT_LT(frame, last);
        EXPECT_TRUE(map->is_usable(FrameRange(frame, FrameCount(1))));
        last = frame;
    }
    EXPECT_TRUE(fails_with(boot.allocate_frame(), Error::out_of_frames, 1));
    EXPECT_EQ(boot.given_frames(), map->usable_frames());
}

TEST(BootFrames, KeepsToWhatIsReachable) {
    const auto map = make_map({{1, 99}});
    BootFrames boot(*map, run_of(10, 5));
    EXPECT_EQ(boot.allocate_run(FrameCount(4)).value(), run_of(11, 4));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(10));
    EXPECT_TRUE(fails_with(boot.allocate_frame(), Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(9)), Error::foreign, 9));
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(15)), Error::foreign, 15));
    EXPECT_EQ(boot.given_frames(), FrameCount(5));
}

TEST(BootFrames, GivesAFrameNotAboveAnother) {
    const auto map = make_map({{1, 99}, {200, 3}});
    BootFrames boot(*map, everything);
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(200)).value(), Frame(200));
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(200)).value(), Frame(99));
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(50)).value(), Frame(50));
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(50)).value(), Frame(49));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(202));
    // In the middle of what is given out: as if there were nothing above.
    EXPECT_EQ(boot.allocate_run(FrameCount(4)).value(), run_of(95, 4));
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(96)).value(), Frame(94));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(201));
    EXPECT_EQ(boot.allocate_frame_up_to(Frame(1)).value(), Frame(1));
    EXPECT_TRUE(fails_with(boot.allocate_frame_up_to(Frame(1)), Error::out_of_frames, 1));
}

TEST(BootFrames, NothingReachableIsOutOfFrames) {
    const auto map = make_map({{1, 99}});
    BootFrames boot(*map, run_of(100, 50));
    EXPECT_TRUE(fails_with(boot.allocate_frame(), Error::out_of_frames, 1));
}

TEST(BootFrames, RunsFollowOneAnother) {
    const auto map = make_map({{1, 50}, {60, 4}});
    BootFrames boot(*map, everything);
    EXPECT_EQ(boot.allocate_run(FrameCount(5)).value(), run_of(46, 5));
    EXPECT_EQ(boot.allocate_run(FrameCount(3)).value(), run_of(61, 3));
    // What was passed over serves single frames still.
    EXPECT_EQ(boot.allocate_frame().value(), Frame(60));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(45));
    EXPECT_EQ(given(boot), (std::vector{run_of(60, 4), run_of(45, 6)}));
}

TEST(BootFrames, RunErrors) {
    const auto map = make_map({{1, 50}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(fails_with(boot.allocate_run(FrameCount(0)), Error::zero_size, 0));
    EXPECT_TRUE(fails_with(boot.allocate_run(FrameCount(51)), Error::out_of_frames, 51));
    EXPECT_TRUE(given(boot).empty());
    EXPECT_TRUE(boot.allocate_run(FrameCount(50)).ok());
}

TEST(BootFrames, AFreedFrameIsAvailableAtOnce) {
    const auto map = make_map({{1, 50}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(boot.allocate_run(FrameCount(10)).ok());
    EXPECT_TRUE(boot.free_frame(Frame(45)).ok());
    EXPECT_EQ(given(boot), (std::vector{run_of(46, 5), run_of(41, 4)}));
    EXPECT_EQ(boot.given_frames(), FrameCount(9));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(45));
    EXPECT_EQ(given(boot), (std::vector{run_of(41, 10)}));
}

TEST(BootFrames, FreeShortensARunAtEitherEnd) {
    const auto map = make_map({{1, 50}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(boot.allocate_run(FrameCount(4)).ok());
    EXPECT_TRUE(boot.free_frame(Frame(50)).ok());
    EXPECT_EQ(given(boot), (std::vector{run_of(47, 3)}));
    EXPECT_TRUE(boot.free_frame(Frame(47)).ok());
    EXPECT_EQ(given(boot), (std::vector{run_of(48, 2)}));
    EXPECT_TRUE(boot.free_frame(Frame(48)).ok());
    EXPECT_TRUE(boot.free_frame(Frame(49)).ok());
    EXPECT_TRUE(given(boot).empty());
}

TEST(BootFrames, FreeErrors) {
    const auto map = make_map({{1, 50}, {10, 5, MemoryKind::reserved}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(boot.allocate_frame().ok());
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(49)), Error::already_free, 49));
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(12)), Error::foreign, 12));
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(51)), Error::foreign, 51));
    EXPECT_TRUE(boot.free_frame(Frame(50)).ok());
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(50)), Error::already_free, 50));
    EXPECT_EQ(boot.given_frames(), FrameCount(0));
}

TEST(BootFrames, TooManyRunsIsAnErrorThatChangesNothing) {
    const auto map = make_map({{1, 1000}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(boot.allocate_run(FrameCount(1000)).ok());
    for (uint64_t i = 1; i < BootFrames::capacity; ++i)
        EXPECT_TRUE(boot.free_frame(Frame(2 * i)).ok());
    EXPECT_EQ(given(boot).size(), BootFrames::capacity);
    const auto before = given(boot);
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(500)), Error::too_many, BootFrames::capacity));
    EXPECT_EQ(given(boot), before);
    // The ends of a run can still be given back, and holes filled again.
    EXPECT_TRUE(boot.free_frame(Frame(1000)).ok());
    EXPECT_EQ(boot.allocate_frame().value(), Frame(1000));
    EXPECT_EQ(boot.allocate_frame().value(), Frame(2 * (BootFrames::capacity - 1)));
    EXPECT_EQ(given(boot).size(), BootFrames::capacity - 1);
}

TEST(BootFrames, TooManyIslands) {
    std::vector<test::Memory> islands;
    for (uint64_t i = 0; i < BootFrames::capacity + 1; ++i)
        islands.push_back({1 + 2 * i, 1});
    const auto map = make_map(islands);
    BootFrames boot(*map, everything);
    for (size_t i = 0; i < BootFrames::capacity; ++i)
        EXPECT_TRUE(boot.allocate_frame().ok());
    EXPECT_TRUE(fails_with(boot.allocate_frame(), Error::too_many, BootFrames::capacity));
    EXPECT_EQ(boot.given_frames(), FrameCount(BootFrames::capacity));
}

TEST(BootFrames, CloseEndsIt) {
    const auto map = make_map({{1, 50}});
    BootFrames boot(*map, everything);
    EXPECT_TRUE(boot.allocate_frame().ok());
    EXPECT_FALSE(boot.closed());
    boot.close();
    EXPECT_TRUE(boot.closed());
    EXPECT_TRUE(fails_with(boot.allocate_frame(), Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(boot.allocate_run(FrameCount(2)), Error::out_of_frames, 2));
    EXPECT_TRUE(fails_with(boot.free_frame(Frame(50)), Error::foreign, 50));
    EXPECT_EQ(boot.given_frames(), FrameCount(1));
}

// Against the plainest model there is: a list of who has what.
TEST(BootFrames, AgreesWithTheNaiveModel) {
    const auto map = make_map({{1, 30}, {40, 1}, {42, 20}, {50, 3, MemoryKind::reserved}, {70, 9}});
    std::mt19937 random(7);
    for (unsigned round = 0; round < 200; ++round) {
        BootFrames boot(*map, run_of(3, 74));
        std::vector<bool> free(80);
        for (uint64_t frame = 3; frame < 77; ++frame)
            free[frame] = map->is_usable(run_of(frame, 1));
        const std::vector<bool> usable = free;
        for (unsigned step = 0; step < 100; ++step) {
            if (random() % 3 != 0) {
                const uint64_t count = 1 + random() % 4;
                uint64_t expected = 0;
                for (uint64_t first = 79; first > 0 && expected == 0; --first) {
                    bool fits = first + count <= 80;
                    for (uint64_t i = 0; i < count && fits; ++i)
                        fits = free[first + i];
                    if (fits) expected = first;
                }
                const auto run = boot.allocate_run(FrameCount(count));
                ASSERT_EQ(run.ok(), expected != 0);
                if (!run.ok()) continue;
                ASSERT_EQ(run.value(), run_of(expected, count));
                for (const Frame frame : *run)
                    free[frame.value()] = false;
            } else {
                const uint64_t frame = random() % 80;
                const Status freed = boot.free_frame(Frame(frame));
                if (!usable[frame]) {
                    ASSERT_TRUE(fails_with(freed, Error::foreign, frame));
                } else if (free[frame]) {
                    ASSERT_TRUE(fails_with(freed, Error::already_free, frame));
                } else {
                    ASSERT_TRUE(freed.ok());
                    free[frame] = true;
                }
            }
            // What is given: descending, never adjoining, and nothing else.
            std::vector<bool> seen(80);
            uint64_t above = UINT64_MAX;
            for (const FrameRange& run : boot.given()) {
                ASSERT_LT(run.last().value() + 1, above);
                above = run.first().value();
                for (const Frame frame : run)
                    seen[frame.value()] = true;
            }
            for (uint64_t frame = 0; frame < 80; ++frame)
                ASSERT_EQ(seen[frame], usable[frame] && !free[frame]) << frame;
        }
    }
}

}  // namespace
}  // namespace quire
