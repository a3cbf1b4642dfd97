// SPDX-License-Identifier: MIT
// The space under a CPU that uses it: real accesses, real faults, a TLB that remembers.
#include <gmock/gmock.h>

#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "sim/mapped_machine.hpp"
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class MappedSpace : public SpaceTest {
  protected:
    static constexpr uint64_t ram_bytes = uint64_t{32} << 20;
    static constexpr X86Features features{true, true, true};
    using Tlb = sim::MappedMachine::LocalTlb;

    MappedSpace() {
        sim::Control control = machine.control();
        control.pat = x86_page_attribute_table;
        control.large_pages = control.global_pages = control.write_protect = true;
        machine.set_control(control);
        EXPECT_TRUE(created);
        machine.enable_paging(table.root());
        machine.on_page_fault([this](const sim::PageFault& fault) {
            Fault what{.address = VirtualAddress(static_cast<uintptr_t>(fault.address)),
                       .access = fault.fetch()   ? AccessKind::execute
                                 : fault.write() ? AccessKind::write
                                                 : AccessKind::read,
                       .user = fault.user(),
                       .was_present = fault.present()};
            outcome = space.fault(what);
            return outcome.resolved;
        });
    }
    uint32_t* words(Page page) { return machine.pointer<uint32_t>(address_of(page).value()); }

    sim::Ram ram{ram_bytes};
    sim::MappedMachine machine{ram};
    sim::FramePool pool{ram,
                        FrameRange(Frame(0x400), FrameCount(0x1800)),
                        {sim::FreedFrames::filled_with_junk, true, 5}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    DirectMap access{FrameRange(Frame(0), FrameCount(ram_bytes / page_size)), VirtualAddress(0),
                     ram.physical_view()};
    AccessZeroer<DirectMap> zeroer{access};
    SingleCpuInvalidator<Tlb> tlb{machine.tlb()};
    LoudPlatform platform;
    FormatPageTable<X86_32, DirectMap> table{access, X86_32(features)};
    const bool created = table.create(FrameSource(frames)).ok();  // before the space looks at it
    alignas(Region) unsigned char nodes[8 * sizeof(Region)];
    AddressSpace space{{.table = table,
                        .frames = FrameSource(frames),
                        .zeroer = zeroer,
                        .tlb = tlb,
                        .platform = platform,
                        .view = machine.view()},
                       PageRange(Page(0xd0000), PageCount(0x20000)),
                       nodes};
    FaultOutcome outcome;
};

TEST_F(MappedSpace, MemoryOnDemandAppearsAsItIsTouched) {
    const auto got = space.allocate(PageCount(500), on_demand());
    ASSERT_TRUE(got.ok());
    for (uintptr_t i = 0; i < 500; i += 7) {
        uint32_t* page = words(got->first() + PageCount(i));
        ASSERT_EQ(page[0], 0u);
        ASSERT_EQ(page[1023], 0u);
        page[i % 1024] = static_cast<uint32_t>(i);
    }
    for (uintptr_t i = 0; i < 500; i += 7)
        ASSERT_EQ(words(got->first() + PageCount(i))[i % 1024], i);
    EXPECT_EQ(space.fault_counters().resolved, 72u);
    EXPECT_TRUE(space.validate().ok());
    ASSERT_TRUE(space.unmap(*got).ok());
    EXPECT_EQ(frames.outstanding(), table.table_frames().value());
    EXPECT_FALSE(machine.probe_load<uint32_t>(address_of(got->first()).value()).ok());
    EXPECT_THAT(outcome.report.likely_cause, ::testing::HasSubstr("use after free"));
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(MappedSpace, UnmappedFramesAreOutOfTheTlbBeforeTheyAreUsedAgain) {
    const auto got = space.allocate(PageCount(3)).value();
    for (const Page page : got)
        words(page)[0] = 1234;
    ASSERT_TRUE(space.unmap(PageRange(got.first() + PageCount(1), PageCount(1))).ok());
    EXPECT_TRUE(machine.stale_entries().empty());
    EXPECT_FALSE(machine.probe_load<uint32_t>(address_of(got.first()).value() + page_size).ok());
    EXPECT_EQ(words(got.first())[0], 1234u);
    EXPECT_EQ(words(got.last())[0], 1234u);
}

TEST_F(MappedSpace, WritesToReadOnlyMemoryAreReported) {
    const auto got = space.allocate(PageCount(3)).value();
    words(got.first())[0] = 77;
    ASSERT_TRUE(space.protect(got, read_only).ok());
    EXPECT_FALSE(machine.probe_store<uint32_t>(address_of(got.first()).value(), 1).ok());
    EXPECT_EQ(outcome.report.error, Error::access_denied);
    EXPECT_TRUE(outcome.report.fault.was_present);
    EXPECT_EQ(words(got.first())[0], 77u);
    ASSERT_TRUE(space.protect(got, read_write).ok());
    words(got.first())[0] = 78;
    EXPECT_EQ(words(got.first())[0], 78u);
}

// The TLB still forbids what the table allows: the space flushes, and the store goes through.
TEST_F(MappedSpace, AStaleTranslationIsFlushed) {
    const auto got = space.allocate(PageCount(1)).value();
    ASSERT_TRUE(space.protect(got, read_only).ok());
    EXPECT_EQ(words(got.first())[0], 0u);  // into the TLB, read-only
    // Somebody lifts the protection without a flush, and tells the space by its own means.
    auto change = table.protect(got, read_write);
    ASSERT_TRUE(change.ok());
    change->spend_unused();
    unsigned char more[8 * sizeof(Region)];
    AddressSpace other({.table = table,
                        .frames = FrameSource(frames),
                        .zeroer = zeroer,
                        .tlb = tlb,
                        .platform = platform},
                       space.bounds(), more, NodeGrowth::none);
    ASSERT_TRUE(other.adopt(got, {read_write}, "shared").ok());
    unsigned faults = 0;
    machine.on_page_fault([&](const sim::PageFault& fault) {
        ++faults;
        outcome = other.fault({.address = VirtualAddress(static_cast<uintptr_t>(fault.address)),
                               .access = AccessKind::write,
                               .was_present = fault.present()});
        return outcome.resolved;
    });
    words(got.first())[0] = 5;
    EXPECT_EQ(faults, 1u);
    EXPECT_TRUE(outcome.spurious);
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(MappedSpace, StacksHaveGuards) {
    AllocateOptions options;
    options.placement.guard_before = PageCount(1);
    options.placement.guard_after = PageCount(1);
    options.name = "stack";
    const auto got = space.allocate(PageCount(4), options).value();
    const uint64_t low = address_of(got.first()).value();
    EXPECT_TRUE(machine.probe_store<uint32_t>(low, 1).ok());
    EXPECT_FALSE(machine.probe_store<uint32_t>(low - 4, 1).ok());
    EXPECT_EQ(outcome.report.error, Error::guard_hit);
    EXPECT_FALSE(machine.probe_load<uint32_t>(low + 4 * page_size).ok());
    EXPECT_EQ(outcome.report.error, Error::guard_hit);
}

// Records in pages that the space maps for itself, reached through the TLB like everything else.
TEST_F(MappedSpace, TheSpaceHoldsItsOwnRecords) {
    std::vector<PageRange> all;
    for (int i = 0; i < 400; ++i) {
        AllocateOptions options = on_demand();
        options.placement.guard_after = PageCount(1);
        const auto got = space.allocate(PageCount(1), options);
        ASSERT_TRUE(got.ok());
        all.push_back(*got);
        words(got->first())[0] = static_cast<uint32_t>(i);
    }
    for (size_t i = 0; i < all.size(); ++i)
        ASSERT_EQ(words(all[i].first())[0], i);
    EXPECT_TRUE(space.validate().ok());
    EXPECT_GT(space.regions(), all.size());
    for (const PageRange& range : all)
        ASSERT_TRUE(space.unmap(range).ok());
    EXPECT_TRUE(space.validate().ok());
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(MappedSpace, AFaultWithoutAFrameIsReportedAndCanBeTriedAgain) {
    const auto got = space.allocate(PageCount(2), on_demand()).value();
    frames.fail_from(1);
    EXPECT_FALSE(machine.probe_store<uint32_t>(address_of(got.first()).value(), 9).ok());
    EXPECT_EQ(outcome.report.error, Error::out_of_frames);
    frames.never_fail();
    EXPECT_TRUE(machine.probe_store<uint32_t>(address_of(got.first()).value(), 9).ok());
    EXPECT_EQ(words(got.first())[0], 9u);
}

}  // namespace
}  // namespace quire::test
