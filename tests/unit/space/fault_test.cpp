// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>

#include "space_fixture.hpp"

namespace quire::test {
namespace {

using ::testing::HasSubstr;

class FaultTest : public SpaceTest {
  protected:
    static Fault access(uint64_t address, AccessKind kind = AccessKind::read) {
        return {.address = VirtualAddress(address), .access = kind};
    }
    // A fault that must be reported, changing nothing.
    FaultReport report_of(const Fault& fault) {
        const std::string before = machine.state();
        const FaultOutcome outcome = machine.space.fault(fault);
        EXPECT_FALSE(outcome.resolved);
        EXPECT_EQ(machine.state(), before);
        return outcome.report;
    }
    void expect_cause(const Fault& fault, Error error, const char* words) {
        const FaultReport report = report_of(fault);
        EXPECT_EQ(report.error, error) << to_string(report.error);
        EXPECT_THAT(report.likely_cause, HasSubstr(words));
    }
    Machine machine;
};

TEST_F(FaultTest, TheFirstAccessOnDemandBringsAZeroedFrame) {
    ASSERT_TRUE(machine.space.allocate(PageCount(20), on_demand(0x110)).ok());
    const FaultOutcome outcome =
        machine.space.fault(access(address(0x115) + 123, AccessKind::write));
    EXPECT_TRUE(outcome.resolved);
    EXPECT_FALSE(outcome.spurious);
    ASSERT_TRUE(machine.table.at(Page(0x115)));
    EXPECT_FALSE(machine.table.at(Page(0x114)));
    EXPECT_FALSE(machine.table.at(Page(0x116)));
    machine.check();
    EXPECT_EQ(machine.space.fault_counters().resolved, 1u);
    EXPECT_EQ(machine.space.fault_counters().spurious, 0u);
}

TEST_F(FaultTest, WhatTheTableAllowsAlreadyIsFlushedAndTriedAgain) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x110)).ok());
    machine.tlb.requests.clear();
    Fault fault = access(address(0x112) + 5, AccessKind::write);
    fault.was_present = true;
    const FaultOutcome outcome = machine.space.fault(fault);
    EXPECT_TRUE(outcome.resolved);
    EXPECT_TRUE(outcome.spurious);
    ASSERT_EQ(machine.tlb.requests.size(), 1u);
    EXPECT_EQ(machine.tlb.requests[0].pages, pages(0x112, 1));
    EXPECT_EQ(machine.tlb.requests[0].root, machine.table.root());
    EXPECT_TRUE(machine.tlb.requests[0].global);
    EXPECT_EQ(machine.space.fault_counters().spurious, 1u);
}

TEST_F(FaultTest, ACpuThatNeverTakesYesForAnAnswerIsReported) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x110)).ok());
    const Fault fault = access(address(0x112));
    unsigned spurious = 0;
    while (spurious < 1000 && machine.space.fault(fault).resolved)
        ++spurious;
    EXPECT_EQ(spurious, 64u);
    expect_cause(fault, Error::corrupted, "refuses it again and again");
    // Another page, or a change, begins the count anew.
    EXPECT_TRUE(machine.space.fault(access(address(0x111))).resolved);
    EXPECT_TRUE(machine.space.fault(fault).resolved);
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(
            machine.space.protect(pages(0x113, 1), i % 2 == 0 ? read_only : read_write).ok());
        ASSERT_TRUE(machine.space.fault(fault).resolved);
    }
    ASSERT_TRUE(machine.space.reserve(PageCount(2), at(0x130)).ok());
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE((i % 2 == 0 ? machine.space.commit(pages(0x131, 1))
                                : machine.space.decommit(pages(0x131, 1)))
                        .ok());
        ASSERT_TRUE(machine.space.fault(fault).resolved);
    }
    for (int i = 0; i < 200; ++i) {
        if (i % 2 == 0) {
            ASSERT_TRUE(machine.space.allocate(PageCount(1), on_demand(0x140)).ok());
            ASSERT_TRUE(machine.space.fault(access(address(0x140))).resolved);
        } else {
            ASSERT_TRUE(machine.space.unmap(pages(0x140, 1)).ok());
        }
        ASSERT_TRUE(machine.space.fault(fault).resolved);
    }
}

TEST_F(FaultTest, ProgressElsewhereBeginsTheCountAnew) {
    ASSERT_TRUE(machine.space.allocate(PageCount(1), at(0x110)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(200), on_demand(0x120)).ok());
    for (uintptr_t i = 0; i < 200; ++i) {
        ASSERT_TRUE(machine.space.fault(access(address(0x110))).resolved);
        ASSERT_TRUE(machine.space.fault(access(address(0x120 + i))).resolved);
    }
}

