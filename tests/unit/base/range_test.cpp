// SPDX-License-Identifier: MIT
#include "quire/base/range.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace quire::test {
namespace {

FrameRange frames(uint64_t first, uint64_t count) {
    return FrameRange(Frame(first), FrameCount(count));
}
PhysicalRange bytes(uint64_t first, uint64_t count) {
    return PhysicalRange(PhysicalAddress(first), Bytes(count));
}

TEST(Ranges, AreAPlaceAndAnAmount) {
    const FrameRange range = frames(10, 3);
    EXPECT_EQ(range.first(), Frame(10));
    EXPECT_EQ(range.last(), Frame(12));
    EXPECT_EQ(range.count(), FrameCount(3));
    EXPECT_FALSE(range.empty());
    EXPECT_TRUE(FrameRange().empty());
    EXPECT_TRUE(frames(10, 0).empty());
    EXPECT_EQ(FrameRange::between(Frame(10), Frame(12)), range);
    EXPECT_EQ(FrameRange::between(Frame(10), Frame(10)), frames(10, 1));
}

template <class R>
class RangesAtTheTop : public testing::Test {};
using AllRanges = testing::Types<PhysicalRange, VirtualRange, FrameRange, PageRange>;
TYPED_TEST_SUITE(RangesAtTheTop, AllRanges);

TYPED_TEST(RangesAtTheTop, EndWithTheLastPlace) {
    using Place = typename TypeParam::Place;
    using Amount = typename TypeParam::Amount;
    const Place top(Place::highest);
    const TypeParam one(top, Amount(1));
    EXPECT_EQ(one.last(), top);
    EXPECT_TRUE(one.contains(top));
    EXPECT_FALSE(one.contains(top - Amount(1)));
    EXPECT_TRUE(TypeParam(top, Amount(0)).empty());
    EXPECT_EQ(TypeParam::from(top, Amount(1))->first(), top);
    EXPECT_EQ(TypeParam::from(top, Amount(2)).failure(), (Failure{Error::overflow, top.value()}));
    EXPECT_EQ(TypeParam::from(Place(1), Amount(Place::highest))->last(), top);
    EXPECT_EQ(TypeParam::from(Place(2), Amount(Place::highest)).error(), Error::overflow);
    const TypeParam nearly(Place(1), Amount(Place::highest));
    EXPECT_TRUE(nearly.contains(top));
    EXPECT_FALSE(nearly.contains(Place(0)));
    EXPECT_TRUE(nearly.overlaps(one));
    EXPECT_TRUE(nearly.contains(one));
    EXPECT_EQ(nearly.intersection(one), one);
}

template <class R>
class RangesDeathTest : public testing::Test {};
TYPED_TEST_SUITE(RangesDeathTest, AllRanges);

TYPED_TEST(RangesDeathTest, NeverRunPastTheTop) {
    using Place = typename TypeParam::Place;
    using Amount = typename TypeParam::Amount;
    EXPECT_DEATH((void)TypeParam(Place(Place::highest), Amount(2)), "");
    EXPECT_DEATH((void)TypeParam().last(), "");
    EXPECT_DEATH((void)TypeParam::between(Place(2), Place(1)), "");
    EXPECT_DEATH((void)TypeParam(Place(5), Amount(2)).prefix(Amount(3)), "");
    EXPECT_DEATH((void)TypeParam(Place(5), Amount(2)).without_prefix(Amount(3)), "");
}

TEST(Ranges, OfAllFramesAndAllPagesExist) {
    const FrameRange all = FrameRange::between(Frame(0), Frame(Frame::highest));
    EXPECT_EQ(all.count(), FrameCount(Frame::highest + 1));
    EXPECT_EQ(all.last(), Frame(Frame::highest));
    const PageRange pages = PageRange::between(Page(0), Page(Page::highest));
    EXPECT_EQ(pages.last(), Page(Page::highest));
}

TEST(RangesDeathTest, OfAllBytesDoNot) {
    EXPECT_DEATH((void)PhysicalRange::between(PhysicalAddress(0), PhysicalAddress(UINT64_MAX)), "");
}

TEST(Ranges, ContainPlacesAndRanges) {
    const FrameRange range = frames(10, 3);
    EXPECT_FALSE(range.contains(Frame(9)));
    EXPECT_TRUE(range.contains(Frame(10)));
    EXPECT_TRUE(range.contains(Frame(12)));
    EXPECT_FALSE(range.contains(Frame(13)));
    EXPECT_FALSE(frames(10, 0).contains(Frame(10)));
    EXPECT_TRUE(range.contains(frames(10, 3)));
    EXPECT_TRUE(range.contains(frames(11, 1)));
    EXPECT_FALSE(range.contains(frames(9, 2)));
    EXPECT_FALSE(range.contains(frames(12, 2)));
    EXPECT_FALSE(range.contains(frames(9, 5)));
    EXPECT_TRUE(range.contains(frames(99, 0)));
    EXPECT_FALSE(frames(10, 0).contains(frames(10, 1)));
}

// Against the definition, place by place.
TEST(Ranges, OverlapAndIntersectAsTheirPlacesDo) {
    for (uint64_t a = 0; a < 6; ++a) {
        for (uint64_t a_count = 0; a_count < 5; ++a_count) {
            for (uint64_t b = 0; b < 6; ++b) {
                for (uint64_t b_count = 0; b_count < 5; ++b_count) {
                    const FrameRange left = frames(a, a_count);
                    const FrameRange right = frames(b, b_count);
                    std::vector<uint64_t> shared;
                    for (uint64_t at = 0; at < 12; ++at) {
                        if (left.contains(Frame(at)) && right.contains(Frame(at))) {
                            shared.push_back(at);
                        }
                    }
                    EXPECT_EQ(left.overlaps(right), !shared.empty());
                    const FrameRange both = left.intersection(right);
                    EXPECT_EQ(both.count(), FrameCount(shared.size()));
                    if (!shared.empty()) {
                        EXPECT_EQ(both.first(), Frame(shared.front()));
                    }
                }
            }
        }
    }
}

TEST(Ranges, Divide) {
    const FrameRange range = frames(10, 5);
    EXPECT_EQ(range.prefix(FrameCount(2)), frames(10, 2));
    EXPECT_EQ(range.prefix(FrameCount(5)), range);
    EXPECT_TRUE(range.prefix(FrameCount(0)).empty());
    EXPECT_EQ(range.without_prefix(FrameCount(2)), frames(12, 3));
    EXPECT_EQ(range.without_prefix(FrameCount(0)), range);
    EXPECT_EQ(range.without_prefix(FrameCount(5)), frames(10, 0));
    const FrameRange top = frames(Frame::highest, 1);
    EXPECT_TRUE(top.without_prefix(FrameCount(1)).empty());
}

TEST(Ranges, AreIteratedPlaceByPlace) {
    std::vector<uint64_t> seen;
    for (Frame frame : frames(3, 3))
        seen.push_back(frame.value());
    EXPECT_EQ(seen, (std::vector<uint64_t>{3, 4, 5}));
    seen.clear();
    for (Frame frame : frames(Frame::highest - 1, 2))
        seen.push_back(frame.value());
    EXPECT_EQ(seen, (std::vector<uint64_t>{Frame::highest - 1, Frame::highest}));
    for (Frame frame : frames(3, 0))
        FAIL() << frame.value();
}

constexpr uint64_t page = page_size;

TEST(Ranges, OfBytesHoldWholeFramesInside) {
    EXPECT_EQ(frames_inside(bytes(0, page)), frames(0, 1));
    EXPECT_EQ(frames_inside(bytes(page, 3 * page)), frames(1, 3));
    EXPECT_EQ(frames_inside(bytes(1, 3 * page)), frames(1, 2));
    EXPECT_EQ(frames_inside(bytes(page - 1, page + 1)), frames(1, 1));
    EXPECT_EQ(frames_inside(bytes(page, 2 * page - 1)), frames(1, 1));
    EXPECT_EQ(frames_inside(bytes(1, page)), FrameRange());
    EXPECT_EQ(frames_inside(bytes(page, page - 1)), FrameRange());
    EXPECT_EQ(frames_inside(bytes(page + 5, 10)), FrameRange());
    EXPECT_EQ(frames_inside(bytes(page + 5, 0)), FrameRange());
    EXPECT_EQ(frames_inside(bytes(UINT64_MAX - (2 * page - 1), 2 * page)),
              frames(Frame::highest - 1, 2));
    EXPECT_EQ(frames_inside(bytes(UINT64_MAX - (2 * page - 1), 2 * page - 1)),
              frames(Frame::highest - 1, 1));
    EXPECT_EQ(frames_inside(bytes(UINT64_MAX - 10, 11)), FrameRange());
    EXPECT_EQ(frames_inside(bytes(1, UINT64_MAX)), frames(1, Frame::highest));
}

TEST(Ranges, OfBytesAreCoveredByFrames) {
    EXPECT_EQ(frames_covering(bytes(0, 1)), frames(0, 1));
    EXPECT_EQ(frames_covering(bytes(page - 1, 2)), frames(0, 2));
    EXPECT_EQ(frames_covering(bytes(page, page)), frames(1, 1));
    EXPECT_EQ(frames_covering(bytes(UINT64_MAX, 1)), frames(Frame::highest, 1));
    EXPECT_EQ(frames_covering(bytes(page, 0)), FrameRange());
    EXPECT_EQ(bytes_of(frames(2, 3)), bytes(2 * page, 3 * page));
    EXPECT_EQ(bytes_of(frames(Frame::highest, 1)).last(), PhysicalAddress(UINT64_MAX));
}

TEST(Ranges, OfPagesFollowTheSameRules) {
    const VirtualRange odd(VirtualAddress(1), Bytes(3 * page));
    EXPECT_EQ(pages_inside(odd), PageRange(Page(1), PageCount(2)));
    EXPECT_EQ(pages_covering(odd), PageRange(Page(0), PageCount(4)));
    const VirtualRange top(VirtualAddress(UINTPTR_MAX - (page - 1)), Bytes(page));
    EXPECT_EQ(pages_inside(top), PageRange(Page(Page::highest), PageCount(1)));
    EXPECT_EQ(pages_covering(top), pages_inside(top));
    EXPECT_EQ(bytes_of(pages_inside(top)), top);
}

// Kinds of ranges do not mix either.
template <class A, class B>
concept containable = requires(A a, B b) { a.contains(b); };
static_assert(containable<FrameRange, Frame> && containable<FrameRange, FrameRange>);
static_assert(!containable<FrameRange, Page> && !containable<FrameRange, PageRange>);
static_assert(!containable<PhysicalRange, Frame> && !containable<PhysicalRange, VirtualRange>);
static_assert(!containable<PhysicalRange, VirtualAddress>);
template <class R>
concept physical = requires(R range) { frames_inside(range); };
static_assert(physical<PhysicalRange> && !physical<VirtualRange>);

}  // namespace
}  // namespace quire::test
