// SPDX-License-Identifier: MIT
#include "sim/mapped_machine.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "unit/sim/hand_tables.hpp"

namespace quire::sim::test::mapped_machine_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint32_t here = 0xc0001000;   // a page of the tests
constexpr uint32_t there = 0x00400000;  // a frame to put behind it
constexpr uint32_t elsewhere = 0x00401000;

class MappedMachineTest : public testing::Test {
  protected:
    MappedMachineTest() : tables(ram) {}

    void start() { machine.enable_paging(tables.root()); }
    uint32_t read(uint32_t address) { return *machine.pointer<volatile uint32_t>(address); }
    void write(uint32_t address, uint32_t value) {
        *machine.pointer<volatile uint32_t>(address) = value;
    }

    Ram ram{32 * MiB};
    HandTables tables;
    MappedMachine machine{ram};
};

TEST_F(MappedMachineTest, ShowsPhysicalMemoryBeforePaging) {
    *ram.as<uint32_t>(there) = 41;
    EXPECT_EQ(read(there), 41u);
    write(there, 42);
    EXPECT_EQ(*ram.as<uint32_t>(there), 42u);
    EXPECT_EQ(*machine.view().pointer<uint32_t>(VirtualAddress(there)), 42u);
}

TEST_F(MappedMachineTest, ForgetsPhysicalViewWhenPagingStarts) {
    *ram.as<uint32_t>(here & 0xffffff) = 1;
    EXPECT_EQ(read(here & 0xffffff), 1u);
    start();
    EXPECT_FALSE(machine.probe_load<uint32_t>(here & 0xffffff).ok());
}

TEST_F(MappedMachineTest, WalksTheTables) {
    tables.map(here, there);
    *ram.as<uint32_t>(there + 8) = 1234;
    start();
    EXPECT_EQ(read(here + 8), 1234u);
    write(here + 8, 4321);
    EXPECT_EQ(*ram.as<uint32_t>(there + 8), 4321u);
}

TEST_F(MappedMachineTest, ShowsOneFrameAtTwoPages) {
    tables.map(here, there);
    tables.map(here + 0x5000, there);
    start();
    write(here, 7);
    EXPECT_EQ(read(here + 0x5000), 7u);
}

TEST_F(MappedMachineTest, SetsAccessedOnReadAndDirtyOnWrite) {
    tables.map(here, there);
    start();
    EXPECT_EQ(tables.table_entry(here) & (A | D), 0u);
    read(here);
    EXPECT_EQ(tables.table_entry(here) & (A | D), A);
    EXPECT_EQ(tables.directory_entry(here) & A, A);
    write(here, 1);
    EXPECT_EQ(tables.table_entry(here) & (A | D), A | D);
    // Cleared without an invalidation, they stay clear: the cached entry is dirty already.
    tables.table_entry(here) &= ~(A | D);
    write(here, 2);
    EXPECT_EQ(tables.table_entry(here) & (A | D), 0u);
    machine.invalidate_page(here);
    write(here, 3);
    EXPECT_EQ(tables.table_entry(here) & (A | D), A | D);
}

TEST_F(MappedMachineTest, StaleMappingStaysVisibleUntilInvalidated) {
    tables.map(here, there);
    *ram.as<uint32_t>(there) = 1;
    *ram.as<uint32_t>(elsewhere) = 2;
    start();
    EXPECT_EQ(read(here), 1u);
    tables.map(here, elsewhere);
    EXPECT_EQ(read(here), 1u);
    ASSERT_EQ(machine.stale_entries().size(), 1u);
    EXPECT_TRUE(machine.stale_entries()[0].harmful);
    EXPECT_TRUE(machine.sees(Frame(there >> 12)));
    machine.tlb().flush_page(VirtualAddress(here));
    EXPECT_TRUE(machine.stale_entries().empty());
    EXPECT_FALSE(machine.sees(Frame(there >> 12)));
    EXPECT_EQ(read(here), 2u);
}