TEST_F(FaultTest, NullPointers) {
    expect_cause(access(0), Error::no_region, "null pointer");
    expect_cause(access(0xffff), Error::no_region, "null pointer");
    const FaultReport report = report_of(access(0x10000));
    EXPECT_THAT(report.likely_cause, ::testing::Not(HasSubstr("null pointer")));
}

TEST_F(FaultTest, Guards) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x110, 1, 1)).ok());
    expect_cause(access(address(0x114)), Error::guard_hit, "ran past the end of this region");
    expect_cause(access(address(0x110) - 1), Error::guard_hit, "stack overflow");
    const FaultReport report = report_of(access(address(0x114)));
    EXPECT_TRUE(report.has_region);
    EXPECT_EQ(report.region.pages, pages(0x110, 4));
    ASSERT_TRUE(machine.space.allocate(PageCount(2), at(0x10d)).ok());
    expect_cause(access(address(0x10f)), Error::guard_hit, "overrun of the region below");
}

TEST_F(FaultTest, RegionsThatAreGuards) {
    ASSERT_TRUE(machine.space.guard(pages(0x150, 2), "stack guard").ok());
    AllocateOptions stack;
    stack.name = "stack";
    stack.placement.fixed = true;
    stack.placement.at = Page(0x152);
    ASSERT_TRUE(machine.space.allocate(PageCount(4), stack).ok());
    const FaultReport below = report_of(access(0x151ff8, AccessKind::write));
    EXPECT_EQ(below.error, Error::guard_hit);
    EXPECT_STREQ(below.region.name, "stack guard");
    EXPECT_THAT(below.likely_cause, HasSubstr("stack overflow"));

    ASSERT_TRUE(machine.space.guard(pages(0x160, 1), "hole").ok());
    const FaultReport alone = report_of(access(0x160000));
    EXPECT_EQ(alone.error, Error::guard_hit);
    EXPECT_THAT(alone.likely_cause, HasSubstr("nothing is ever mapped"));

    const std::string before = machine.state();
    EXPECT_EQ(machine.space.protect(pages(0x151, 2), read_only).failure(),
              (Failure{Error::guard_hit, 0x151000}));
    EXPECT_EQ(machine.space.commit(pages(0x160, 1)).error(), Error::no_region);
    EXPECT_EQ(machine.space.guard(pages(0x151, 1), "another").error(), Error::already_mapped);
    EXPECT_EQ(machine.space.guard(pages(0x170, 0), "none").error(), Error::zero_size);
    EXPECT_EQ(machine.state(), before);
    EXPECT_TRUE(machine.space.validate().ok());
    machine.table.map(pages(0x160, 1), Frame(3), {}).value().spend(machine.tlb);
    EXPECT_EQ(machine.space.validate().failure(), (Failure{Error::corrupted, 0x160000}));
    machine.table.unmap(pages(0x160, 1), UnmappedFrames::keep, Holes::refuse)
        .value()
        .spend(machine.tlb);
    EXPECT_TRUE(machine.space.unmap(pages(0x160, 1)).ok());
}

TEST_F(FaultTest, Rights) {
    AllocateOptions options = at(0x110);
    options.protection = read_only;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), options).ok());
    expect_cause(access(address(0x111), AccessKind::write), Error::access_denied,
                 "write to read-only memory");
    expect_cause(access(address(0x111), AccessKind::execute), Error::access_denied,
                 "data was to be executed");
    Fault fault = access(address(0x111));
    fault.user = true;
    expect_cause(fault, Error::access_denied, "user code reached for memory of the kernel");
    options = at(0x120);
    options.protection = read_execute | Protection::user;
    ASSERT_TRUE(machine.space.allocate(PageCount(4), options).ok());
    fault.address = VirtualAddress(address(0x120));
    fault.access = AccessKind::execute;
    EXPECT_TRUE(machine.space.fault(fault).spurious);
}

TEST_F(FaultTest, NearMisses) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x200)).ok());
    expect_cause(access(address(0x204)), Error::no_region, "just past the end of the region below");
    expect_cause(access(address(0x213)), Error::no_region, "just past the end of the region below");
    expect_cause(access(address(0x214)), Error::no_region, "no region is near");
    expect_cause(access(address(0x1ff)), Error::no_region, "just before the region above");
    expect_cause(access(address(0x1ef)), Error::no_region, "no region is near");
    expect_cause(access(address(0x600)), Error::no_region, "outside of all that this space covers");
    const FaultReport report = report_of(access(address(0x1ff)));
    EXPECT_FALSE(report.has_region);
    EXPECT_FALSE(report.has_below);
    ASSERT_TRUE(report.has_above);
    EXPECT_EQ(report.above.pages, pages(0x200, 4));
}

