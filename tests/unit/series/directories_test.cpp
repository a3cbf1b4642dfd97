// SPDX-License-Identifier: MIT
// Directories: making, loading and ending them, control registers, other CPUs, and running out of
// memory at every point.
#include <gtest/gtest.h>

#include "series_machine.hpp"

namespace quire::series::directories_test {
namespace {

using Machine = SeriesMachine<Tutorial>;
constexpr uint32_t place = 0x40000000;
constexpr uint32_t rw = I86_PTE_WRITABLE;

class SeriesDirectories : public testing::Test {
  protected:
    SeriesDirectories() { machine.start_like_the_tutorial(); }
    int error() { return kernel.outcome().last_error(); }

    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const active = kernel.active();
};

TEST_F(SeriesDirectories, InitializeMapsAsTheTutorialDoes) {
    EXPECT_TRUE(kernel.is_paging());
    EXPECT_EQ(machine.address(kernel.get_directory()), kernel.get_PDBR());
    machine.ram().store<uint32_t>(0x3FF000, 0x11);
    machine.ram().store<uint32_t>(0x4FF000, 0x22);
    EXPECT_EQ(machine.load(0x3FF000), 0x11U);
    EXPECT_EQ(machine.load(0xC02FF000), 0x11U);
    EXPECT_EQ(machine.load(0xC03FF000), 0x22U);
    EXPECT_FALSE(machine.readable(0x400000));
    EXPECT_FALSE(machine.readable(0xC0400000));
    // Again: paging is on, so what is there is adopted.
    kernel.initialize();
    EXPECT_EQ(error(), QUIRE_OK);
    kernel.paging_enable(false);
    kernel.initialize();
    EXPECT_EQ(error(), QUIRE_IN_USE);
    EXPECT_FALSE(kernel.is_paging());
    EXPECT_FALSE(kernel.switch_pdirectory(kernel.active()));
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
}

// The kernel loaded a directory that lies where the map does not show it.
TEST_F(SeriesDirectories, OneOutOfReachCannotBeCopied) {
    constexpr uint32_t far = 0x900000;
    machine.ram().fill(far, 4096, 0);
    for (const unsigned index : {0U, 768U})
        machine.ram().store(far + 4 * index, machine.entry(kernel.get_PDBR(), index));
    machine.machine().load_cr3(frame_of(PhysicalAddress(far)));
    const uint32_t free = kernel.free_block_count();
    EXPECT_EQ(kernel.createAddressSpace(), nullptr);
    EXPECT_EQ(error(), QUIRE_UNREACHABLE);
    EXPECT_EQ(kernel.free_block_count(), free);
    EXPECT_EQ(kernel.map(active, place, 0x300000, 4096, rw), QUIRE_UNREACHABLE);
    kernel.load_PDBR(far);
    EXPECT_EQ(error(), QUIRE_UNREACHABLE);
}

TEST_F(SeriesDirectories, BeforeAnything) {
    Machine bare;
    Face<Tutorial>& early = bare.kernel();
    EXPECT_EQ(early.map(early.active(), place, 0x300000, 4096, rw), QUIRE_NO_REGION);
    EXPECT_EQ(early.adopt(nullptr), QUIRE_NO_REGION);
    early.initialize();
    EXPECT_EQ(early.outcome().last_error(), QUIRE_NO_REGION);
    EXPECT_EQ(early.init_region(0, 1_MiB), QUIRE_OUT_OF_RANGE);
    pdirectory* const some = bare.pointer<pdirectory>(0x300000);
    EXPECT_EQ(early.map(some, place, 0x300000, 4096, rw), QUIRE_NO_REGION);
    bare.init_blocks();
    pdirectory* const beyond = bare.pointer<pdirectory>(0x10000000);
    EXPECT_EQ(early.map(beyond, place, 0x300000, 4096, rw), QUIRE_NOT_MAPPED);
    SeriesMachine<HigherHalf> half;
    half.init_blocks();
    EXPECT_EQ(half.kernel().map(half.pointer<pdirectory>(0x300000), place, 0x300000, 4096, rw),
              QUIRE_NO_REGION);
    SeriesMachine<RecursiveLast> recursive;
    recursive.init_blocks();
    recursive.kernel().paging_enable(true);  // with nothing in CR3
    EXPECT_EQ(recursive.kernel().outcome().last_error(), QUIRE_BAD_ARGUMENT);
    EXPECT_FALSE(recursive.kernel().is_paging());
    EXPECT_EQ(early.createAddressSpace(), nullptr);
    EXPECT_EQ(early.outcome().last_error(), QUIRE_NO_REGION);
    EXPECT_EQ(early.get_directory(), nullptr);
    EXPECT_EQ(early.outcome().last_error(), QUIRE_NO_REGION);
    EXPECT_EQ(early.map(early.active(), place, 0x300000, 4096, rw), QUIRE_NO_REGION);
    EXPECT_EQ(early.free_address_space(early.active()), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(early.adopt(nullptr), QUIRE_UNSUPPORTED);
}

// A kernel that builds its own directory by hand, with paging off, and turns paging on.
TEST(SeriesByHand, ADirectoryOfTheKernelsOwn) {
    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
    machine.init_blocks();
    machine.at() = {0x00100000, 0x00090000};
    kernel.paging_enable(true);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_BAD_ARGUMENT);  // nothing in CR3
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    pdirectory* const own = machine.pointer<pdirectory>(block);
    vmmngr_pdirectory_clear(own);
    kernel.load_PDBR(block + 1);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_MISALIGNED);
    kernel.load_PDBR(0);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_BAD_ARGUMENT);
    kernel.load_PDBR(0x10000000);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_NOT_MAPPED);
    kernel.load_PDBR(block);
    EXPECT_EQ(kernel.get_PDBR(), block);
    kernel.paging_enable(true);  // it does not map the code
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_BAD_ARGUMENT);
    EXPECT_FALSE(kernel.is_paging());
    ASSERT_EQ(kernel.map(own, 0x100000, 0x200000, 0x1000, rw), QUIRE_OK);
    kernel.paging_enable(true);  // nor where it is
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_BAD_ARGUMENT);
    ASSERT_EQ(kernel.unmap(own, 0x100000, 0x1000), QUIRE_OK);
    ASSERT_EQ(kernel.map(own, 0, 0, 0x400000, rw), QUIRE_OK);
    kernel.paging_enable(true);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OK);
    EXPECT_TRUE(kernel.is_paging());
    EXPECT_EQ(kernel.get_directory(), own);
    ASSERT_EQ(kernel.alloc_pages(own, place, 0x1000, rw), QUIRE_OK);
    machine.store(place, 4);
    kernel.paging_enable(false);
    EXPECT_FALSE(kernel.is_paging());
    EXPECT_TRUE(kernel.switch_pdirectory(own));
}

