// SPDX-License-Identifier: MIT
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class Unmap : public SpaceTest {
  protected:
    // What is left, as "first+count guards before,after" of each region.
    static std::string layout(const Machine& machine) {
        std::string text;
        for (const RegionInfo& region : machine.regions()) {
            if (!text.empty()) text += " ";
            text += std::to_string(region.pages.first().value()) + "+" +
                    std::to_string(region.pages.count().value());
            if (region.guard_before.value() + region.guard_after.value() != 0) {
                text += "(" + std::to_string(region.guard_before.value()) + "," +
                        std::to_string(region.guard_after.value()) + ")";
            }
        }
        return text;
    }
};

TEST_F(Unmap, TheWholeRegionGoesWithItsGuards) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(5), at(300, 2, 2)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(300, 5)).ok());
    EXPECT_EQ(layout(machine), "");
    EXPECT_EQ(machine.frames.used(), 0u);
    // The guards' addresses are free again.
    EXPECT_TRUE(machine.space.allocate(PageCount(1), at(298)).ok());
    EXPECT_TRUE(machine.space.allocate(PageCount(1), at(306)).ok());
}

TEST_F(Unmap, AnEndGoesWithItsGuard) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(300, 2, 2)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(300, 3)).ok());
    EXPECT_EQ(layout(machine), "303+7(0,2)");
    machine.check();
    ASSERT_TRUE(machine.space.unmap(pages(308, 2)).ok());
    EXPECT_EQ(layout(machine), "303+5");
    machine.check();
    EXPECT_TRUE(machine.space.allocate(PageCount(5), at(298)).ok());
    EXPECT_TRUE(machine.space.allocate(PageCount(4), at(308)).ok());
}

TEST_F(Unmap, AHoleSplitsTheRegionAndEachPieceKeepsItsGuard) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(300, 2, 3)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(304, 2)).ok());
    EXPECT_EQ(layout(machine), "300+4(2,0) 306+4(0,3)");
    machine.check();
    EXPECT_EQ(machine.space.allocate(PageCount(2), at(304)).value(), pages(304, 2));
    machine.check();
}

TEST_F(Unmap, PiecesOfGivenFramesKnowWhichFramesAreTheirs) {
    Machine machine;
    MapOptions options;
    options.placement = fixed_at(300);
    ASSERT_TRUE(machine.space.map(FrameRange(Frame(80), FrameCount(20)), options).ok());
    ASSERT_TRUE(machine.space.unmap(pages(305, 5)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(300, 2)).ok());
    const auto left = machine.regions();
    ASSERT_EQ(left.size(), 2u);
    EXPECT_EQ(left[0].first_frame, Frame(82));
    EXPECT_EQ(left[1].first_frame, Frame(90));
    machine.check();  // compares with the table
}

TEST_F(Unmap, GuardsAloneCanGo) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(300, 4, 4)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(296, 2)).ok());
    EXPECT_EQ(layout(machine), "300+4(2,4)");
    ASSERT_TRUE(machine.space.unmap(pages(305, 1)).ok());  // all above it goes too
    EXPECT_EQ(layout(machine), "300+4(2,1)");
    ASSERT_TRUE(machine.space.unmap(pages(298, 2)).ok());
    EXPECT_EQ(layout(machine), "300+4(0,1)");
    machine.check();
    EXPECT_TRUE(machine.space.allocate(PageCount(2), at(305)).ok());
}

TEST_F(Unmap, ManyRegionsAtOnce) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(300, 0, 1)).ok());
    machine.table.map(pages(311, 9), Frame(90), {read_write}).value().spend(machine.tlb);
    ASSERT_TRUE(machine.space.adopt(pages(311, 9), {read_write}, "adopted").ok());
    ASSERT_TRUE(machine.space.reserve(PageCount(10), at(320)).ok());
    ASSERT_TRUE(machine.space.commit(pages(322, 3)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(330)).ok());
    ASSERT_TRUE(machine.space.unmap(pages(304, 30)).ok());
    EXPECT_EQ(layout(machine), "300+4 334+6");
    machine.check();
}

TEST_F(Unmap, EachChangeIsFlushedBeforeItsFramesAreFree) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(5), at(300)).ok());
    machine.tlb.requests.clear();
    ASSERT_TRUE(machine.space.unmap(pages(301, 2)).ok());
    ASSERT_EQ(machine.tlb.requests.size(), 1u);
    EXPECT_EQ(machine.tlb.requests[0].pages, pages(301, 2));
    EXPECT_EQ(machine.tlb.requests[0].root, machine.table.root());
}

TEST_F(Unmap, BadRangesChangeNothing) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(5), at(300, 1)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(5), at(306)).ok());
    const std::string before = machine.state();
    expect_failure(machine.space.unmap(pages(300, 0)), Error::zero_size, address(300));
    expect_failure(machine.space.unmap(pages(0xff, 2)), Error::out_of_range, address(0xff));
    expect_failure(machine.space.unmap(pages(0x4ff, 2)), Error::out_of_range, address(0x4ff));
    expect_failure(machine.space.unmap(pages(298, 4)), Error::no_region, address(298));
    expect_failure(machine.space.unmap(pages(304, 4)), Error::no_region, address(305));
    expect_failure(machine.space.unmap(pages(308, 4)), Error::no_region, address(311));
    expect_failure(machine.space.unmap(pages(0x4ff, 1)), Error::no_region, address(0x4ff));
    EXPECT_EQ(machine.state(), before);
}