TEST_F(MappedMachineTest, InvalidatesOnePageOnly) {
    tables.map(here, there);
    tables.map(here + 0x1000, elsewhere);
    start();
    read(here);
    read(here + 0x1000);
    tables.table_entry(here) = tables.table_entry(here + 0x1000) = 0;
    machine.invalidate_page(here + 0xfff);
    EXPECT_FALSE(machine.probe_load<uint32_t>(here).ok());
    EXPECT_TRUE(machine.probe_load<uint32_t>(here + 0x1000).ok());
}

TEST_F(MappedMachineTest, CachedStructureOutlivesItsDirectoryEntry) {
    tables.map(here, there);
    tables.map(here + 0x1000, elsewhere);
    *ram.as<uint32_t>(elsewhere) = 77;
    start();
    read(here);
    tables.directory_entry(here) = 0;
    ASSERT_EQ(machine.stale_structures().size(), 1u);
    // Never accessed before: the walk goes on from the cached directory entry.
    EXPECT_EQ(read(here + 0x1000), 77u);
    // Invalidating any page drops it.
    machine.invalidate_page(0);
    EXPECT_TRUE(machine.stale_structures().empty());
    EXPECT_FALSE(machine.probe_load<uint32_t>(here + 0x2000).ok());
}

TEST_F(MappedMachineTest, NothingAbsentIsCached) {
    start();
    EXPECT_FALSE(machine.probe_load<uint32_t>(here).ok());
    tables.map(here, there);
    EXPECT_TRUE(machine.probe_load<uint32_t>(here).ok());
}

TEST_F(MappedMachineTest, GlobalEntriesSurviveALoadOfCr3) {
    tables.map(here, there, P | RW | G);
    tables.map(here + 0x1000, elsewhere);
    start();
    read(here);
    read(here + 0x1000);
    tables.table_entry(here) = tables.table_entry(here + 0x1000) = 0;
    machine.load_cr3(tables.root());
    EXPECT_TRUE(machine.probe_load<uint32_t>(here).ok());
    EXPECT_FALSE(machine.probe_load<uint32_t>(here + 0x1000).ok());
    machine.tlb().flush_all();
    EXPECT_FALSE(machine.probe_load<uint32_t>(here).ok());
}

TEST_F(MappedMachineTest, TogglingPgeDropsGlobalEntries) {
    tables.map(here, there, P | RW | G);
    start();
    read(here);
    tables.table_entry(here) = 0;
    Control control = machine.control();
    control.global_pages = false;
    machine.set_control(control);
    EXPECT_FALSE(machine.probe_load<uint32_t>(here).ok());
}

TEST_F(MappedMachineTest, TurningPagingOffDropsEverything) {
    constexpr uint32_t page = 0x200000;
    tables.map(page, elsewhere, P | RW | G);
    *ram.as<uint32_t>(elsewhere) = 1;
    *ram.as<uint32_t>(page) = 2;
    start();
    EXPECT_EQ(read(page), 1u);
    Control control = machine.control();
    control.paging = false;
    machine.set_control(control);
    EXPECT_EQ(read(page), 2u) << "the physical address";
    control.paging = true;
    machine.set_control(control);
    EXPECT_EQ(read(page), 1u);
}

TEST_F(MappedMachineTest, WritingAnotherCr3DropsWhatIsNotGlobal) {
    tables.map(here, there);
    tables.map(here + 0x1000, elsewhere, P | RW | G);
    start();
    read(here);
    read(here + 0x1000);
    HandTables others(ram, 0x200000);
    Control control = machine.control();
    control.cr3 = address_of(others.root()).value();
    machine.set_control(control);
    EXPECT_FALSE(machine.probe_load<uint32_t>(here).ok());
    EXPECT_TRUE(machine.probe_load<uint32_t>(here + 0x1000).ok());
}