TEST_F(SeriesDirectories, OneThatDoesNotMapTheCodeOrTheStackIsNotLoaded) {
    pdirectory* const second = kernel.createAddressSpace();
    // Code and stack above the map, which the other directory does not have.
    ASSERT_EQ(kernel.map(active, place, 0x300000, 0x2000, rw), QUIRE_OK);
    machine.at().code = place;
    EXPECT_FALSE(kernel.switch_pdirectory(second));
    EXPECT_EQ(error(), QUIRE_FOREIGN);
    kernel.load_PDBR(machine.address(second));
    EXPECT_EQ(error(), QUIRE_FOREIGN);
    ASSERT_EQ(kernel.map(second, place, 0x300000, 0x1000, rw), QUIRE_OK);
    EXPECT_TRUE(kernel.switch_pdirectory(second));
    machine.at() = {0x100000, place + 0x1000};
    pdirectory* const third = kernel.createAddressSpace();
    EXPECT_FALSE(kernel.switch_pdirectory(third));
    EXPECT_EQ(error(), QUIRE_FOREIGN);
    // Mapped, but somewhere else.
    ASSERT_EQ(kernel.map(active, place + 0x1000, 0x301000, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(kernel.map(third, place + 0x1000, 0x302000, 0x1000, rw), QUIRE_OK);
    EXPECT_FALSE(kernel.switch_pdirectory(third));
    EXPECT_EQ(kernel.get_directory(), second);
    machine.at() = {};
    kernel.load_PDBR(machine.address(third));
    EXPECT_EQ(error(), QUIRE_OK);
    EXPECT_EQ(kernel.get_directory(), third);
    machine.ram().fill(0x300000, 4096, 'Q');
    kernel.load_PDBR(0x300000);
    EXPECT_EQ(error(), QUIRE_FOREIGN);
    EXPECT_EQ(kernel.get_directory(), third);
}

// The kernel makes directories itself, from a block; Quire gives them the kernel's part.
TEST_F(SeriesDirectories, OneOfTheKernelsOwnGetsTheKernelsPart) {
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    pdirectory* const own = machine.pointer<pdirectory>(block);
    vmmngr_pdirectory_clear(own);
    ASSERT_EQ(kernel.alloc_pages(active, 0xD0000000, 0x1000, rw), QUIRE_OK);
    machine.store(0xD0000000, 0xD0);
    EXPECT_TRUE(kernel.switch_pdirectory(own));
    EXPECT_EQ(machine.load(0xD0000000), 0xD0U);
    EXPECT_EQ(kernel.get_directory(), own);
    // And mappings made from it reach the others, before they are loaded again.
    ASSERT_EQ(kernel.alloc_pages(own, 0xE0000000, 0x1000, rw), QUIRE_OK);
    machine.store(0xE0000000, 0xE0);
}

// The kernel's other recursive slot, though tables are reached by the map: each directory has its
// own.
TEST(SeriesRecursiveSlot, IsMadeInNewDirectoriesWhateverTheReach) {
    Machine machine;
    machine.boot_with_paging(0xC0000000, 700);
    machine.init_blocks();
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_NE(second, nullptr);
    EXPECT_EQ(pd_entry_pfn(second->m_entries[700]), machine.address(second));
    EXPECT_EQ(kernel.map(kernel.active(), 700U << 22, 0x300000, 4096, rw), QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(kernel.unmap(kernel.active(), 700U << 22, 4096), QUIRE_OUT_OF_RANGE);
    kernel.unmapPageTable(second, 700U << 22);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_RANGE);
    ASSERT_TRUE(kernel.switch_pdirectory(second));
    const uint32_t directory_at = (700U << 22) + (700U << 12);
    EXPECT_EQ(machine.load(directory_at + 4 * 700) & I86_PDE_FRAME, machine.address(second));
    // A walk does not show the tables.
    size_t pages = 0;
    const auto count = [](void* counter, const series_page*) {
        ++*static_cast<size_t*>(counter);
        return 1;
    };
    EXPECT_EQ(kernel.walk(second, 0x80000000, 0xBFFFFFFF, count, &pages), QUIRE_OK);
    EXPECT_EQ(pages, 0U);
}

TEST_F(SeriesDirectories, EndingAnAddressSpace) {
    const uint32_t start = kernel.free_block_count();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_EQ(kernel.map(second, place, 0x300000, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(kernel.createPageTable(second, 0x50000000, 3), 1);
    // A table of the kernel's own in it.
    const uint32_t own = number_of(kernel.alloc_blocks(1));
    machine.ram().fill(own, 4096, 0);
    second->m_entries[300] = own | 3;
    EXPECT_EQ(start - kernel.free_block_count(), 4U);
    ASSERT_TRUE(kernel.switch_pdirectory(second));
    EXPECT_EQ(kernel.free_address_space(second), QUIRE_IN_USE);
    pdirectory* const third = kernel.createAddressSpace();
    ASSERT_TRUE(kernel.switch_pdirectory(third));
    EXPECT_EQ(kernel.free_address_space(second), QUIRE_OK);
    EXPECT_EQ(start - kernel.free_block_count(), 2U);  // the third, and the kernel's own table
    EXPECT_EQ(kernel.free_blocks(own, 1), QUIRE_OK);
    // One that the kernel made is not Quire's to free.
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    vmmngr_pdirectory_clear(machine.pointer<pdirectory>(block));
    EXPECT_EQ(kernel.free_address_space(machine.pointer<pdirectory>(block)), QUIRE_FOREIGN);
}

// A kernel that takes an address space apart by itself, block by block, as the series had it.
TEST_F(SeriesDirectories, TablesAndDirectoriesGivenBackAsBlocks) {
    const uint32_t start = kernel.free_block_count();
    const uint32_t first = kernel.get_PDBR();
    EXPECT_EQ(kernel.free_blocks(first, 1), QUIRE_IN_USE);
    EXPECT_EQ(kernel.free_blocks(machine.entry(first, 0) & I86_PDE_FRAME, 1), QUIRE_IN_USE);
    EXPECT_EQ(kernel.free_blocks(first, 2), QUIRE_IN_USE);
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_EQ(kernel.map(second, place, 0x300000, 0x1000, rw), QUIRE_OK);
    // The kernel's part of it is the active directory's as well.
    EXPECT_EQ(kernel.free_blocks(pd_entry_pfn(second->m_entries[768]), 1), QUIRE_IN_USE);
    EXPECT_EQ(kernel.free_blocks(pd_entry_pfn(second->m_entries[place >> 22]), 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_blocks(machine.address(second), 1), QUIRE_OK);
    EXPECT_EQ(kernel.free_block_count(), start);
    EXPECT_EQ(kernel.free_blocks(machine.address(second), 1), QUIRE_ALREADY_FREE);
    // It is forgotten: kernel tables are not written into it any more.
    machine.ram().fill_pattern(machine.address(second), 4096, 9);
    ASSERT_EQ(kernel.createPageTable(active, 0xF0000000, 3), 1);
    EXPECT_TRUE(machine.ram().holds_pattern(machine.address(second), 4096, 9) ||
                machine.entry(first, 0xF0000000 >> 22) >> 12 == machine.address(second) >> 12);
}

// Directories that the kernel made of blocks and gives back: nothing is written there any more.
TEST_F(SeriesDirectories, TheKernelsOwnGivenBack) {
    pdirectory* const first = kernel.get_directory();
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    pdirectory* const own = machine.pointer<pdirectory>(block);
    vmmngr_pdirectory_clear(own);
    ASSERT_TRUE(kernel.switch_pdirectory(own));
    ASSERT_EQ(kernel.get_directory(), own);
    EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_IN_USE);
    ASSERT_EQ(kernel.map(active, 0xD0000000, block, 0x1000, rw), QUIRE_OK);
    EXPECT_EQ(kernel.free_pages(active, 0xD0000000, 0x1000), QUIRE_IN_USE);
    kernel.free_page(kernel.entry(active, 0xD0000000));
    EXPECT_EQ(error(), QUIRE_IN_USE);
    ASSERT_TRUE(kernel.switch_pdirectory(first));
    EXPECT_EQ(kernel.free_pages(active, 0xD0000000, 0x1000), QUIRE_IN_USE);
    EXPECT_EQ(kernel.free_blocks(block, 1), QUIRE_OK);
    ASSERT_EQ(kernel.alloc_blocks(1), reinterpret_cast<void*>(uintptr_t{block}));
    machine.ram().fill_pattern(block, 4096, 5);
    ASSERT_EQ(kernel.createPageTable(active, 0xE0000000, 3), 1);
    EXPECT_TRUE(machine.ram().holds_pattern(block, 4096, 5));
}

// Other CPUs are told before the blocks are anybody else's.
TEST_F(SeriesDirectories, OtherCpusAreToldBeforeBlocksAreFreed) {
    struct Told {
        virtual_addr first;
        size_t pages;
        uint32_t entry;
    };
    static std::vector<Told> told;
    static sim::Ram* ram;
    static uint32_t entry_at;
    told.clear();
    ASSERT_EQ(kernel.alloc_pages(active, place, 0x3000, rw), QUIRE_OK);
    ram = &machine.ram();
    entry_at = machine.entry(kernel.get_PDBR(), place >> 22) & I86_PDE_FRAME;
    // Reads the tables, as another CPU would: nothing is present any more.
    kernel.set_flush([](virtual_addr first, size_t pages) {
        told.push_back({first, pages, ram->load<uint32_t>(entry_at)});
    });
    ASSERT_EQ(kernel.free_pages(active, place, 0x3000), QUIRE_OK);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].first, place);
    EXPECT_EQ(told[0].pages, 3U);
    // Not present, and not given back yet either: the frame is still in the entry.
    EXPECT_EQ(told[0].entry & I86_PTE_PRESENT, 0U);
    EXPECT_NE(told[0].entry & I86_PTE_FRAME, 0U);
    told.clear();
    kernel.unmapPageTable(active, place);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].pages, 1024U);
    // A table that was made and had to go again.
    told.clear();
    kernel.deinit_region(0, 16_MiB);
    kernel.init_region(0x600000, 0x1000);
    EXPECT_EQ(kernel.createPageTable(active, place, 3), 0);
    told.clear();
    kernel.init_region(0x380000, 0x1000);
    EXPECT_EQ(kernel.map(active, place + 0x3FF000, 0x300000, 0x2000, rw), QUIRE_OUT_OF_FRAMES);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].first, place);
    told.clear();
    pt_entry entry = 0;
    ASSERT_TRUE(kernel.alloc_page(&entry));
    kernel.free_page(&entry);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].pages, size_t{1} << 20);
    kernel.set_flush(nullptr);
}

