// SPDX-License-Identifier: MIT
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class Allocate : public SpaceTest {};

TEST_F(Allocate, AtOnceMapsZeroedFramesOfTheSpacesOwn) {
    Machine machine;
    const auto got = machine.space.allocate(PageCount(13), named("buffer"));
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, pages(0x100, 13));
    for (const Page page : *got) {
        const auto entry = machine.table.at(page);
        ASSERT_TRUE(entry);
        EXPECT_TRUE(machine.frames.is_clean(entry->frame));
        EXPECT_EQ(entry->attributes, (Attributes{read_write | Protection::global}));
    }
    const auto query = machine.space.query(address_of(got->first()));
    ASSERT_TRUE(query.ok());
    EXPECT_EQ(query->region.pages, *got);
    EXPECT_STREQ(query->region.name, "buffer");
    EXPECT_EQ(query->region.backing, Backing::anonymous);
    EXPECT_EQ(query->translation.state, EntryState::present);
    machine.check();
    ASSERT_TRUE(machine.space.unmap(*got).ok());
    EXPECT_EQ(machine.frames.used(), 0u);
    EXPECT_EQ(machine.space.regions(), 0u);
}

TEST_F(Allocate, FramesInARowAreMappedByLargeEntries) {
    Machine machine({.run = 100000});
    ASSERT_TRUE(machine.space.allocate(PageCount(32)).ok());
    EXPECT_TRUE(machine.table.is_large(Page(0x100)));
    EXPECT_TRUE(machine.table.is_large(Page(0x118)));
    EXPECT_EQ(machine.table.tables(), 0u);
    machine.check();
}

TEST_F(Allocate, OnDemandTakesNoFrame) {
    Machine machine;
    const auto got = machine.space.allocate(PageCount(200), on_demand());
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(machine.frames.used(), 0u);
    EXPECT_EQ(machine.space.query(address_of(got->first()))->translation.state, EntryState::empty);
    machine.check();
}

TEST_F(Allocate, GuardsBelongToTheRegionAndAreNeverMapped) {
    Machine machine;
    AllocateOptions options = named("stack");
    options.placement.guard_before = PageCount(2);
    options.placement.guard_after = PageCount(1);
    const auto got = machine.space.allocate(PageCount(4), options);
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, pages(0x102, 4));
    EXPECT_FALSE(machine.table.at(Page(0x101)));
    EXPECT_FALSE(machine.table.at(Page(0x106)));
    EXPECT_STREQ(machine.space.query(address_of(Page(0x100)))->region.name, "stack");
    EXPECT_STREQ(machine.space.query(address_of(Page(0x106)))->region.name, "stack");
    expect_failure(machine.space.query(address_of(Page(0x107))), Error::no_region, address(0x107));
    // The next region lies behind the guard.
    EXPECT_EQ(machine.space.allocate(PageCount(1)).value(), pages(0x107, 1));
    machine.check();
}

TEST_F(Allocate, AlignmentIsThatOfTheFirstPage) {
    Machine machine;
    AllocateOptions options;
    options.placement.alignment = PageCount(64);
    options.placement.guard_before = PageCount(1);
    EXPECT_EQ(machine.space.allocate(PageCount(3), options).value(), pages(0x140, 3));
    EXPECT_EQ(machine.space.allocate(PageCount(3), options).value(), pages(0x180, 3));
    machine.check();
}

