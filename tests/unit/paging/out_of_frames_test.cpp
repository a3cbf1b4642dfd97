// SPDX-License-Identifier: MIT
// Frames that run out at every request of every operation: nothing changes and nothing is lost.
#include <functional>

#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

class OutOfFramesTest : public EveryWay {
  protected:
    // Runs the operation with the first, second, ... request failing until it succeeds, which must
    // be after `requests` of them.
    void fail_at_every_point(uint64_t requests, const std::function<Status()>& operation) {
        const auto before = dump();
        const auto tables = table().table_frames();
        const auto outstanding = m.frames.outstanding_frames();
        uint64_t n = 1;
        for (;; ++n) {
            m.frames.fail_at(n);
            const Status done = operation();
            m.frames.never_fail();
            if (done.ok()) break;
            ASSERT_EQ(done.error(), Error::out_of_frames);
            ASSERT_EQ(dump(), before) << "after failure " << n;
            ASSERT_EQ(table().table_frames(), tables);
            ASSERT_EQ(m.frames.outstanding_frames(), outstanding);
            ASSERT_TRUE(table().validate().ok());
        }
        EXPECT_EQ(n, requests + 1);
        EXPECT_NE(dump(), before);
        EXPECT_EQ(m.frames.strangers(), 0u);
    }
    template <class Change>
    Status spent(Result<Change> change) {
        if (!change.ok()) return change.failure();
        change->spend(m.tlb);
        return {};
    }
};
INSTANTIATE_TEST_SUITE_P(Ways, OutOfFramesTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(OutOfFramesTest, Map) {
    fail_at_every_point(4, [&] {
        return spent(
            table().map(pages_at(area + large - page_size, 2 * large_pages + 2), Frame(1), data));
    });
}

TEST_P(OutOfFramesTest, MapWithLargePagesInTheMiddle) {
    fail_at_every_point(2, [&] {
        return spent(table().map(pages_at(area - page_size, 2 * large_pages + 2),
                                 free_frame - FrameCount(1), data));
    });
}

TEST_P(OutOfFramesTest, Park) {
    fail_at_every_point(
        2, [&] { return table().park(pages_at(area + large - page_size, large_pages + 2), 12); });
}

TEST_P(OutOfFramesTest, UnmapThatSplitsAtBothEnds) {
    map(pages_at(area, 3 * large_pages), free_frame);
    fail_at_every_point(
        2, [&] { return spent(table().unmap(pages_at(area + page_size, 3 * large_pages - 2))); });
}

TEST_P(OutOfFramesTest, UnmapThatSplitsOneOnBothSides) {
    map(pages_at(area, large_pages), free_frame);
    fail_at_every_point(1, [&] { return spent(table().unmap(pages_at(area + page_size, 1))); });
}

TEST_P(OutOfFramesTest, ProtectThatSplitsAtBothEnds) {
    map(pages_at(area, 3 * large_pages), free_frame);
    fail_at_every_point(2, [&] {
        return spent(table().protect(pages_at(area + page_size, 3 * large_pages - 2), read_only));
    });
}

TEST_P(OutOfFramesTest, OperationsThatNeedNoTableNeverFail) {
    map(pages_at(area, large_pages + 4), free_frame);
    m.frames.fail_from(1);
    map(pages_at(area + 2 * large, large_pages), free_frame);
    map(pages_at(area + large + 0x5000, 1), Frame(3));
    protect(pages_at(area, large_pages + 4), read_only);
    unmap(pages_at(area, large_pages + 4));
    unmap(pages_at(area + large + 0x5000, 1));
    unmap(pages_at(area + 2 * large, large_pages));
    EXPECT_EQ(m.frames.requests(), 0u);
}

TEST_P(OutOfFramesTest, Create) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& other = *made;
    const auto outstanding = m.frames.outstanding_frames();
    for (unsigned n = 1; n <= 1 + mode.fixed_tables; ++n) {
        m.frames.fail_at(n);
        EXPECT_EQ(other.create(m.frames).error(), Error::out_of_frames);
        EXPECT_EQ(m.frames.outstanding_frames(), outstanding);
        EXPECT_EQ(other->table_frames(), FrameCount(0));
        EXPECT_EQ(other->map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
    }
    m.frames.never_fail();
    ASSERT_TRUE(other.create(m.frames).ok());
    ASSERT_TRUE(other.destroy().ok());
    EXPECT_EQ(m.frames.outstanding_frames(), outstanding);
}

// A source whose second frame is one where no table can be.
struct OddFrames {
    Result<Frame> allocate_frame() {
        return given++ == 0 ? pool.allocate_frame() : Result<Frame>(odd);
    }
    Status free_frame(Frame frame) {
        ++freed;
        return frame == odd ? Status() : pool.free_frame(frame);
    }
    sim::FramePool& pool;
    Frame odd;
    int given = 0;
    int freed = 0;
};

TEST_P(OutOfFramesTest, FramesOutOfReachAreGivenBack) {
    OddFrames odd{m.pool, beyond_frames};
    table().set_frame_source(odd);
    const auto before = dump();
    EXPECT_EQ(table().map(pages_at(area + large - page_size, 2), free_frame, data).failure(),
              (Failure{Error::unreachable, address_of(beyond_frames).value()}));
    EXPECT_EQ(odd.freed, 2);
    EXPECT_EQ(dump(), before);
    table().set_frame_source(m.frames);
}

}  // namespace
}  // namespace quire::paging_test