TEST(SeriesFlush, OtherCpusAreToldFromTheFirstChangeOn) {
    static size_t pages;
    pages = 0;
    Machine machine;
    machine.kernel().set_flush([](virtual_addr, size_t count) { pages += count; });
    machine.start_like_the_tutorial();
    pdirectory* const active = machine.kernel().active();
    ASSERT_EQ(machine.kernel().map(active, place, 0x300000, 0x2000, rw), QUIRE_OK);
    EXPECT_EQ(pages, 0U);
    ASSERT_EQ(machine.kernel().unmap(active, place, 0x2000), QUIRE_OK);
    EXPECT_EQ(pages, 2U);
}

// ---- out of memory at every point: the call fails, and nothing is lost or changed

template <class Choices, class Call>
void fail_at_every_point(SeriesMachine<Choices>& machine, Call call) {
    Face<Choices>& kernel = machine.kernel();
    std::vector<uint32_t> held;
    while (void* const block = kernel.alloc_blocks(1))
        held.push_back(number_of(block));
    bool done = false;
    for (size_t left = 0; left < 64 && !done; ++left) {
        ASSERT_EQ(kernel.free_block_count(), left);
        done = call();
        if (!done) {
            EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_FRAMES) << left;
            ASSERT_EQ(kernel.free_block_count(), left);
            ASSERT_EQ(kernel.free_blocks(held.back(), 1), QUIRE_OK);
            held.pop_back();
        }
    }
    EXPECT_TRUE(done);
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
    EXPECT_EQ(machine.harmful_stale_entries(), 0U);
}