TEST_F(Unmap, TheTopOfTheAddressSpaceIsAPlaceLikeAnyOther) {
    Machine machine(
        {.bounds = PageRange::between(Page(Page::highest - 63), Page(Page::highest - 1))});
    const auto all = machine.space.reserve(PageCount(63)).value();
    EXPECT_EQ(all.last(), Page(Page::highest - 1));
    ASSERT_TRUE(machine.space.commit(PageRange(all.last(), PageCount(1))).ok());
    ASSERT_TRUE(machine.space.protect(PageRange(all.last(), PageCount(1)), read_only).ok());
    EXPECT_EQ(machine.space.regions(), 2u);
    machine.check();
    ASSERT_TRUE(machine.space.unmap(PageRange(all.last(), PageCount(1))).ok());
    machine.check();
    ASSERT_TRUE(machine.space.unmap(all.prefix(PageCount(62))).ok());
    EXPECT_EQ(machine.space.regions(), 0u);
}

class Protect : public Unmap {
  protected:
    static std::string rights(const Machine& machine) {
        std::string text;
        for (const RegionInfo& region : machine.regions()) {
            if (!text.empty()) text += " ";
            text += std::to_string(region.pages.first().value()) + "+" +
                    std::to_string(region.pages.count().value()) +
                    (has(region.attributes.protection, Protection::write) ? "w" : "r");
        }
        return text;
    }
};

TEST_F(Protect, CutsAtBothEndsAndJoinsAgain) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(300, 1, 1)).ok());
    ASSERT_TRUE(machine.space.protect(pages(303, 4), read_only).ok());
    EXPECT_EQ(rights(machine), "300+3w 303+4r 307+3w");
    EXPECT_EQ(layout(machine), "300+3(1,0) 303+4 307+3(0,1)");
    EXPECT_EQ(machine.table.at(Page(303))->attributes.protection, read_only);
    EXPECT_EQ(machine.table.at(Page(302))->attributes.protection, read_write | Protection::global);
    machine.check();
    ASSERT_TRUE(machine.space.protect(pages(305, 4), read_only).ok());
    EXPECT_EQ(rights(machine), "300+3w 303+6r 309+1w");
    machine.check();
    ASSERT_TRUE(machine.space.protect(pages(303, 6), read_write | Protection::global).ok());
    EXPECT_EQ(layout(machine), "300+10(1,1)");
    machine.check();
}

TEST_F(Protect, NothingIsCutWhereNothingChanges) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(10), at(300)).ok());
    ASSERT_TRUE(machine.space.protect(pages(303, 4), read_write | Protection::global).ok());
    EXPECT_EQ(layout(machine), "300+10");
}

TEST_F(Protect, NeighboursThatWereNeverOneAreNotJoined) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(300)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(304)).ok());
    ASSERT_TRUE(machine.space.protect(pages(300, 8), read_only).ok());
    EXPECT_EQ(layout(machine), "300+4 304+4");
    // Nor is one that came into the place of a piece.
    ASSERT_TRUE(machine.space.unmap(pages(300, 2)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(2), at(300)).ok());
    ASSERT_TRUE(machine.space.protect(pages(300, 8), read_only).ok());
    EXPECT_EQ(layout(machine), "300+2 302+2 304+4");
    machine.check();
}

TEST_F(Protect, GivenFramesStayWithTheirPieces) {
    Machine machine;
    MapOptions options;
    options.placement = fixed_at(300);
    ASSERT_TRUE(machine.space.map(FrameRange(Frame(80), FrameCount(20)), options).ok());
    ASSERT_TRUE(machine.space.protect(pages(305, 5), read_only).ok());
    EXPECT_EQ(rights(machine), "300+5w 305+5r 310+10w");
    machine.check();
    ASSERT_TRUE(machine.space.protect(pages(305, 5), read_write).ok());
    EXPECT_EQ(rights(machine), "300+20w");
    EXPECT_EQ(machine.regions()[0].first_frame, Frame(80));
    machine.check();
}

TEST_F(Protect, PagesToComeGetTheNewProtection) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), on_demand(300)).ok());
    ASSERT_TRUE(machine.space.protect(pages(302, 2), read_only).ok());
    ASSERT_TRUE(machine.space.fault({.address = VirtualAddress(address(302))}).resolved);
    EXPECT_EQ(machine.table.at(Page(302))->attributes.protection, read_only);
    machine.check();
}

TEST_F(Protect, SeveralRegionsAndTheirGuards) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(6), at(300, 0, 2)).ok());
    ASSERT_TRUE(machine.space.reserve(PageCount(6), at(309, 1)).ok());
    ASSERT_TRUE(machine.space.commit(pages(310, 1)).ok());
    machine.tlb.requests.clear();
    ASSERT_TRUE(machine.space.protect(pages(303, 8), read_only).ok());
    EXPECT_EQ(rights(machine), "300+3w 303+3r 309+2r 311+4w");
    EXPECT_EQ(layout(machine), "300+3 303+3(0,2) 309+2(1,0) 311+4");
    EXPECT_EQ(machine.tlb.requests.size(), 2u);
    machine.check();
}

TEST_F(Protect, BadRequestsChangeNothing) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(5), at(300)).ok());
    const std::string before = machine.state();
    expect_failure(machine.space.protect(pages(300, 0), read_only), Error::zero_size, address(300));
    expect_failure(machine.space.protect(pages(299, 2), read_only), Error::no_region, address(299));
    expect_failure(machine.space.protect(pages(304, 2), read_only), Error::no_region, address(305));
    expect_error(machine.space.protect(pages(0xff, 1), read_only), Error::out_of_range);
    expect_error(machine.space.protect(pages(300, 2), Protection::none), Error::unsupported);
    EXPECT_EQ(machine.state(), before);
}

}  // namespace
}  // namespace quire::test
