// SPDX-License-Identifier: MIT
#include "sim/frame_pool.hpp"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

#include "sim/failing_frames.hpp"

namespace quire::sim::test::frame_pool_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;
const FrameRange range(Frame(0x200), FrameCount(8));

class FramePoolTest : public testing::Test {
  protected:
    FramePoolTest() {
        pool.on_violation([this](const std::string& what) { violations.push_back(what); });
    }

    Ram ram{8 * MiB};
    FramePool pool{ram, range};
    std::vector<std::string> violations;
};

TEST_F(FramePoolTest, GivesEachFrameOnceThenRunsOut) {
    std::set<uint64_t> given;
    for (int i = 0; i < 8; ++i) {
        const Result<Frame> frame = pool.allocate_frame();
        ASSERT_TRUE(frame.ok());
        EXPECT_TRUE(range.contains(*frame));
        EXPECT_TRUE(given.insert(frame->value()).second);
        EXPECT_FALSE(pool.is_free(*frame));
    }
    EXPECT_EQ(pool.allocate_frame().error(), Error::out_of_frames);
    EXPECT_EQ(pool.used(), FrameCount(8));
    for (const uint64_t number : given)
        EXPECT_TRUE(pool.free_frame(Frame(number)).ok());
    EXPECT_EQ(pool.free(), FrameCount(8));
    EXPECT_TRUE(violations.empty());
}

TEST_F(FramePoolTest, AscendingOrScattered) {
    EXPECT_EQ(*pool.allocate_frame(), Frame(0x200));
    EXPECT_EQ(*pool.allocate_frame(), Frame(0x201));
    FramePool scattered(ram, range, {.scattered = true, .seed = 3});
    FramePool same(ram, range, {.scattered = true, .seed = 3});
    bool ascending = true;
    uint64_t previous = 0;
    for (int i = 0; i < 8; ++i) {
        const uint64_t number = scattered.allocate_frame()->value();
        EXPECT_EQ(same.allocate_frame()->value(), number);
        ascending &= number > previous;
        previous = number;
    }
    EXPECT_FALSE(ascending);
}

TEST_F(FramePoolTest, WrongFreesAreViolations) {
    const Frame frame = *pool.allocate_frame();
    ASSERT_TRUE(pool.free_frame(frame).ok());
    EXPECT_EQ(pool.free_frame(frame).failure(), (Failure{Error::already_free, frame.value()}));
    EXPECT_EQ(pool.free_frame(Frame(0x208)).error(), Error::foreign);
    EXPECT_EQ(pool.free_frame(Frame(0x1ff)).error(), Error::foreign);
    EXPECT_EQ(violations.size(), 3u);
    EXPECT_EQ(pool.free(), FrameCount(8));
}

TEST_F(FramePoolTest, WrongFreesStopTheTestByDefault) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    FramePool strict(ram, range);
    EXPECT_DEATH((void)strict.free_frame(Frame(0x200)), "frame 512 was freed twice");
}

TEST_F(FramePoolTest, FramesComeAndGoAsJunk) {
    const Frame frame = *pool.allocate_frame();
    EXPECT_TRUE(ram.holds(address_of(frame).value(), page_size, FramePool::junk));
    ram.fill(address_of(frame).value(), page_size, 1);
    ASSERT_TRUE(pool.free_frame(frame).ok());
    EXPECT_TRUE(ram.holds(address_of(frame).value(), page_size, FramePool::junk));

    FramePool keeping(ram, range, {.freed = FreedFrames::kept});
    const Frame kept = *keeping.allocate_frame();
    ram.fill(address_of(kept).value(), page_size, 1);
    ASSERT_TRUE(keeping.free_frame(kept).ok());
    EXPECT_TRUE(ram.holds(address_of(kept).value(), page_size, 1));
}

TEST_F(FramePoolTest, NeedsRam) {
    EXPECT_THROW(FramePool(ram, FrameRange(Frame(0xa0), FrameCount(1))), std::out_of_range);
}

TEST_F(FramePoolTest, FailingFramesFailAtTheNthRequestOnly) {
    FailingFrames frames(pool);
    for (uint64_t n = 1; n <= 4; ++n) {
        frames.fail_at(n);
        for (uint64_t i = 1; i <= 4; ++i) {
            const Result<Frame> frame = frames.allocate_frame();
            EXPECT_EQ(frame.ok(), i != n);
            if (frame.ok()) {
                ASSERT_TRUE(frames.free_frame(*frame).ok());
            } else {
                EXPECT_EQ(frame.error(), Error::out_of_frames);
            }
        }
        EXPECT_EQ(frames.requests(), 4u);
        EXPECT_EQ(frames.failures(), 1u);
        EXPECT_EQ(frames.outstanding(), 0u);
    }
}

TEST_F(FramePoolTest, FailingFramesFailFromTheNthRequestOn) {
    FailingFrames frames(pool);
    frames.fail_from(2);
    EXPECT_TRUE(frames.allocate_frame().ok());
    EXPECT_FALSE(frames.allocate_frame().ok());
    EXPECT_FALSE(frames.allocate_frame().ok());
    frames.never_fail();
    EXPECT_TRUE(frames.allocate_frame().ok());
    EXPECT_EQ(frames.outstanding(), 2u);
    EXPECT_EQ(frames.failures(), 0u);
}

TEST_F(FramePoolTest, FailingFramesCountWhatIsOutstanding) {
    FailingFrames frames(pool);
    const Frame first = *frames.allocate_frame();
    const Frame second = *frames.allocate_frame();
    EXPECT_EQ(frames.outstanding_frames(), (std::set<uint64_t>{first.value(), second.value()}));
    ASSERT_TRUE(frames.free_frame(first).ok());
    EXPECT_EQ(frames.outstanding(), 1u);
    // A wrong free changes nothing; a right one of a frame from elsewhere is counted apart.
    EXPECT_FALSE(frames.free_frame(first).ok());
    EXPECT_EQ(frames.outstanding(), 1u);
    EXPECT_EQ(frames.strangers(), 0u);
    ASSERT_TRUE(frames.free_frame(second).ok());
    const Frame elsewhere = *pool.allocate_frame();
    ASSERT_TRUE(frames.free_frame(elsewhere).ok());
    EXPECT_EQ(frames.strangers(), 1u);
    EXPECT_EQ(frames.outstanding(), 0u);
}

}  // namespace
}  // namespace quire::sim::test::frame_pool_test