TEST_F(Allocate, BadArgumentsChangeNothing) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x110, 1, 1)).ok());
    const std::string before = machine.state();
    auto& space = machine.space;
    expect_error(space.allocate(PageCount(0)), Error::zero_size);
    AllocateOptions options;
    options.placement.alignment = PageCount(3);
    expect_failure(space.allocate(PageCount(1), options), Error::misaligned, 3);
    options.placement.alignment = PageCount(0);
    expect_failure(space.allocate(PageCount(1), options), Error::misaligned, 0);
    options = at(0x121);
    options.placement.alignment = PageCount(2);
    expect_failure(space.allocate(PageCount(1), options), Error::misaligned, address(0x121));
    expect_failure(space.allocate(PageCount(1), at(0xff)), Error::out_of_range, address(0xff));
    expect_failure(space.allocate(PageCount(1), at(0x500)), Error::out_of_range, address(0x500));
    expect_failure(space.allocate(PageCount(1), at(0x100, 1)), Error::out_of_range, address(0x100));
    expect_failure(space.allocate(PageCount(2), at(0x4ff)), Error::out_of_range, address(0x4ff));
    expect_failure(space.allocate(PageCount(1), at(0x4ff, 0, 1)), Error::out_of_range,
                   address(0x4ff));
    expect_error(space.allocate(PageCount(UINTPTR_MAX), at(0x120)), Error::out_of_range);
    expect_error(space.allocate(PageCount(1), at(0x120, 0, UINTPTR_MAX)), Error::out_of_range);
    // Where the region and its guards lie.
    expect_failure(space.allocate(PageCount(4), at(0x10e)), Error::already_mapped, address(0x10f));
    expect_failure(space.allocate(PageCount(1), at(0x112)), Error::already_mapped, address(0x112));
    expect_failure(space.allocate(PageCount(1), at(0x114)), Error::already_mapped, address(0x114));
    expect_failure(space.allocate(PageCount(1), at(0x116, 3)), Error::already_mapped,
                   address(0x113));
    expect_error(space.allocate(PageCount(0x401)), Error::out_of_address_space);
    expect_error(space.allocate(PageCount(UINTPTR_MAX)), Error::out_of_address_space);
    options = {};
    options.placement.guard_before = PageCount(UINTPTR_MAX);
    expect_error(space.allocate(PageCount(1), options), Error::out_of_address_space);
    options = {};
    options.placement.guard_after = PageCount(UINTPTR_MAX);
    expect_error(space.allocate(PageCount(1), options), Error::out_of_address_space);
    EXPECT_EQ(machine.state(), before);
}

TEST_F(Allocate, ProtectionThatTheFormatLacksIsRefusedAtOnce) {
    Machine machine;
    AllocateOptions options;
    options.protection = Protection::write;
    const std::string before = machine.state();
    expect_error(machine.space.allocate(PageCount(4), options), Error::unsupported);
    options.populate = Populate::on_demand;
    expect_error(machine.space.allocate(PageCount(4), options), Error::unsupported);
    expect_error(machine.space.reserve(PageCount(4), options), Error::unsupported);
    EXPECT_EQ(machine.state(), before);
}

// Something that the table maps and no region tells of is not built upon, guards included.
TEST_F(Allocate, WhatTheTableMapsAlreadyIsRefused) {
    Machine machine;
    machine.table.map(pages(0x120, 1), Frame(9), {}).value().spend(machine.tlb);
    const std::string before = machine.state();
    expect_failure(machine.space.allocate(PageCount(4), at(0x11f)), Error::already_mapped,
                   address(0x120));
    expect_failure(machine.space.allocate(PageCount(2), at(0x11d, 0, 2)), Error::already_mapped,
                   address(0x120));
    AllocateOptions options = on_demand(0x11f);
    expect_failure(machine.space.allocate(PageCount(4), options), Error::already_mapped,
                   address(0x120));
    expect_failure(machine.space.reserve(PageCount(0x400), at(0x100)), Error::already_mapped,
                   address(0x120));
    EXPECT_EQ(machine.state(), before);
}

class Map : public SpaceTest {};

TEST_F(Map, ShowsGivenFramesAndNeverFreesThem) {
    Machine machine;
    MapOptions options;
    options.attributes = {read_write, MemoryType::device};
    options.name = "registers";
    const auto got = machine.space.map(FrameRange(Frame(0xfee00), FrameCount(3)), options);
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->count(), PageCount(3));
    EXPECT_EQ(machine.table.at(got->last()),
              (FakeTable::Entry{Frame(0xfee02), {read_write, MemoryType::device}}));
    EXPECT_EQ(machine.space.query(address_of(got->first()))->region.first_frame, Frame(0xfee00));
    machine.check();
    ASSERT_TRUE(machine.space.unmap(*got).ok());
    EXPECT_EQ(machine.frames.used(), 0u);
}

