// SPDX-License-Identifier: MIT
// A machine so small that all of its states, and all requests in each, can be tried: twelve frames
// that lie across the end of a block and the end of a zone.
#include <gtest/gtest.h>

#include <string>

#include "model/frames/frame_oracle.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::frame_exhaustive_test {
namespace {

using test::FrameOracle;
using test::Machine;
using test::run_of;
using State = FrameOracle::State;

constexpr unsigned count_of_frames = 12;
constexpr uint64_t first_frame = 506;
constexpr uint64_t direct_limit = 510;

class FrameExhaustiveTest : public ::testing::Test {
  protected:
    FrameExhaustiveTest()
        : machine({{first_frame, count_of_frames}}, Frame(direct_limit)),
          oracle(*machine.map, Frame(direct_limit)) {}

    // Visits every state, each of which differs from the one before in one frame (a Gray code).
    template <class Visit>
    void for_each_state(Visit visit) {
        for (unsigned i = 0; i < 1u << count_of_frames; ++i) {
            if (i > 0) flip(first_frame + static_cast<unsigned>(__builtin_ctz(i)));
            visit();
            if (HasFatalFailure()) return;
        }
        const Status valid = machine.frames.validate();
        ASSERT_TRUE(valid.ok());
    }
    void flip(uint64_t frame) {
        const bool free = oracle.state(frame) == State::free;
        oracle.set(frame, free ? State::taken : State::free);
        const Status done =
            free ? machine.frames.allocate_at(run_of(frame, 1)) : machine.frames.free(Frame(frame));
        ASSERT_TRUE(done.ok());
    }
    std::string state() const {
        std::string text = "free:";
        for (uint64_t frame = first_frame; frame < first_frame + count_of_frames; ++frame)
            if (oracle.state(frame) == State::free) text += " " + std::to_string(frame);
        return text;
    }

    Machine machine;
    FrameOracle oracle;
};

TEST_F(FrameExhaustiveTest, EveryRunInEveryState) {
    for_each_state([&] {
        const FrameCounters before = machine.frames.counters();
        for (uint64_t count = 1; count <= count_of_frames + 1; ++count) {
            for (const Zone zone : {Zone::dma, Zone::high}) {
                for (const uint64_t alignment : {1u, 2u, 4u}) {
                    for (const uint64_t boundary : {0u, 4u, 8u, 512u}) {
                        for (const uint64_t highest : {first_frame + 2, Frame::highest}) {
                            if (boundary != 0 && count > boundary) continue;
                            const FrameConstraints constraints{.zone = zone,
                                                               .fallback = alignment != 2,
                                                               .highest = Frame(highest),
                                                               .alignment = FrameCount(alignment),
                                                               .boundary = FrameCount(boundary)};
                            const auto run =
                                machine.frames.allocate_run(FrameCount(count), constraints);
                            ASSERT_EQ(run.ok(), oracle.fits(count, constraints, Zone::dma))
                                << count << " frames; " << state();
                            if (!run.ok()) continue;
                            const uint64_t first = run->first().value();
                            ASSERT_EQ(run->count().value(), count);
                            ASSERT_TRUE(oracle.meets(first, count, constraints));
                            ASSERT_EQ(oracle.refusal_of_allocate_at(first, count), std::nullopt);
                            if (zone == Zone::high && first < direct_limit) {
                                ASSERT_FALSE(oracle.fits(count, constraints, Zone::high))
                                    << count << " frames at " << first << "; " << state();
                            }
                            const Status freed = machine.frames.free(*run);
                            ASSERT_TRUE(freed.ok());
                        }
                    }
                }
            }
        }
        ASSERT_EQ(machine.frames.counters(), before);
        ASSERT_EQ(machine.frames.largest_free_run().value(), oracle.largest_free_run());
    });
}

TEST_F(FrameExhaustiveTest, EveryRangeInEveryState) {
    for_each_state([&] {
        for (uint64_t first = first_frame - 1; first <= first_frame + count_of_frames; ++first) {
            ASSERT_EQ(machine.frames.is_free(Frame(first)), oracle.state(first) == State::free);
            for (uint64_t count = 0; count <= first_frame + count_of_frames + 1 - first; ++count) {
                const FrameRange run = run_of(first, count);
                const auto expect_free = oracle.refusal_of_free(first, count);
                const Status freed = machine.frames.free(run);
                ASSERT_EQ(freed.ok(), !expect_free.has_value());
                if (freed.ok()) {
                    const Status back = machine.frames.allocate_at(run);
                    ASSERT_TRUE(back.ok());
                } else {
                    ASSERT_EQ(freed.failure(), *expect_free) << state();
                }
                const auto expect_taken = oracle.refusal_of_allocate_at(first, count);
                const Status taken = machine.frames.allocate_at(run);
                ASSERT_EQ(taken.ok(), !expect_taken.has_value());
                if (taken.ok()) {
                    const Status back = machine.frames.free(run);
                    ASSERT_TRUE(back.ok());
                } else {
                    ASSERT_EQ(taken.failure(), *expect_taken) << state();
                }
            }
        }
    });
}

}  // namespace
}  // namespace quire::frame_exhaustive_test
