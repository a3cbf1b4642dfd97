// SPDX-License-Identifier: MIT
// Frames that run out at every request of every operation: nothing changes and nothing is lost.
#include <functional>

#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;

template <class W>
class OutOfFramesTest : public PagingTest<W> {
  protected:
    // Runs the operation with the first, second, ... request failing until it succeeds, which must
    // be after `requests` of them.
    void fail_at_every_point(uint64_t requests, const std::function<Status()>& operation) {
        const auto before = this->dump();
        const auto tables = this->table().table_frames();
        const auto outstanding = this->m.frames.outstanding_frames();
        uint64_t n = 1;
        for (;; ++n) {
            this->m.frames.fail_at(n);
            const Status done = operation();
            this->m.frames.never_fail();
            if (done.ok()) break;
            ASSERT_EQ(done.error(), Error::out_of_frames);
            ASSERT_EQ(this->dump(), before) << "after failure " << n;
            ASSERT_EQ(this->table().table_frames(), tables);
            ASSERT_EQ(this->m.frames.outstanding_frames(), outstanding);
            ASSERT_TRUE(this->table().validate().ok());
        }
        EXPECT_EQ(n, requests + 1);
        EXPECT_NE(this->dump(), before);
        EXPECT_EQ(this->m.frames.strangers(), 0u);
    }
    template <class Change>
    Status spent(Result<Change> change) {
        if (!change.ok()) return change.failure();
        change->spend(this->m.tlb);
        return {};
    }
};
TYPED_TEST_SUITE(OutOfFramesTest, AllWays, WayNames);

TYPED_TEST(OutOfFramesTest, Map) {
    this->fail_at_every_point(4, [&] {
        return this->spent(
            this->table().map(pages_at(area + 0x3ff000, 2 * 1024 + 2), Frame(1), data));
    });
}

TYPED_TEST(OutOfFramesTest, MapWithLargePagesInTheMiddle) {
    this->fail_at_every_point(2, [&] {
        return this->spent(this->table().map(pages_at(area - page_size, 2 * 1024 + 2),
                                             free_frame - FrameCount(1), data));
    });
}

TYPED_TEST(OutOfFramesTest, Park) {
    this->fail_at_every_point(
        2, [&] { return this->table().park(pages_at(area + 0x3ff000, 1024 + 2), 12); });
}

TYPED_TEST(OutOfFramesTest, UnmapThatSplitsAtBothEnds) {
    this->map(pages_at(area, 3 * 1024), free_frame);
    this->fail_at_every_point(2, [&] {
        return this->spent(this->table().unmap(pages_at(area + page_size, 3 * 1024 - 2)));
    });
}

TYPED_TEST(OutOfFramesTest, UnmapThatSplitsOneOnBothSides) {
    this->map(pages_at(area, 1024), free_frame);
    this->fail_at_every_point(
        1, [&] { return this->spent(this->table().unmap(pages_at(area + page_size, 1))); });
}

TYPED_TEST(OutOfFramesTest, ProtectThatSplitsAtBothEnds) {
    this->map(pages_at(area, 3 * 1024), free_frame);
    this->fail_at_every_point(2, [&] {
        return this->spent(
            this->table().protect(pages_at(area + page_size, 3 * 1024 - 2), read_only));
    });
}

TYPED_TEST(OutOfFramesTest, OperationsThatNeedNoTableNeverFail) {
    this->map(pages_at(area, 1024 + 4), free_frame);
    this->m.frames.fail_from(1);
    this->map(pages_at(area + 2 * large, 1024), free_frame);
    this->map(pages_at(area + large + 0x5000, 1), Frame(3));
    this->protect(pages_at(area, 1024 + 4), read_only);
    this->unmap(pages_at(area, 1024 + 4));
    this->unmap(pages_at(area + large + 0x5000, 1));
    this->unmap(pages_at(area + 2 * large, 1024));
    EXPECT_EQ(this->m.frames.requests(), 0u);
}

TYPED_TEST(OutOfFramesTest, Create) {
    FormatPageTable<X86_32, typename TypeParam::Through::Access> other(this->access(),
                                                                       X86_32(all_features));
    const auto outstanding = this->m.frames.outstanding_frames();
    this->m.frames.fail_at(1);
    EXPECT_EQ(other.create(this->m.frames).error(), Error::out_of_frames);
    EXPECT_EQ(this->m.frames.outstanding_frames(), outstanding);
    EXPECT_EQ(other.table_frames(), FrameCount(0));
    EXPECT_EQ(other.map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
    ASSERT_TRUE(other.create(this->m.frames).ok());
    ASSERT_TRUE(other.destroy().ok());
    EXPECT_EQ(this->m.frames.outstanding_frames(), outstanding);
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

TYPED_TEST(OutOfFramesTest, FramesOutOfReachAreGivenBack) {
    OddFrames odd{this->m.pool, Frame(0x100000)};
    this->table().set_frame_source(odd);
    const auto before = this->dump();
    EXPECT_EQ(this->table().map(pages_at(area + 0x3ff000, 2), free_frame, data).failure(),
              (Failure{Error::unreachable, uint64_t{1} << 32}));
    EXPECT_EQ(odd.freed, 2);
    EXPECT_EQ(this->dump(), before);
    this->table().set_frame_source(this->m.frames);
}

}  // namespace
}  // namespace quire::paging_test