TEST_F(Map, BadArgumentsChangeNothing) {
    Machine machine;
    const std::string before = machine.state();
    expect_error(machine.space.map(FrameRange(Frame(1), FrameCount(0))), Error::zero_size);
    expect_error(machine.space.map(FrameRange(Frame(1), FrameCount(uint64_t{1} << 50))),
                 Error::out_of_address_space);
    expect_error(machine.space.map(FrameRange(Frame(uint64_t{1} << 41), FrameCount(1))),
                 Error::out_of_range);
    MapOptions options;
    options.attributes.protection = Protection::none;
    expect_error(machine.space.map(FrameRange(Frame(1), FrameCount(1)), options),
                 Error::unsupported);
    EXPECT_EQ(machine.state(), before);
}

class Adopt : public SpaceTest {};

TEST_F(Adopt, RecordsWhatIsMappedAndFreesNothing) {
    Machine machine;
    machine.table.map(pages(0x110, 20), Frame(16), {read_execute}).value().spend(machine.tlb);
    const size_t frames = machine.frames.used();
    ASSERT_TRUE(machine.space.adopt(pages(0x111, 10), {read_execute}, "kernel code").ok());
    ASSERT_TRUE(machine.space.adopt(pages(0x11b, 9), {read_execute}, "more").ok());
    EXPECT_EQ(machine.frames.used(), frames);
    EXPECT_EQ(machine.space.query(address_of(Page(0x118)))->region.backing, Backing::adopted);
    ASSERT_TRUE(machine.space.validate().ok());
    ASSERT_TRUE(machine.space.unmap(pages(0x111, 19)).ok());
    EXPECT_FALSE(machine.table.at(Page(0x111)));
    EXPECT_TRUE(machine.table.at(Page(0x110)));
}

TEST_F(Adopt, WhatTheTableDoesNotMapSoIsRefused) {
    Machine machine;
    machine.table.map(pages(0x110, 6), Frame(99), {read_write}).value().spend(machine.tlb);
    const std::string before = machine.state();
    expect_failure(machine.space.adopt(pages(0x110, 7), {read_write}, "x"), Error::not_mapped,
                   address(0x116));
    expect_failure(machine.space.adopt(pages(0x10e, 4), {read_write}, "x"), Error::not_mapped,
                   address(0x10e));
    expect_failure(machine.space.adopt(pages(0x112, 2), {read_only}, "x"), Error::bad_argument,
                   address(0x112));
    expect_error(machine.space.adopt(pages(0x112, 0), {read_write}, "x"), Error::zero_size);
    expect_failure(machine.space.adopt(pages(0xff, 2), {read_write}, "x"), Error::out_of_range,
                   address(0xff));
    EXPECT_EQ(machine.state(), before);
    ASSERT_TRUE(machine.space.adopt(pages(0x110, 6), {read_write}, "x").ok());
    expect_failure(machine.space.adopt(pages(0x112, 2), {read_write}, "y"), Error::already_mapped,
                   address(0x112));
}

class Reserve : public SpaceTest {};

TEST_F(Reserve, CommitAndDecommitPutFramesBehindParts) {
    Machine machine({.run = 1000});
    const PageRange all = machine.space.reserve(PageCount(100), named("arena")).value();
    EXPECT_EQ(machine.frames.used(), 0u);
    ASSERT_TRUE(machine.space.commit(pages(0x110, 40)).ok());
    machine.check();
    expect_failure(machine.space.commit(pages(0x10e, 8)), Error::already_mapped, address(0x110));
    expect_failure(machine.space.commit(pages(0x120, 40)), Error::already_mapped, address(0x120));
    ASSERT_TRUE(machine.space.commit(pages(0x10e, 2)).ok());
    ASSERT_TRUE(machine.space.decommit(pages(0x108, 16)).ok());
    EXPECT_FALSE(machine.table.at(Page(0x110)));
    EXPECT_TRUE(machine.table.at(Page(0x118)));
    machine.check();
    // Again, and the whole at the end; holes do not matter.
    ASSERT_TRUE(machine.space.commit(pages(0x108, 8)).ok());
    machine.check();
    ASSERT_TRUE(machine.space.decommit(all).ok());
    EXPECT_EQ(machine.frames.used(), 0u);
    ASSERT_TRUE(machine.space.decommit(all).ok());
    EXPECT_EQ(machine.space.query(address_of(all.first()))->region.pages, all);
}