TEST_F(MappedMachineTest, InvalidationDropsTheWholeLargePage) {
    tables.map_large(0x800000, 0x400000);
    start();
    *ram.as<uint32_t>(0x400000 + 0x3ff000) = 5;
    EXPECT_EQ(read(0x800000 + 0x3ff000), 5u);
    write(0x800000, 6);
    EXPECT_EQ(*ram.as<uint32_t>(0x400000), 6u);
    EXPECT_EQ(tables.directory_entry(0x800000) & (A | D), A | D);
    tables.directory_entry(0x800000) = 0;
    EXPECT_EQ(read(0x800000 + 0x3ff000), 5u);
    EXPECT_TRUE(machine.sees(Frame(0x600)));
    machine.invalidate_page(0x800000 + 0x123456);
    EXPECT_FALSE(machine.probe_load<uint32_t>(0x800000).ok());
    EXPECT_FALSE(machine.probe_load<uint32_t>(0x800000 + 0x3ff000).ok());
}

TEST_F(MappedMachineTest, SmallEntriesStayBesideALargeOne) {
    tables.map(0x800000, elsewhere);
    *ram.as<uint32_t>(elsewhere) = 1;
    *ram.as<uint32_t>(0x801000) = 3;
    start();
    EXPECT_EQ(read(0x800000), 1u);
    tables.map_large(0x800000, 0x800000);
    // The cached directory entry leads to the old table, where nothing is; the fault drops it.
    EXPECT_FALSE(machine.probe_load<uint32_t>(0x801000).ok());
    EXPECT_EQ(machine.counters().cpu.spurious_faults, 1u);
    EXPECT_EQ(read(0x801000), 3u);
    EXPECT_EQ(read(0x800000), 1u);
}

TEST_F(MappedMachineTest, LargePageFilledAroundStaleSmallEntries) {
    MappedShape shape;
    shape.cpu.tlb.keep_structures = false;
    MappedMachine other(ram, shape);
    tables.map(0x800000, elsewhere);
    *ram.as<uint32_t>(elsewhere) = 1;
    *ram.as<uint32_t>(0x800000) = 2;
    *ram.as<uint32_t>(0x801000) = 3;
    other.enable_paging(tables.root());
    volatile uint32_t* first = other.pointer<volatile uint32_t>(0x800000);
    volatile uint32_t* second = other.pointer<volatile uint32_t>(0x801000);
    EXPECT_EQ(*first, 1u);
    tables.map_large(0x800000, 0x800000);
    EXPECT_EQ(*second, 3u);
    EXPECT_EQ(*first, 1u);
    other.invalidate_page(0x800000);
    EXPECT_EQ(*first, 2u);
}

TEST_F(MappedMachineTest, DemandFaultIsRetried) {
    start();
    unsigned faults = 0;
    machine.on_page_fault([&](const PageFault& fault) {
        ++faults;
        EXPECT_EQ(fault.address, here + 4u);
        EXPECT_EQ(fault.error_code, PageFault::write_bit);
        tables.map(here, there);
        return true;
    });
    write(here + 4, 99);
    EXPECT_EQ(faults, 1u);
    EXPECT_EQ(*ram.as<uint32_t>(there + 4), 99u);
    EXPECT_EQ(machine.counters().cpu.faults, 1u);
}

TEST_F(MappedMachineTest, HandlerMayFaultItself) {
    // The handler maps through a table that is itself mapped on demand, three deep.
    start();
    unsigned depth = 0, deepest = 0;
    machine.on_page_fault([&](const PageFault& fault) {
        deepest = std::max(deepest, ++depth);
        const auto page = static_cast<uint32_t>(fault.address) & 0xfffff000;
        const uint32_t level = (page - here) >> 12;
        if (level < 3) write(page + 0x1000, level);
        tables.map(page, there + (level << 12));
        --depth;
        return true;
    });
    write(here, 17);
    EXPECT_EQ(deepest, 4u);
    EXPECT_EQ(*ram.as<uint32_t>(there), 17u);
    EXPECT_EQ(*ram.as<uint32_t>(there + 0x3000), 2u);
}

TEST_F(MappedMachineTest, FaultInsideLibraryCopiesIsServed) {
    start();
    machine.on_page_fault([&](const PageFault& fault) {
        tables.map(static_cast<uint32_t>(fault.address) & 0xfffff000,
                   there + (static_cast<uint32_t>(fault.address) & 0xf000));
        return true;
    });
    std::memset(machine.pointer(here), 0x5a, 0x4000);
    std::memcpy(machine.pointer(here + 0x4000), machine.pointer(here), 0x4000);
    EXPECT_EQ(std::memcmp(machine.pointer(here), machine.pointer(here + 0x4000), 0x4000), 0);
    EXPECT_TRUE(ram.holds(there + 0x1000, 0x8000, 0x5a));
}