// Blocks that the map shows are given out first, and so freed last: all that is held is of use.
TEST_F(SeriesDirectories, OutOfMemoryWhileMapping) {
    kernel.deinit_region(4_MiB, 12_MiB);
    fail_at_every_point(machine, [&] {
        const int mapped = kernel.map(active, place + 0x3FF000, 0x300000, 0x402000, rw);
        if (mapped != QUIRE_OK) {
            EXPECT_FALSE(is_present(machine.entry(kernel.get_PDBR(), place >> 22)));
        }
        return mapped == QUIRE_OK;
    });
}

TEST_F(SeriesDirectories, OutOfMemoryWhileAllocatingPages) {
    kernel.deinit_region(4_MiB, 12_MiB);
    fail_at_every_point(machine, [&] {
        const int allocated = kernel.alloc_pages(active, place + 0x3FE000, 0x5000, rw);
        if (allocated != QUIRE_OK) {
            EXPECT_FALSE(is_present(machine.entry(kernel.get_PDBR(), place >> 22)));
            EXPECT_FALSE(is_present(machine.entry(kernel.get_PDBR(), (place >> 22) + 1)));
        }
        return allocated == QUIRE_OK;
    });
}

TEST_F(SeriesDirectories, OutOfMemoryInTheKernelsPart) {
    kernel.deinit_region(4_MiB, 12_MiB);
    pdirectory* const second = kernel.createAddressSpace();
    fail_at_every_point(machine, [&] {
        const int allocated = kernel.alloc_pages(second, 0xE03FE000, 0x5000, rw);
        if (allocated != QUIRE_OK) {
            EXPECT_FALSE(is_present(second->m_entries[0xE0000000 >> 22]));
            EXPECT_FALSE(is_present(machine.entry(kernel.get_PDBR(), 0xE0000000 >> 22)));
        }
        return allocated == QUIRE_OK;
    });
}

