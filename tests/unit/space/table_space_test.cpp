// SPDX-License-Identifier: MIT
// The space on the real page table of an i386, which no CPU uses here.
#include <gtest/gtest.h>

#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class TableSpace : public SpaceTest {
  protected:
    static constexpr uint64_t ram_bytes = uint64_t{64} << 20;
    static constexpr uintptr_t large = 1024;  // pages of a large page
    using Table = FormatPageTable<X86_32, DirectMap>;

    explicit TableSpace(bool scattered = false)
        : pool(ram, FrameRange(Frame(0x400), FrameCount(0x3800)),
               {sim::FreedFrames::filled_with_junk, scattered, 3}),
          frames(pool),
          access(FrameRange(Frame(0), FrameCount(ram_bytes / page_size)), VirtualAddress(0),
                 ram.physical_view()),
          zeroer(access),
          table(access, X86_32(X86Features{true, true, true})) {
        EXPECT_TRUE(created);
    }
    void check() {
        ASSERT_TRUE(space.validate().ok());
        ASSERT_TRUE(table.validate().ok());
    }
    // Frames of the space: all that are out but those of the tables.
    uint64_t own_frames() const { return frames.outstanding() - table.table_frames().value(); }
    uint8_t* byte_at(Page page) {
        const auto found = table.query(address_of(page));
        EXPECT_TRUE(found.ok() && found->state == EntryState::present);
        return ram.as<uint8_t>(found->physical(address_of(page)).value());
    }

    sim::Ram ram{ram_bytes};
    sim::FramePool pool;
    sim::FailingFrames<sim::FramePool> frames;
    DirectMap access;
    AccessZeroer<DirectMap> zeroer;
    FakeTlb tlb;
    LoudPlatform platform;
    Table table;
    const bool created = table.create(FrameSource(frames)).ok();  // before the space looks at it
    unsigned char nodes[64 * sizeof(Region)];
    BasicAddressSpace<NoLock> space{{.table = table,
                                     .frames = FrameSource(frames),
                                     .zeroer = zeroer,
                                     .tlb = tlb,
                                     .platform = platform},
                                    PageRange::between(Page(0x400), Page(0xfffff)),
                                    nodes,
                                    NodeGrowth::none};
};

class ScatteredTableSpace : public TableSpace {
  protected:
    ScatteredTableSpace() : TableSpace(true) {}
};

TEST_F(TableSpace, MemoryComesZeroedUpToTheLastPage) {
    const auto got = space.allocate(PageCount(3000), at(0xfffff - 2999));
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->last(), Page(0xfffff));
    for (const Page page : *got) {
        const auto found = table.query(address_of(page));
        ASSERT_TRUE(ram.holds(found->physical(address_of(page)).value(), page_size, 0));
    }
    check();
    EXPECT_EQ(own_frames(), 3000u);
    ASSERT_TRUE(space.protect(PageRange(Page(0xfffff), PageCount(1)), read_only).ok());
    check();
    ASSERT_TRUE(space.unmap(*got).ok());
    EXPECT_EQ(own_frames(), 0u);
    EXPECT_EQ(table.table_frames(), FrameCount(1));
}

// A reservation's frames are mapped singly, even where a large page would fit, so that no part of
// one ever needs a table to be given back.
TEST_F(TableSpace, DecommitNeedsNoFrames) {
    const PageRange all = space.reserve(PageCount(3 * large), at(large)).value();
    ASSERT_TRUE(space.commit(all).ok());
    check();
    frames.fail_from(1);
    for (uintptr_t page = large + 1; page < 3 * large; page += 97)
        ASSERT_TRUE(space.decommit(pages(page, 5)).ok()) << page;
    check();
    ASSERT_TRUE(space.decommit(all).ok());
    EXPECT_EQ(own_frames(), 0u);
    EXPECT_EQ(frames.requests(), 0u);
    EXPECT_EQ(space.query(address_of(all.first()))->region.pages, all);
}

// Where a large page would fit at their new place, they are mapped singly as well.
TEST_F(TableSpace, MovedPagesKeepTheirFramesAndCanBeGivenBackInParts) {
    // There are tables already, so no frame for one comes between those for the pages.
    for (const uintptr_t page : {large, 3 * large - 1})
        ASSERT_TRUE(space.allocate(PageCount(1), at(page)).ok());
    const PageRange old = space.reserve(PageCount(2 * large - 2), at(large + 1)).value();
    ASSERT_TRUE(space.commit(old).ok());
    std::vector<Frame> behind;
    for (const Page page : old)
        behind.push_back(frame_of(table.translate(address_of(page)).value()));
    // A large page's worth of them lies here as it would have to.
    const PageRange fresh =
        space.reserve(old.count(), at(8 * large + behind[0].value() % large)).value();
    ASSERT_EQ(behind.back() - behind.front(), FrameCount(2 * large - 3));
    ASSERT_TRUE(space.move(old, fresh).ok());
    check();
    for (size_t i = 0; i < behind.size(); ++i) {
        const Page page = fresh.first() + PageCount(i);
        ASSERT_EQ(frame_of(table.translate(address_of(page)).value()), behind[i]) << i;
    }
    ASSERT_TRUE(space.unmap(old).ok());
    EXPECT_EQ(own_frames(), behind.size() + 2);
    frames.fail_from(1);
    for (Page page = fresh.first(); fresh.contains(page + PageCount(3)); page += PageCount(97))
        ASSERT_TRUE(space.decommit(PageRange(page, PageCount(3))).ok());
    check();
}