TEST_F(MappedMachineTest, ProbeReportsTheFault) {
    tables.map(here, there, P);
    start();
    const auto absent = machine.probe_load<uint32_t>(here + 0x1000);
    EXPECT_FALSE(absent.ok());
    EXPECT_EQ(absent.fault, (PageFault{here + 0x1000, 0}));
    const auto denied = machine.probe_store<uint32_t>(here, 1);
    EXPECT_FALSE(denied.ok());
    EXPECT_EQ(denied.fault, (PageFault{here, PageFault::present_bit | PageFault::write_bit}));
    EXPECT_TRUE(machine.probe_load<uint32_t>(here).ok());
}

TEST_F(MappedMachineTest, ProbeAsksTheHandlerFirst) {
    start();
    machine.on_page_fault([&](const PageFault& fault) {
        if ((fault.address & 0xfffff000) != here) return false;
        tables.map(here, there);
        return true;
    });
    EXPECT_TRUE(machine.probe_store<uint32_t>(here, 3).ok());
    EXPECT_EQ(*ram.as<uint32_t>(there), 3u);
    EXPECT_FALSE(machine.probe_store<uint32_t>(here + 0x1000, 3).ok());
}

TEST_F(MappedMachineTest, ProbeInsideAHandlerReturnsThere) {
    start();
    bool inner = true;
    machine.on_page_fault([&](const PageFault& fault) {
        if (fault.address != here) return false;
        inner = machine.probe_load<uint8_t>(here + 0x1000).ok();
        tables.map(here, there);
        return true;
    });
    EXPECT_TRUE(machine.probe_load<uint8_t>(here).ok());
    EXPECT_FALSE(inner);
}

TEST_F(MappedMachineTest, UserAccessesObeyTheUserBit) {
    tables.map(here, there, P | RW);
    tables.map(here + 0x1000, elsewhere, P | US);
    *ram.as<uint32_t>(elsewhere) = 0x01020304;
    start();
    EXPECT_EQ(machine.probe_load<uint32_t>(here, Privilege::user).fault.error_code,
              PageFault::present_bit | PageFault::user_bit);
    EXPECT_EQ(machine.probe_load<uint32_t>(here + 0x1000, Privilege::user).value, 0x01020304u);
    EXPECT_EQ(machine.probe_store<uint32_t>(here + 0x1000, 1, Privilege::user).fault.error_code,
              PageFault::present_bit | PageFault::user_bit | PageFault::write_bit);
    EXPECT_EQ(machine.probe_fetch(here + 0x1000, Privilege::user).value, 4u);
    EXPECT_FALSE(machine.probe_fetch(here, Privilege::user).ok());
    EXPECT_TRUE(machine.probe_fetch(here).ok());
}

TEST_F(MappedMachineTest, WriteProtectDecidesAboutSupervisorWrites) {
    tables.map(here, there, P);
    start();
    EXPECT_FALSE(machine.probe_store<uint32_t>(here, 1).ok());
    Control control = machine.control();
    control.write_protect = false;
    machine.set_control(control);
    EXPECT_TRUE(machine.probe_store<uint32_t>(here, 2).ok());
    EXPECT_EQ(tables.table_entry(here) & D, D);
    control.write_protect = true;
    machine.set_control(control);
    EXPECT_FALSE(machine.probe_store<uint32_t>(here, 3).ok());
    EXPECT_EQ(*ram.as<uint32_t>(there), 2u);
}

TEST_F(MappedMachineTest, GrantedRightMayFaultSpuriouslyOnce) {
    tables.map(here, there, P);
    start();
    read(here);
    tables.table_entry(here) |= RW;
    EXPECT_FALSE(machine.stale_entries().at(0).harmful);
    EXPECT_FALSE(machine.probe_store<uint32_t>(here, 1).ok());
    EXPECT_EQ(machine.counters().cpu.spurious_faults, 1u);
    // The fault itself has dropped the entry.
    EXPECT_TRUE(machine.probe_store<uint32_t>(here, 1).ok());
}

