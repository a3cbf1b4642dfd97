// SPDX-License-Identifier: MIT
// Each fault of the tutorial series' code as a scenario, named after it.
#include <gtest/gtest.h>

#include <set>

#include "series_machine.hpp"

namespace quire::series {
namespace {

using Machine = SeriesMachine<Tutorial>;

uint32_t number(void* block) {
    return number_of(block);
}
void* block(uint32_t address) {
    return reinterpret_cast<void*>(uintptr_t{address});
}

// memset(map, 0xf, ...) left four of eight blocks free before anybody called them so.
TEST(SeriesFaults, HalfTheBitmapLeftFreeAtStart) {
    Machine machine;
    ASSERT_EQ(machine.init(), QUIRE_OK);
    EXPECT_EQ(machine.kernel().free_block_count(), 0U);
    EXPECT_EQ(machine.kernel().use_block_count(), 4096U);
    EXPECT_EQ(machine.kernel().alloc_blocks(1), nullptr);
    EXPECT_EQ(machine.kernel().outcome().last_error(), QUIRE_OUT_OF_FRAMES);
}

// The search for a run counted free blocks without asking whether they follow one another.
TEST(SeriesFaults, AContiguousSearchThatDoesNotTestContiguity) {
    Machine machine;
    machine.init();
    Face<Tutorial>& kernel = machine.kernel();
    // Every other block of 1 MiB to 2 MiB, and one run of 8.
    for (uint32_t at = 1_MiB; at < 2_MiB; at += 0x2000)
        kernel.init_region(at, 0x1000);
    kernel.init_region(8_MiB, 8 * 4096);
    const uint32_t run = number(kernel.alloc_blocks(8));
    EXPECT_EQ(run, 8_MiB);
    EXPECT_EQ(kernel.alloc_blocks(2), nullptr);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(kernel.free_block_count(), 128U);
}

// A run as long as all that is free was refused.
TEST(SeriesFaults, AnExactFitRefused) {
    Machine machine;
    machine.init();
    machine.kernel().init_region(4_MiB, 3_MiB);
    ASSERT_EQ(machine.kernel().free_block_count(), 768U);
    EXPECT_EQ(number(machine.kernel().alloc_blocks(768)), 4_MiB);
    EXPECT_EQ(machine.kernel().free_block_count(), 0U);
    EXPECT_EQ(machine.kernel().alloc_blocks(1), nullptr);
}

// Loops ran to the number of blocks where they meant words of the bitmap, or one further.
TEST(SeriesFaults, ScansPastTheBitmapsEnd) {
    // 37 blocks: no multiple of 32.
    constexpr uint64_t kib = 37 * 4;
    std::vector<unsigned char> memory(Blocks::room_bytes(kib) + 192, 0xa5);
    const size_t to_alignment = 64 - reinterpret_cast<uintptr_t>(memory.data()) % 64;
    unsigned char* const room = memory.data() + to_alignment;
    const size_t bytes = Blocks::room_bytes(kib);
    Machine machine;
    ASSERT_EQ(machine.kernel().init(kib, {room, bytes}), QUIRE_OK);
    machine.kernel().init_region(0, 16_MiB);
    std::set<uint32_t> blocks;
    while (void* const one = machine.kernel().alloc_blocks(1))
        EXPECT_TRUE(blocks.insert(number(one)).second);
    EXPECT_EQ(blocks.size(), 36U);
    EXPECT_EQ(*blocks.rbegin(), 36 * 4096U);
    EXPECT_EQ(machine.kernel().alloc_blocks(36), nullptr);
    for (size_t i = 0; i < memory.size(); ++i) {
        if (i < to_alignment || i >= to_alignment + bytes) {
            ASSERT_EQ(memory[i], 0xa5) << i;
        }
    }
}

TEST(SeriesFaults, BlockZeroHandedOut) {
    Machine machine;
    machine.init();
    machine.kernel().init_region(0, 0x5000);
    EXPECT_EQ(machine.kernel().free_block_count(), 4U);
    for (int i = 0; i < 4; ++i)
        EXPECT_NE(machine.kernel().alloc_blocks(1), nullptr);
    EXPECT_EQ(machine.kernel().alloc_blocks(1), nullptr);
    EXPECT_EQ(machine.kernel().free_blocks(0, 1), QUIRE_RESERVED);
}

TEST(SeriesFaults, NoRangeOrDoubleFreeChecksAndCountersThatDrift) {
    Machine machine;
    machine.init();
    Face<Tutorial>& kernel = machine.kernel();
    kernel.init_region(1_MiB, 1_MiB);
    kernel.init_region(1_MiB, 1_MiB);
    EXPECT_EQ(kernel.free_block_count(), 256U);
    kernel.deinit_region(1_MiB, 0x1000);
    kernel.deinit_region(1_MiB, 0x1000);
    EXPECT_EQ(kernel.free_block_count(), 255U);
    const uint32_t one = number(kernel.alloc_blocks(1));
    EXPECT_EQ(kernel.free_blocks(one, 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_blocks(one, 1), QUIRE_ALREADY_FREE);
    EXPECT_EQ(kernel.free_blocks(16_MiB, 1), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.free_blocks(0xFFFFF000, 1), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.free_block_count(), 255U);
    EXPECT_EQ(kernel.use_block_count(), 4096U - 255U);
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

// Whatever was not called free is nobody's to free.
TEST(SeriesFaults, ReservedAndAcpiMemoryFreed) {
    Machine machine;
    machine.init();
    Face<Tutorial>& kernel = machine.kernel();
    kernel.init_region(1_MiB, 14_MiB);       // the firmware's usable entry
    const uint32_t acpi = 15_MiB + 0x10000;  // behind it
    EXPECT_EQ(kernel.free_blocks(acpi, 1), QUIRE_RESERVED);
    EXPECT_EQ(kernel.free_blocks(0xA0000, 1), QUIRE_RESERVED);
    std::set<uint32_t> blocks;
    while (void* const one = kernel.alloc_blocks(1))
        blocks.insert(number(one));
    EXPECT_EQ(*blocks.begin(), 1_MiB);
    EXPECT_EQ(*blocks.rbegin(), 15_MiB - 4096);
}

// Of an entry at 4 GiB + 1 MiB only the lower half of its address was read.
TEST(SeriesFaults, HighHalvesOf64BitMapEntriesIgnored) {
    Machine machine;
    machine.init();
    Face<Tutorial>& kernel = machine.kernel();
    EXPECT_EQ(kernel.init_region((uint64_t{1} << 32) + 1_MiB, 4_MiB), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.free_block_count(), 0U);
    // 4 GiB and 1 MiB long, from 1 MiB on: not 1 MiB long.
    EXPECT_EQ(kernel.init_region(1_MiB, (uint64_t{1} << 32) + 1_MiB), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), 15 * 256U);
    EXPECT_EQ(kernel.deinit_region((uint64_t{1} << 32) + 1_MiB, 4_MiB), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.free_block_count(), 15 * 256U);
}

// The books were put where the kernel's image seemed to end.
TEST(SeriesFaults, TheBitmapLaidOverBss) {
    Machine machine;
    machine.ram().fill_pattern(0, 16_MiB, 7);
    ASSERT_EQ(machine.init(), QUIRE_OK);
    machine.kernel().init_region(2_MiB, 14_MiB);
    machine.kernel().deinit_region(3_MiB, 1_MiB);
    machine.kernel().free_blocks(number(machine.kernel().alloc_blocks(1)), 1);
    EXPECT_TRUE(machine.ram().holds_pattern(0, 16_MiB, 7));
}

TEST(SeriesFaults, LowMemoryWithTheLivePageTablesHandedOut) {
    Machine machine;
    machine.boot_with_paging(0xC0000000);
    Face<Tutorial>& kernel = machine.kernel();
    machine.init();
    kernel.init_region(0, 16_MiB);  // all of it, tables included, and nothing is called used again
    kernel.initialize();
    std::set<uint32_t> blocks;
    while (void* const one = kernel.alloc_blocks(1))
        blocks.insert(number(one));
    EXPECT_EQ(blocks.size(), 4096U - 4U);
    for (uint32_t table = 0; table < 3; ++table)
        EXPECT_FALSE(blocks.contains(Machine::boot_directory + table * 0x1000));
}

TEST(SeriesFaults, TheDirectoryLookedUpByTheTablesIndex) {
    pdirectory directory{};
    ptable table{};
    EXPECT_EQ(vmmngr_pdirectory_lookup_entry(&directory, 0xC0105000), &directory.m_entries[768]);
    EXPECT_EQ(vmmngr_ptable_lookup_entry(&table, 0xC0105000), &table.m_entries[0x105]);
    Machine machine;
    machine.start_like_the_tutorial();
    ASSERT_EQ(machine.kernel().map(machine.kernel().active(), 0x00C05000, 0x200000, 4096, 2),
              QUIRE_OK);
    pdirectory* const active = machine.kernel().get_directory();
    EXPECT_TRUE(pd_entry_is_present(*vmmngr_pdirectory_lookup_entry(active, 0x00C05000)));
}

TEST(SeriesFaults, SwitchPdirectoryLoadingSomethingElseThanItsArgument) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const first = kernel.get_directory();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_NE(second, nullptr);
    ASSERT_TRUE(kernel.switch_pdirectory(second));
    EXPECT_EQ(kernel.get_PDBR(), machine.address(second));
    EXPECT_EQ(kernel.get_directory(), second);
    ASSERT_TRUE(kernel.switch_pdirectory(first));
    EXPECT_EQ(kernel.get_PDBR(), machine.address(first));
}

// invlpg named the variable that held the address, and sti followed.
TEST(SeriesFaults, InvlpgOnTheArgumentsStackSlotThenInterruptsEnabled) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    machine.ram().store<uint32_t>(0x300000, 0x33);
    machine.ram().store<uint32_t>(0x301000, 0x44);
    ASSERT_EQ(kernel.map(kernel.active(), 0x00800000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_EQ(machine.load(0x00800000), 0x33U);
    // The kernel's own code writes the entry: the old translation stays until it is flushed.
    pt_entry* const entry = kernel.entry(kernel.active(), 0x00800000);
    ASSERT_NE(entry, nullptr);
    pt_entry_set_frame(entry, 0x301000);
    EXPECT_EQ(machine.load(0x00800000), 0x33U);
    const auto before = machine.machine().counters().cpu;
    kernel.drop_tlb_entry(0x00800000);
    EXPECT_EQ(machine.load(0x00800000), 0x44U);
    const auto after = machine.machine().counters().cpu;
    EXPECT_EQ(after.page_invalidations, before.page_invalidations + 1);
    EXPECT_EQ(after.full_invalidations, before.full_invalidations);
}

// A page table's physical address was used as a pointer: here nothing is at identity.
TEST(SeriesFaults, TablesReachedByTheirPhysicalAddress) {
    SeriesMachine<HigherHalf> machine;
    machine.boot_with_paging(0xC0000000, table_entries, false);
    machine.at() = {0xC0100000, 0xC0090000};
    Face<HigherHalf>& kernel = machine.kernel();
    machine.init_blocks();
    ASSERT_EQ(kernel.adopt(nullptr), QUIRE_OK);
    ASSERT_FALSE(machine.readable(0x00300000));
    machine.ram().store<uint32_t>(0x300000, 0x33);
    EXPECT_TRUE(kernel.map_page(block(0x300000), block(0xD0000000)));
    EXPECT_EQ(machine.load(0xD0000000), 0x33U);
    machine.store(0xD0000000, 0x34);
    EXPECT_EQ(machine.ram().load<uint32_t>(0x300000), 0x34U);
}

TEST(SeriesFaults, NoWritableOrUserBitOnNewEntries) {
    Machine machine;
    machine.start_like_the_tutorial();
    sim::Control control = machine.machine().control();
    control.write_protect = true;
    machine.machine().set_control(control);
    Face<Tutorial>& kernel = machine.kernel();
    ASSERT_TRUE(kernel.map_page(block(0x300000), block(0x00800000)));
    EXPECT_TRUE(machine.writable(0x00800000));
    EXPECT_FALSE(machine.user_writable(0x00800000));
    ASSERT_EQ(
        kernel.map(kernel.active(), 0x00801000, 0x301000, 4096, I86_PTE_WRITABLE | I86_PTE_USER),
        QUIRE_OK);
    EXPECT_TRUE(machine.user_writable(0x00801000));
    ASSERT_EQ(kernel.map(kernel.active(), 0x00802000, 0x302000, 4096, 0), QUIRE_OK);
    EXPECT_TRUE(machine.readable(0x00802000));
    EXPECT_FALSE(machine.writable(0x00802000));
}

TEST(SeriesFaults, NoFlushAfterAChange) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const active = kernel.active();
    machine.ram().store<uint32_t>(0x300000, 0x33);
    machine.ram().store<uint32_t>(0x301000, 0x44);
    ASSERT_EQ(kernel.map(active, 0x00800000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_EQ(machine.load(0x00800000), 0x33U);
    ASSERT_EQ(kernel.unmap(active, 0x00800000, 4096), QUIRE_OK);
    EXPECT_FALSE(machine.readable(0x00800000));
    ASSERT_EQ(kernel.map(active, 0x00800000, 0x301000, 4096, 2), QUIRE_OK);
    EXPECT_EQ(machine.load(0x00800000), 0x44U);
    machine.store(0x00800000, 0x45);
    sim::Control control = machine.machine().control();
    control.write_protect = true;
    machine.machine().set_control(control);
    ASSERT_EQ(kernel.protect(active, 0x00800000, 4096, 0), QUIRE_OK);
    EXPECT_FALSE(machine.writable(0x00800000));
    // Through an entry: its address is not known, so everything goes.
    ASSERT_EQ(kernel.alloc_pages(active, 0x00900000, 4096, 2), QUIRE_OK);
    EXPECT_TRUE(machine.readable(0x00900000));
    kernel.free_page(kernel.entry(active, 0x00900000));
    EXPECT_FALSE(machine.readable(0x00900000));
    // A whole table.
    ASSERT_EQ(kernel.map(active, 0x00900000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_TRUE(machine.readable(0x00900000));
    kernel.unmapPageTable(active, 0x00900000);
    EXPECT_FALSE(machine.readable(0x00900000));
    // Of the kernel's part, where the table itself stays.
    ASSERT_EQ(kernel.map(active, 0xD0000000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_TRUE(machine.readable(0xD0000000));
    kernel.unmapPageTable(active, 0xD0000000);
    EXPECT_FALSE(machine.readable(0xD0000000));
    EXPECT_EQ(machine.harmful_stale_entries(), 0U);
}

TEST(SeriesFaults, FailureUnreported) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    while (kernel.alloc_blocks(1) != nullptr) {
    }
    const auto error = [&] { return kernel.outcome().last_error(); };
    EXPECT_EQ(error(), QUIRE_OUT_OF_FRAMES);
    pt_entry entry = 0;
    EXPECT_FALSE(kernel.alloc_page(&entry));
    EXPECT_EQ(error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(entry, 0U);
    EXPECT_EQ(kernel.createPageTable(kernel.active(), 0x00800000, 3), 0);
    EXPECT_EQ(error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_FALSE(kernel.map_page(block(0x300000), block(0x00800000)));
    EXPECT_EQ(error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(kernel.createAddressSpace(), nullptr);
    EXPECT_EQ(error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(kernel.getPhysicalAddress(kernel.active(), 0x00800000), nullptr);
    EXPECT_EQ(error(), QUIRE_NOT_MAPPED);
    EXPECT_FALSE(kernel.switch_pdirectory(nullptr));
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.getPhysicalAddress(kernel.active(), 0), nullptr);
    EXPECT_EQ(error(), QUIRE_OK);
}

// The new table's entry, flags and all, was the address that was cleared.
TEST(SeriesFaults, NewTablesClearedAtTheWrongAddress) {
    Machine machine;
    machine.init_blocks();
    machine.ram().fill(2_MiB, 14_MiB, 0xff);
    Face<Tutorial>& kernel = machine.kernel();
    kernel.initialize();
    ASSERT_EQ(kernel.createPageTable(kernel.active(), 0x00800000, 7), 1);
    pdirectory* const active = kernel.get_directory();
    const uint32_t table = pd_entry_pfn(*vmmngr_pdirectory_lookup_entry(active, 0x00800000));
    EXPECT_TRUE(machine.ram().holds(table, 4096, 0));
    EXPECT_TRUE(machine.ram().holds(table + 4096, 4096, 0xff));
    pdirectory* const other = kernel.createAddressSpace();
    EXPECT_EQ(vmmngr_pdirectory_lookup_entry(other, 0x00800000)[0], 0U);
}

TEST(SeriesFaults, OnePagesUnmapFreeingItsWholeTable) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const active = kernel.active();
    ASSERT_EQ(kernel.map(active, 0x00800000, 0x300000, 3 * 4096, 2), QUIRE_OK);
    const uint32_t free = kernel.free_block_count();
    ASSERT_EQ(kernel.unmap(active, 0x00801000, 4096), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), free);
    EXPECT_TRUE(machine.readable(0x00800000));
    EXPECT_FALSE(machine.readable(0x00801000));
    EXPECT_TRUE(machine.readable(0x00802000));
    // The last one as well: the kernel may hold a pointer to the table.
    pt_entry* const entry = kernel.entry(active, 0x00800000);
    ASSERT_EQ(kernel.unmap(active, 0x00800000, 4096), QUIRE_OK);
    ASSERT_EQ(kernel.unmap(active, 0x00802000, 4096), QUIRE_OK);
    EXPECT_EQ(kernel.entry(active, 0x00800000), entry);
    EXPECT_EQ(kernel.free_block_count(), free);
    kernel.unmapPageTable(active, 0x00800000);
    EXPECT_EQ(kernel.free_block_count(), free + 1);
}

TEST(SeriesFaults, KernelEntriesNotSharedWithNewDirectories) {
    Machine machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const first = kernel.get_directory();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_NE(second, nullptr);
    // Before and after it was made, through the active directory and through the other.
    machine.ram().store<uint32_t>(0x300000, 0x33);
    ASSERT_EQ(kernel.map(first, 0xE0000000, 0x300000, 4096, 2), QUIRE_OK);
    ASSERT_EQ(kernel.map(second, 0xF0000000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_EQ(machine.load(0xF0000000), 0x33U);
    // What lies below is each directory's own.
    ASSERT_EQ(kernel.map(second, 0x40000000, 0x300000, 4096, 2), QUIRE_OK);
    EXPECT_FALSE(machine.readable(0x40000000));
    ASSERT_TRUE(kernel.switch_pdirectory(second));
    EXPECT_EQ(machine.load(0xE0000000), 0x33U);
    EXPECT_EQ(machine.load(0xF0000000), 0x33U);
    EXPECT_EQ(machine.load(0x40000000), 0x33U);
    EXPECT_EQ(machine.load(0x00300000), 0x33U);
    ASSERT_TRUE(kernel.switch_pdirectory(first));
    EXPECT_FALSE(machine.readable(0x40000000));
}

// Frames from 2 GiB on lost their top bit: the mask was 0x7FFFF000.
TEST(SeriesFaults, AFrameMaskThatLosesWhatLiesAbove2GiB) {
    pt_entry entry = I86_PTE_PRESENT;
    pt_entry_set_frame(&entry, 0xABCDE000);
    EXPECT_EQ(pt_entry_pfn(entry), 0xABCDE000U);
    EXPECT_EQ(PAGE_GET_PHYSICAL_ADDRESS(&entry), 0xABCDE000U);
    Machine machine;
    machine.start_like_the_tutorial();
    ASSERT_TRUE(machine.kernel().map_page(block(0xFEC00000), block(0xFEC00000)));
    EXPECT_EQ(number(machine.kernel().getPhysicalAddress(machine.kernel().active(), 0xFEC00010)),
              0xFEC00010U);
}

}  // namespace
}  // namespace quire::series