TEST_F(Reserve, BadRangesAreRefused) {
    Machine machine;
    ASSERT_TRUE(machine.space.reserve(PageCount(10), at(0x110, 1, 1)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x130)).ok());
    const std::string before = machine.state();
    for (const PageRange& range :
         {pages(0x10f, 2), pages(0x119, 2), pages(0x130, 2), pages(0x200, 1), pages(0x90, 1)}) {
        expect_failure(machine.space.commit(range), Error::no_region,
                       address(range.first().value()));
        expect_failure(machine.space.decommit(range), Error::no_region,
                       address(range.first().value()));
    }
    for (const uintptr_t page : {0x110u, 0x200u}) {
        expect_error(machine.space.commit(pages(page, 0)), Error::zero_size);
        expect_error(machine.space.decommit(pages(page, 0)), Error::zero_size);
    }
    EXPECT_EQ(machine.state(), before);
}

TEST_F(Reserve, MoveTakesTheFramesAlongAndLeavesHolesAsTheyAre) {
    for (const uint64_t run : {uint64_t{1}, uint64_t{5}, uint64_t{1000}}) {
        Machine machine({.run = run});
        ASSERT_TRUE(machine.space.reserve(PageCount(48), at(0x110)).ok());
        AllocateOptions elsewhere = at(0x160);
        elsewhere.protection = read_only;
        ASSERT_TRUE(machine.space.reserve(PageCount(60), elsewhere).ok());
        ASSERT_TRUE(machine.space.commit(pages(0x112, 9)).ok());
        ASSERT_TRUE(machine.space.commit(pages(0x11e, 30)).ok());
        const auto before = machine.table.contents();
        const uint64_t used = machine.frames.used() - machine.table.tables();
        ASSERT_TRUE(machine.space.move(pages(0x110, 32), pages(0x170, 32)).ok());
        machine.check();
        EXPECT_EQ(machine.frames.used() - machine.table.tables(), used);
        for (uintptr_t i = 0; i < 32; ++i) {
            EXPECT_FALSE(machine.table.at(Page(0x110 + i))) << i;
            const auto entry = machine.table.at(Page(0x170 + i));
            const auto was = before.find(0x110 + i);
            ASSERT_EQ(entry.has_value(), was != before.end()) << i;
            if (!entry) continue;
            EXPECT_EQ(entry->frame, was->second.frame) << i;
            EXPECT_EQ(entry->attributes.protection, read_only) << i;
        }
        // What lay behind the part stays.
        EXPECT_TRUE(machine.table.at(Page(0x130)));
        // Within one reservation, too; and nothing at all.
        ASSERT_TRUE(machine.space.move(pages(0x170, 16), pages(0x160, 16)).ok());
        ASSERT_TRUE(machine.space.move(pages(0x110, 8), pages(0x118, 8)).ok());
        EXPECT_TRUE(machine.table.at(Page(0x162)));
        machine.check();
    }
}

TEST_F(Reserve, MovesThatCannotBeAreRefused) {
    Machine machine;
    ASSERT_TRUE(machine.space.reserve(PageCount(32), at(0x110, 1, 1)).ok());
    ASSERT_TRUE(machine.space.reserve(PageCount(16), at(0x140)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x160)).ok());
    ASSERT_TRUE(machine.space.commit(pages(0x110, 8)).ok());
    ASSERT_TRUE(machine.space.commit(pages(0x14c, 1)).ok());
    const std::string before = machine.state();
    expect_error(machine.space.move(pages(0x110, 0), pages(0x140, 0)), Error::zero_size);
    expect_failure(machine.space.move(pages(0x110, 8), pages(0x140, 7)), Error::bad_argument,
                   address(0x110));
    expect_failure(machine.space.move(pages(0x110, 8), pages(0x117, 8)), Error::bad_argument,
                   address(0x110));
    expect_failure(machine.space.move(pages(0x160, 2), pages(0x140, 2)), Error::no_region,
                   address(0x160));
    expect_failure(machine.space.move(pages(0x110, 2), pages(0x162, 2)), Error::no_region,
                   address(0x162));
    expect_failure(machine.space.move(pages(0x110, 8), pages(0x14a, 8)), Error::no_region,
                   address(0x14a));
    expect_failure(machine.space.move(pages(0x110, 8), pages(0x148, 8)), Error::already_mapped,
                   address(0x14c));
    EXPECT_EQ(machine.state(), before);
}