TEST_F(SeriesDirectories, OutOfMemoryWhileCuttingLargePages) {
    kernel.deinit_region(4_MiB, 12_MiB);
    const uint32_t at = kernel.get_PDBR() + 4 * (place >> 22);
    machine.ram().store<uint32_t>(at, 0x00800083);
    machine.ram().store<uint32_t>(at + 4, 0x00C00083);
    fail_at_every_point(machine, [&] {
        const int unmapped = kernel.unmap(active, place + 0x1000, 8_MiB - 0x2000);
        if (unmapped != QUIRE_OK) {
            EXPECT_EQ(machine.ram().load<uint32_t>(at) & ~cpu_marks, 0x00800083U);
            EXPECT_EQ(machine.ram().load<uint32_t>(at + 4) & ~cpu_marks, 0x00C00083U);
        }
        return unmapped == QUIRE_OK;
    });
    EXPECT_TRUE(machine.readable(place));
    EXPECT_FALSE(machine.readable(place + 0x1000));
    EXPECT_TRUE(machine.readable(place + 8_MiB - 0x1000));
}

TEST_F(SeriesDirectories, OutOfMemoryWhileMakingASpace) {
    kernel.deinit_region(4_MiB, 12_MiB);
    fail_at_every_point(machine, [&] { return kernel.createAddressSpace() != nullptr; });
}