TEST_F(MappedMachineTest, RevokedRightNeedsAnInvalidation) {
    tables.map(here, there);
    start();
    write(here, 1);
    tables.table_entry(here) &= ~RW;
    EXPECT_TRUE(machine.probe_store<uint32_t>(here, 2).ok());
    EXPECT_TRUE(machine.stale_entries().at(0).harmful);
    machine.invalidate_page(here);
    EXPECT_FALSE(machine.probe_store<uint32_t>(here, 3).ok());
}

TEST_F(MappedMachineTest, NothingBehindReadsAsOnes) {
    tables.map(here, 0xfee00000);
    start();
    EXPECT_EQ(read(here), 0xffffffffu);
    write(here, 0);
    machine.invalidate_page(here);
    EXPECT_EQ(read(here), 0xffffffffu);
    EXPECT_GE(machine.counters().device_pages, 2u);
}

TEST_F(MappedMachineTest, DeviceMemoryKeepsWhatIsWritten) {
    ram.add_device_memory({0xb8000, 0x8000});
    tables.map(here, 0xb8000, P | RW | PCD);
    start();
    write(here, 0x07410742);
    EXPECT_EQ(*ram.as<uint32_t>(0xb8000), 0x07410742u);
    EXPECT_EQ(machine.counters().device_pages, 0u);
    EXPECT_EQ(machine.look(Access{here}).translation->type, MemoryType::uncached_minus);
}

TEST_F(MappedMachineTest, LargePageThatLeavesRamIsOnesThere) {
    Ram odd(flat_segments(10 * MiB));
    HandTables hand(odd);
    hand.map_large(0x40000000, 0x800000);
    MappedMachine other(odd);
    other.enable_paging(hand.root());
    *odd.as<uint32_t>(0x9ff000) = 8;
    EXPECT_EQ(*other.pointer<volatile uint32_t>(0x40000000 + 0x1ff000), 8u);
    EXPECT_EQ(*other.pointer<volatile uint32_t>(0x40000000 + 0x200000), 0xffffffffu);
}

TEST_F(MappedMachineTest, MemoryAbove4GiBByLargePages) {
    Ram big(uint64_t{3584} * MiB);
    HandTables hand(big);
    MappedMachine other(big);
    hand.map_large(0x80000000, 1u << 13);  // PSE-36: address bit 32
    other.enable_paging(hand.root());
    *other.pointer<volatile uint32_t>(0x80000004) = 36;
    EXPECT_EQ(*big.as<uint32_t>((uint64_t{4} << 30) + 4), 36u);
}

TEST_F(MappedMachineTest, FewHostMappingsChangeNothingButTime) {
    MappedShape shape;
    shape.host_mappings = 8;
    MappedMachine other(ram, shape);
    for (uint32_t i = 0; i < 64; ++i)
        tables.map(0x40000000 + (i << 12), there + (i << 12));
    other.enable_paging(tables.root());
    for (uint32_t i = 0; i < 64; ++i)
        *other.pointer<volatile uint32_t>(0x40000000 + (i << 12)) = i;
    // Gone from the tables, but not from the TLB.
    for (uint32_t i = 0; i < 64; ++i)
        tables.table_entry(0x40000000 + (i << 12)) = 0;
    for (uint32_t i = 0; i < 64; ++i)
        EXPECT_EQ(*other.pointer<volatile uint32_t>(0x40000000 + (i << 12)), i);
    EXPECT_EQ(other.counters().cpu.misses, 64u);
    EXPECT_GT(other.counters().remappings, 8u);
    EXPECT_LT(other.counters().remappings, 20u);
    EXPECT_EQ(other.stale_entries().size(), 64u);
}