TEST_F(FaultTest, NeighboursAreTheNearestOnes) {
    for (const uintptr_t page : {0x110u, 0x120u, 0x130u, 0x140u})
        ASSERT_TRUE(machine.space.allocate(PageCount(2), at(page, 0, 2)).ok());
    FaultReport report = report_of(access(address(0x128)));
    EXPECT_EQ(report.below.pages, pages(0x120, 2));
    EXPECT_EQ(report.above.pages, pages(0x130, 2));
    report = report_of(access(address(0x132)));  // in a guard
    EXPECT_EQ(report.region.pages, pages(0x130, 2));
    EXPECT_EQ(report.below.pages, pages(0x120, 2));
    EXPECT_EQ(report.above.pages, pages(0x140, 2));
    report = report_of(access(address(0x200)));
    EXPECT_EQ(report.below.pages, pages(0x140, 2));
    EXPECT_FALSE(report.has_above);
}

TEST_F(FaultTest, MemoryThatWasUnmapped) {
    AllocateOptions options = at(0x110);
    options.name = "first";
    ASSERT_TRUE(machine.space.allocate(PageCount(4), options).ok());
    ASSERT_TRUE(machine.space.unmap(pages(0x112, 2)).ok());
    expect_cause(access(address(0x113)), Error::no_region, "use after free");
    FaultReport report = report_of(access(address(0x112)));
    EXPECT_TRUE(report.had_region);
    EXPECT_FALSE(report.has_region);
    EXPECT_EQ(report.region.pages, pages(0x112, 2));
    EXPECT_STREQ(report.region.name, "first");
    // The latest tenant is named; and after eight others nobody remembers.
    options = at(0x112);
    options.name = "second";
    ASSERT_TRUE(machine.space.allocate(PageCount(1), options).ok());
    ASSERT_TRUE(machine.space.unmap(pages(0x112, 1)).ok());
    EXPECT_STREQ(report_of(access(address(0x112))).region.name, "second");
    EXPECT_STREQ(report_of(access(address(0x113))).region.name, "first");
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(machine.space.allocate(PageCount(1), at(0x180)).ok());
        ASSERT_TRUE(machine.space.unmap(pages(0x180, 1)).ok());
    }
    EXPECT_FALSE(report_of(access(address(0x112))).had_region);
}

TEST_F(FaultTest, ReservedAddressesWithoutMemory) {
    ASSERT_TRUE(machine.space.reserve(PageCount(4), at(0x110)).ok());
    expect_cause(access(address(0x111)), Error::not_mapped, "nothing is committed here");
    ASSERT_TRUE(machine.space.commit(pages(0x111, 1)).ok());
    EXPECT_TRUE(machine.space.fault(access(address(0x111))).spurious);
}

TEST_F(FaultTest, NoFrameOnDemand) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), on_demand(0x110)).ok());
    machine.frames.fail_at(1);
    expect_cause(access(address(0x111)), Error::out_of_frames, "out of memory");
    machine.frames.fail_at(0);
    machine.frames.zero_fails_at(1);
    expect_cause(access(address(0x111)), Error::unreachable, "could not be cleared");
    EXPECT_TRUE(machine.space.fault(access(address(0x111))).resolved);
}

TEST_F(FaultTest, ATableThatWasChangedBehindTheSpacesBack) {
    ASSERT_TRUE(machine.space.allocate(PageCount(4), at(0x111)).ok());
    machine.table.entry(Page(0x112)).attributes.protection = read_only;
    expect_cause(access(address(0x112), AccessKind::write), Error::corrupted,
                 "grants less than this region promises");
    machine.table.forget(Page(0x113));
    expect_cause(access(address(0x113)), Error::corrupted, "maps nothing where this region has");
    ASSERT_TRUE(machine.table.park(pages(0x113, 1), 77).ok());
    expect_cause(access(address(0x113)), Error::corrupted, "holds a parked entry");
    ASSERT_TRUE(machine.space.allocate(PageCount(4), on_demand(0x120)).ok());
    ASSERT_TRUE(machine.table.park(pages(0x121, 1), 78).ok());
    expect_cause(access(address(0x121)), Error::corrupted, "holds a parked entry");
}

TEST_F(FaultTest, ReportsAreCounted) {
    static_cast<void>(machine.space.fault(access(1)));
    static_cast<void>(machine.space.fault(access(2)));
    EXPECT_EQ(machine.space.fault_counters().reported, 2u);
}

}  // namespace
}  // namespace quire::test