TEST_F(TableSpace, GivenFramesUseLargePagesAndArePartlyUnmapped) {
    MapOptions options;
    options.attributes = {read_write, MemoryType::device};
    options.placement = fixed_at(16 * large);
    ASSERT_TRUE(space.map(FrameRange(Frame(0x3f * large), FrameCount(2 * large)), options).ok());
    EXPECT_EQ(table.table_frames(), FrameCount(1));
    EXPECT_EQ(table.query(address_of(Page(16 * large)))->pages.count(), PageCount(large));
    ASSERT_TRUE(space.unmap(pages(16 * large + 5, 1)).ok());
    EXPECT_EQ(table.table_frames(), FrameCount(2));
    check();
    EXPECT_EQ(space.query(address_of(Page(16 * large + 6)))->region.first_frame,
              Frame(0x3f * large + 6));
    ASSERT_TRUE(space.unmap(pages(16 * large, 5)).ok());
    ASSERT_TRUE(space.unmap(pages(16 * large + 6, 2 * large - 6)).ok());
    EXPECT_EQ(table.table_frames(), FrameCount(1));
    EXPECT_EQ(own_frames(), 0u);
}

TEST_F(TableSpace, RightsThatTheFormatCannotTellApartStillMakeRegions) {
    MapOptions options;
    options.placement = fixed_at(16 * large);
    options.attributes.protection = read_write;
    ASSERT_TRUE(space.map(FrameRange(Frame(8 * large), FrameCount(large)), options).ok());
    ASSERT_TRUE(space.protect(pages(16 * large + 512, 512), read_write | Protection::execute).ok());
    EXPECT_EQ(space.regions(), 2u);
    // One large page still maps both, and they can end one after the other.
    EXPECT_EQ(table.table_frames(), FrameCount(1));
    check();
    ASSERT_TRUE(space.protect(pages(16 * large, large), read_only).ok());
    check();
    ASSERT_TRUE(space.unmap(pages(16 * large + 256, 512)).ok());
    check();
    ASSERT_TRUE(space.unmap(pages(16 * large, 256)).ok());
    ASSERT_TRUE(space.unmap(pages(16 * large + 768, 256)).ok());
    EXPECT_EQ(table.table_frames(), FrameCount(1));
}

TEST_F(TableSpace, WhatTheFormatCannotExpressIsRefusedForPromisesToo) {
    AllocateOptions options = on_demand();
    options.protection = Protection::none;
    expect_error(space.allocate(PageCount(1), options), Error::unsupported);
    expect_error(space.reserve(PageCount(1), options), Error::unsupported);
    EXPECT_EQ(space.regions(), 0u);
}

TEST_F(TableSpace, AdoptsWhatTheTableMapsWithLargePages) {
    table.map(pages(0xc0000, 4 * large), Frame(0), {read_write | Protection::global})
        .value()
        .spend(tlb);
    const Attributes attributes{read_write | Protection::global};
    ASSERT_TRUE(space.adopt(pages(0xc0000, 100), attributes, "low").ok());
    ASSERT_TRUE(space.adopt(pages(0xc0000 + 100, 4 * large - 100), attributes, "direct map").ok());
    check();
    expect_error(space.allocate(PageCount(1), at(0xc0010)), Error::already_mapped);
    // One ends inside the large page that both share.
    ASSERT_TRUE(space.unmap(pages(0xc0000, 100)).ok());
    check();
    EXPECT_EQ(own_frames(), 0u);
}

// Each operation of a scenario with each of its frames refused in turn.
TEST_F(ScatteredTableSpace, EveryFrameRefusedInTurnLeaksNothing) {
    const auto scenario = [&]() -> Status {
        const auto a = space.allocate(PageCount(40), at(2 * large - 20));
        if (!a.ok()) return a.failure();
        MapOptions options;
        options.placement = fixed_at(4 * large);
        const auto b = space.map(FrameRange(Frame(0), FrameCount(2 * large)), options);
        if (!b.ok()) return b.failure();
        const auto c = space.reserve(PageCount(2000), at(7 * large));
        if (!c.ok()) return c.failure();
        if (const Status s = space.commit(pages(8 * large - 30, 60)); !s.ok()) return s;
        const auto d = space.allocate(PageCount(50), on_demand(10 * large));
        if (!d.ok()) return d.failure();
        const FaultOutcome fault =
            space.fault({.address = VirtualAddress(address(10 * large + 3))});
        if (!fault.resolved) return fault.report.error;
        if (const Status s = space.protect(pages(4 * large + 7, large), read_only); !s.ok())
            return s;
        return space.unmap(pages(4 * large + 3, large));
    };
    const auto clear = [&] {
        for (bool any = true; any;) {
            PageRange one;
            any = false;
            space.for_each_region([&](const RegionInfo& region) {
                one = region.pages;
                any = true;
                return false;
            });
            if (any) {
                ASSERT_TRUE(space.unmap(one).ok());
            }
        }
    };
    uint64_t refused = 0;
    for (uint64_t n = 1;; ++n) {
        frames.fail_at(n);
        const Status done = scenario();
        frames.never_fail();
        check();
        ASSERT_FALSE(HasFatalFailure());
        clear();
        ASSERT_EQ(own_frames(), 0u) << n;
        ASSERT_EQ(table.table_frames(), FrameCount(1)) << n;
        if (done.ok()) break;
        ASSERT_EQ(done.error(), Error::out_of_frames);
        ++refused;
    }
    EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace quire::test