TEST_F(MappedMachineTest, SmallTlbEvicts) {
    for (const Eviction eviction : {Eviction::oldest, Eviction::random}) {
        MappedShape shape;
        shape.cpu.tlb.capacity = 8;
        shape.cpu.tlb.eviction = eviction;
        MappedMachine other(ram, shape);
        for (uint32_t i = 0; i < 9; ++i)
            tables.map(0x40000000 + (i << 12), there + (i << 12));
        other.enable_paging(tables.root());
        for (uint32_t i = 0; i < 8; ++i)
            *other.pointer<volatile uint32_t>(0x40000000 + (i << 12)) = i;
        EXPECT_EQ(other.core().tlb().evictions(), 0u);
        *other.pointer<volatile uint32_t>(0x40000000 + (8 << 12)) = 8;
        EXPECT_EQ(other.core().tlb().evictions(), 1u);
        for (uint32_t i = 0; i < 9; ++i)
            tables.table_entry(0x40000000 + (i << 12)) = 0;
        unsigned left = 0;
        for (uint32_t i = 0; i < 9; ++i)
            left += other.probe_load<uint32_t>(0x40000000 + (i << 12)).ok();
        EXPECT_EQ(left, 8u);
    }
}

TEST_F(MappedMachineTest, TopAndBottomOfTheAddressSpace) {
    tables.map(0, there);
    tables.map(0xfffff000, elsewhere);
    start();
    write(0, 1);
    write(0xfffffffc, 2);
    EXPECT_EQ(*ram.as<uint32_t>(there), 1u);
    EXPECT_EQ(*ram.as<uint32_t>(elsewhere + 0xffc), 2u);
}

TEST_F(MappedMachineTest, MachinesDoNotMix) {
    tables.map(here, there);
    auto other = std::make_unique<MappedMachine>(ram);
    EXPECT_EQ(MappedMachine::current(), other.get());
    EXPECT_NE(other->bias(), machine.bias());
    start();
    other->enable_paging(tables.root());
    write(here, 5);
    EXPECT_EQ(*other->pointer<volatile uint32_t>(here), 5u);
    tables.table_entry(here) = 0;
    other->invalidate_page(here);
    EXPECT_TRUE(machine.probe_load<uint32_t>(here).ok());
    EXPECT_FALSE(other->probe_load<uint32_t>(here).ok());
    other.reset();
    EXPECT_EQ(MappedMachine::current(), &machine);
    EXPECT_TRUE(machine.probe_load<uint32_t>(here).ok());
}

TEST_F(MappedMachineTest, OneAfterTheOtherAtAChosenPlace) {
    MappedShape shape;
    shape.host_address = 0x3000'0000'0000;
    for (int i = 0; i < 3; ++i) {
        MappedMachine other(ram, shape);
        EXPECT_EQ(other.bias(), shape.host_address);
        *other.pointer<volatile int>(0x200000) = i;
        EXPECT_EQ(*ram.as<int>(0x200000), i);
    }
}

TEST_F(MappedMachineTest, AMachinesAddressesAreGoneWithIt) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH(
        {
            volatile int* pointer = nullptr;
            {
                MappedMachine other(ram);
                pointer = other.pointer<int>(0x200000);
                *pointer = 1;
            }
            *pointer = 2;
        },
        "");
}

TEST_F(MappedMachineTest, UnresolvedFaultStopsWithAReport) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    tables.map(here, there, P);
    start();
    EXPECT_DEATH(read(here + 0x1000),
                 "page fault at 0xc0002000: supervisor read, nothing present.*\n.*directory entry "
                 "768");
    EXPECT_DEATH(write(here, 1), "supervisor write, not allowed");
}

TEST_F(MappedMachineTest, UnresolvedFaultInsideAHandlerIsNeverJumpedOver) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    start();
    machine.on_page_fault([&](const PageFault& fault) {
        if (fault.address == here) read(here + 0x1000);
        return false;
    });
    EXPECT_DEATH(machine.probe_load<uint32_t>(here), "inside a page-fault handler");
}

TEST_F(MappedMachineTest, HandlerThatResolvesNothingIsStopped) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    start();
    machine.on_page_fault([](const PageFault&) { return true; });
    EXPECT_DEATH(read(here), "in vain");
}

}  // namespace
}  // namespace quire::sim::test::mapped_machine_test