TEST(SeriesRecursiveDirectories, OutOfMemoryWhileMakingASpace) {
    SeriesMachine<RecursiveLast> machine;
    machine.boot_with_paging(0xC0000000, 1023);
    machine.init_blocks();
    ASSERT_EQ(machine.kernel().adopt(nullptr), QUIRE_OK);
    fail_at_every_point(machine, [&] { return machine.kernel().createAddressSpace() != nullptr; });
    // And while a place is made for one that the kernel made and loaded.
    SeriesMachine<RecursiveLast> other;
    other.boot_with_paging(0xC0000000, 1023);
    other.init_blocks();
    ASSERT_EQ(other.kernel().adopt(nullptr), QUIRE_OK);
    fail_at_every_point(other, [&] { return other.kernel().get_directory() != nullptr; });
}

TEST(SeriesInitialize, OutOfMemory) {
    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
    machine.init();
    kernel.init_region(1_MiB, 0x4000);
    fail_at_every_point(machine, [&] {
        kernel.initialize();
        return kernel.is_paging();
    });
    EXPECT_EQ(kernel.free_block_count(), 0U);
}

TEST_F(SeriesDirectories, OutOfMemoryForAnEntry) {
    fail_at_every_point(machine, [&] {
        pt_entry entry = 0;
        return kernel.alloc_page(&entry);
    });
}

}  // namespace
}  // namespace quire::series::directories_test