class SpaceAsAWhole : public SpaceTest {};

TEST_F(SpaceAsAWhole, QueryOutsideTheBoundsIsAnError) {
    Machine machine;
    expect_failure(machine.space.query(VirtualAddress(address(0xff) + 7)), Error::out_of_range,
                   address(0xff) + 7);
    expect_failure(machine.space.query(VirtualAddress(address(0x500))), Error::out_of_range,
                   address(0x500));
    EXPECT_EQ(machine.space.bounds(), pages(0x100, 0x400));
}

TEST_F(SpaceAsAWhole, ForEachRegionStopsWhenTold) {
    Machine machine;
    for (int i = 0; i < 5; ++i)
        ASSERT_TRUE(machine.space.allocate(PageCount(1)).ok());
    std::vector<uintptr_t> seen;
    machine.space.for_each_region([&](const RegionInfo& region) {
        seen.push_back(region.pages.first().value());
        return seen.size() < 3;
    });
    EXPECT_EQ(seen, (std::vector<uintptr_t>{0x100, 0x101, 0x102}));
}

TEST_F(SpaceAsAWhole, ValidateComparesRegionsWithTheTable) {
    Machine machine;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x110, 1, 1)).ok());
    MapOptions options;
    options.placement = fixed_at(0x120);
    ASSERT_TRUE(machine.space.map(FrameRange(Frame(50), FrameCount(3)), options).ok());
    ASSERT_TRUE(machine.space.validate().ok());
    const auto expect_corrupted = [&](uintptr_t page) {
        expect_failure(machine.space.validate(), Error::corrupted, address(page));
    };
    const auto saved = machine.table.entry(Page(0x112));
    machine.table.entry(Page(0x112)).attributes.protection = read_only;
    expect_corrupted(0x112);
    machine.table.entry(Page(0x112)) = saved;
    machine.table.entry(Page(0x122)).frame = Frame(1);
    expect_corrupted(0x122);
    machine.table.entry(Page(0x122)).frame = Frame(52);
    machine.table.entry(Page(0x121)).attributes.type = MemoryType::uncached;
    expect_corrupted(0x121);
    machine.table.entry(Page(0x121)).attributes.type = MemoryType::write_back;
    machine.table.map(pages(0x114, 1), Frame(5), {}).value().spend(machine.tlb);
    expect_corrupted(0x114);  // a guard
    machine.table.forget(Page(0x114));
    ASSERT_TRUE(machine.space.validate().ok());
    machine.table.forget(Page(0x113));
    expect_corrupted(0x113);
    machine.table.forget(Page(0x111));
    expect_corrupted(0x112);
}

TEST(SpaceDeathTest, BoundsBeyondTheTablesReachPanic) {
    FakeFrames frames;
    FakeTable table(frames, PageRange(Page(0x100), PageCount(0x10)));
    FakeTlb tlb;
    LoudPlatform platform;
    unsigned char nodes[8 * sizeof(Region)];
    const SpaceParts parts{.table = table,
                           .frames = FrameSource(frames),
                           .zeroer = frames,
                           .tlb = tlb,
                           .platform = platform};
    const PageRange beyond(Page(0x100), PageCount(0x11));
    EXPECT_DEATH(AddressSpace(parts, beyond, nodes), "reach beyond");
    EXPECT_DEATH(AddressSpace(parts, PageRange(), nodes), "reach beyond");
}

}  // namespace
}  // namespace quire::test
