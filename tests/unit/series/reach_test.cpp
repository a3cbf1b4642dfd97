// SPDX-License-Identifier: MIT
// The same kernel life under each way to reach page tables, and what is particular to each.
#include <gtest/gtest.h>

#include "series_machine.hpp"

namespace quire::series {
namespace {

// How a kernel that wants these choices comes up, and where it runs.
template <class Choices>
struct Boot {
    static constexpr bool identity = true;
    static constexpr unsigned self = table_entries;
};
template <>
struct Boot<HigherHalf> {
    static constexpr bool identity = false;
    static constexpr unsigned self = table_entries;
};
template <>
struct Boot<RecursiveLast> {
    static constexpr bool identity = false;
    static constexpr unsigned self = 1023;
};
template <>
struct Boot<RecursiveMiddle> {
    static constexpr bool identity = false;
    static constexpr unsigned self = 500;
};
template <>
struct Boot<Windowed> {
    static constexpr bool identity = false;
    static constexpr unsigned self = table_entries;
};

constexpr uint32_t high = 0xC0000000;
// Pages of the boot mapping that a windowed kernel gives away.
constexpr uint32_t window = high + 0x3F0000;

template <class Choices>
class SeriesReach : public testing::Test {
  protected:
    SeriesReach() {
        machine_.boot_with_paging(high, Boot<Choices>::self, Boot<Choices>::identity);
        machine_.at() = {high + 0x100000, high + 0x90000};
        if (Choices::reach == Reach::window) {
            // The high table is at 0x102000, which the boot mapping shows at its own place.
            pt_entry* const entries = machine_.template pointer<pt_entry>(high + 0x102000);
            EXPECT_EQ(
                kernel_.set_window(machine_.template pointer<void>(window), 8, entries + 0x3F0),
                QUIRE_OK);
        }
        machine_.init_blocks();
        machine_.ram().template store<uint32_t>(0x700000, 0x77);
    }
    pdirectory* boot_directory() {
        return machine_.template pointer<pdirectory>(high + machine_.boot_directory);
    }

    SeriesMachine<Choices> machine_;
    Face<Choices>& kernel_ = machine_.kernel();
    pdirectory* const active_ = kernel_.active();
};
using Everything = testing::Types<Tutorial, HigherHalf, RecursiveLast, RecursiveMiddle, Windowed>;
TYPED_TEST_SUITE(SeriesReach, Everything);

TYPED_TEST(SeriesReach, MapsUnmapsAndLooksUp) {
    auto& kernel = this->kernel_;
    ASSERT_EQ(kernel.adopt(this->boot_directory()), QUIRE_OK);
    ASSERT_EQ(kernel.map(this->active_, 0x40000000, 0x700000, 0x3000, 2), QUIRE_OK);
    EXPECT_EQ(this->machine_.load(0x40000000), 0x77U);
    series_page page{};
    ASSERT_EQ(kernel.query(this->active_, 0x40002123, &page), QUIRE_OK);
    EXPECT_EQ(page.virt, 0x40002000U);
    EXPECT_EQ(page.phys, 0x702000U);
    EXPECT_EQ(page.bytes, 4096U);
    EXPECT_EQ(page.flags & 7, 3U);
    EXPECT_EQ(number_of(kernel.getPhysicalAddress(this->active_, 0x40002123)), 0x702123U);
    ASSERT_EQ(kernel.unmap(this->active_, 0x40000000, 0x3000), QUIRE_OK);
    EXPECT_FALSE(this->machine_.readable(0x40000000));
    EXPECT_EQ(kernel.query(this->active_, 0x40000000, &page), QUIRE_NOT_MAPPED);
    EXPECT_EQ(this->machine_.harmful_stale_entries(), 0U);
    EXPECT_EQ(kernel.validate(), QUIRE_OK);
}

TYPED_TEST(SeriesReach, AdoptsEntriesAndNeverFreesTheirTables) {
    auto& kernel = this->kernel_;
    const uint32_t free = kernel.free_block_count();
    ASSERT_EQ(kernel.adopt(this->boot_directory()), QUIRE_OK);
    EXPECT_EQ(kernel.get_directory(), this->boot_directory());
    // Valid still, and seen.
    EXPECT_EQ(this->machine_.load(high + 0x1000),
              this->machine_.ram().template load<uint32_t>(0x1000));
    series_page page{};
    ASSERT_EQ(kernel.query(this->active_, high + 0x123456, &page), QUIRE_OK);
    EXPECT_EQ(page.phys, 0x123000U);
    size_t pages = 0;
    const auto count = [](void* counter, const series_page*) {
        ++*static_cast<size_t*>(counter);
        return 1;
    };
    ASSERT_EQ(kernel.walk(this->active_, high, high + 0x3FFFFF, count, &pages), QUIRE_OK);
    EXPECT_EQ(pages, 1024U);
    // In the kernel's part the table stays, empty; nothing comes free.
    ASSERT_EQ(kernel.unmap(this->active_, high + 0x300000, 0x1000), QUIRE_OK);
    EXPECT_FALSE(this->machine_.readable(high + 0x300000));
    if (Boot<TypeParam>::identity) {
        kernel.unmapPageTable(this->active_, 0);
        EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OK);
    }
    EXPECT_EQ(kernel.free_block_count(), free);
    EXPECT_EQ(kernel.free_blocks(this->machine_.boot_directory + 0x1000, 1), QUIRE_RESERVED);
}

TYPED_TEST(SeriesReach, MakesASecondSpaceSwitchesToItAndBack) {
    auto& kernel = this->kernel_;
    auto& machine = this->machine_;
    ASSERT_EQ(kernel.adopt(this->boot_directory()), QUIRE_OK);
    const uint32_t start = kernel.free_block_count();
    pdirectory* const first = kernel.get_directory();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_NE(second, nullptr) << kernel.outcome().last_error();
    // A real pointer, whichever directory is active.
    EXPECT_TRUE(pd_entry_is_present(second->m_entries[high >> 22]));
    ASSERT_EQ(kernel.map(second, 0x40000000, 0x700000, 0x1000, 6), QUIRE_OK);
    EXPECT_FALSE(machine.readable(0x40000000));
    series_page page{};
    EXPECT_EQ(kernel.query(second, 0x40000000, &page), QUIRE_OK);
    ASSERT_TRUE(kernel.switch_pdirectory(second));
    EXPECT_EQ(kernel.get_directory(), second);
    EXPECT_EQ(machine.load(0x40000000), 0x77U);
    EXPECT_TRUE(pd_entry_is_present(first->m_entries[high >> 22]));
    // A kernel mapping made here is the other's as well; a page of its own is not.
    ASSERT_EQ(kernel.map(this->active_, 0xE0000000, 0x700000, 0x1000, 2), QUIRE_OK);
    ASSERT_EQ(kernel.alloc_pages(first, 0x50000000, 0x2000, 2), QUIRE_OK);
    EXPECT_FALSE(machine.readable(0x50000000));
    ASSERT_TRUE(kernel.switch_pdirectory(first));
    EXPECT_EQ(machine.load(0xE0000000), 0x77U);
    EXPECT_TRUE(machine.writable(0x50000000));
    EXPECT_FALSE(machine.readable(0x40000000));
    ASSERT_EQ(kernel.free_pages(first, 0x50000000, 0x2000), QUIRE_OK);
    kernel.unmapPageTable(first, 0x50000000);
    ASSERT_EQ(kernel.free_address_space(second), QUIRE_OK);
    // What is left is tables of the kernel's part.
    const uint32_t kernel_tables =
        Boot<TypeParam>::self < table_entries || TypeParam::reach == Reach::window ? 2 : 1;
    EXPECT_EQ(start - kernel.free_block_count(), kernel_tables);
    EXPECT_EQ(machine.harmful_stale_entries(), 0U);
}

// The kernel's own code writes entries; what Quire says follows at once.
TYPED_TEST(SeriesReach, SeesWhatTheKernelWritesItself) {
    auto& kernel = this->kernel_;
    auto& machine = this->machine_;
    ASSERT_EQ(kernel.adopt(this->boot_directory()), QUIRE_OK);
    ASSERT_EQ(kernel.createPageTable(this->active_, 0x40000000, 3), 1);
    const uint32_t table =
        machine.ram().template load<uint32_t>(machine.boot_directory + 4 * 256) & I86_PTE_FRAME;
    machine.ram().template store<uint32_t>(table + 4, 0x700003);
    series_page page{};
    ASSERT_EQ(kernel.query(this->active_, 0x40001000, &page), QUIRE_OK);
    EXPECT_EQ(page.phys, 0x700000U);
    EXPECT_EQ(kernel.map(this->active_, 0x40000000, 0x600000, 0x2000, 2), QUIRE_ALREADY_MAPPED);
    EXPECT_EQ(kernel.outcome().where(), 0x40001000U);
    machine.ram().template store<uint32_t>(table + 4, 0x00000002);  // not present, whatever it says
    EXPECT_EQ(kernel.map(this->active_, 0x40000000, 0x600000, 0x2000, 2), QUIRE_OK);
    // A table of its own: unmapped, but not freed.
    const uint32_t own = number_of(kernel.alloc_blocks(1));
    machine.ram().fill(own, 4096, 0);
    machine.ram().template store<uint32_t>(own, 0x700003);
    machine.ram().template store<uint32_t>(machine.boot_directory + 4 * 257, own | 3);
    EXPECT_EQ(machine.load(0x40400000), 0x77U);
    const uint32_t free = kernel.free_block_count();
    kernel.unmapPageTable(this->active_, 0x40400000);
    EXPECT_FALSE(machine.readable(0x40400000));
    EXPECT_EQ(kernel.free_block_count(), free);
    EXPECT_EQ(kernel.free_blocks(own, 1), QUIRE_OK);
}

// Nobody called series_adopt or vmmngr_initialize: the first call that needs tables does.
TYPED_TEST(SeriesReach, BeginsByItselfWhenPagingIsOn) {
    EXPECT_EQ(this->kernel_.map(this->active_, 0x40000000, 0x700000, 0x1000, 2), QUIRE_OK);
    EXPECT_EQ(this->machine_.load(0x40000000), 0x77U);
    EXPECT_EQ(this->kernel_.adopt(this->boot_directory()), QUIRE_OK);
    EXPECT_EQ(this->kernel_.get_directory(), this->boot_directory());
}

TYPED_TEST(SeriesReach, TheEntryItself) {
    auto& kernel = this->kernel_;
    ASSERT_EQ(kernel.adopt(this->boot_directory()), QUIRE_OK);
    ASSERT_EQ(kernel.map(this->active_, 0x40003000, 0x700000, 0x1000, 2), QUIRE_OK);
    pt_entry* const entry = kernel.entry(this->active_, 0x40003000);
    if (TypeParam::reach == Reach::window) {
        EXPECT_EQ(entry, nullptr);
        EXPECT_EQ(kernel.outcome().last_error(), QUIRE_UNREACHABLE);
        return;
    }
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(pt_entry_pfn(*entry), 0x700000U);
    EXPECT_EQ(kernel.entry(this->active_, 0x48000000), nullptr);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_NOT_MAPPED);
}

TEST(SeriesRecursive, TheSlotsAreNobodysToMap) {
    SeriesMachine<RecursiveMiddle> machine;
    machine.boot_with_paging(high, 500, false);
    machine.at() = {high + 0x100000, high + 0x90000};
    machine.init_blocks();
    Face<RecursiveMiddle>& kernel = machine.kernel();
    ASSERT_EQ(kernel.adopt(nullptr), QUIRE_OK);
    for (const uint32_t slot : {500U, 501U, 502U}) {
        EXPECT_EQ(kernel.map(kernel.active(), slot << 22, 0x700000, 4096, 2), QUIRE_OUT_OF_RANGE);
        EXPECT_EQ(kernel.unmap(kernel.active(), slot << 22, 4096), QUIRE_OUT_OF_RANGE);
        EXPECT_EQ(kernel.createPageTable(kernel.active(), slot << 22, 3), 0);
        EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_RANGE);
        kernel.unmapPageTable(kernel.active(), slot << 22);
        EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_RANGE);
    }
    // On both sides of them there is room.
    EXPECT_EQ(kernel.map(kernel.active(), 499U << 22, 0x700000, 4096, 2), QUIRE_OK);
    EXPECT_EQ(kernel.map(kernel.active(), 503U << 22, 0x700000, 4096, 2), QUIRE_OK);
    // The tables as memory: what the kernel's code reads there, query explains.
    series_page page{};
    EXPECT_EQ(kernel.query(kernel.active(), (500U << 22) + (500U << 12), &page), QUIRE_OK);
    EXPECT_EQ(page.phys, machine.boot_directory);
}

TEST(SeriesRecursive, RefusesSlotsThatAreNotAsTold) {
    {
        SeriesMachine<RecursiveLast> machine;
        machine.boot_with_paging(high, 1023, false);
        machine.ram().store<uint32_t>(machine.boot_directory + 4 * 1021, 0x102003);
        machine.init_blocks();
        EXPECT_EQ(machine.kernel().adopt(nullptr), QUIRE_IN_USE);
        EXPECT_EQ(machine.kernel().outcome().where(), uint64_t{1021} << 22);
        EXPECT_EQ(machine.kernel().map(machine.kernel().active(), 0x40000000, 0x700000, 4096, 2),
                  QUIRE_IN_USE);
    }
    SeriesMachine<RecursiveLast> machine;
    machine.boot_with_paging(high, 1023, false);
    // It leads to a copy of the directory: readable, and not the one in CR3.
    for (uint32_t i = 0; i < 1024; ++i)
        machine.ram().store(0x108000 + 4 * i, machine.entry(machine.boot_directory, i));
    machine.ram().store<uint32_t>(0x108000 + 4 * 1023, 0x108003);
    machine.ram().store<uint32_t>(machine.boot_directory + 4 * 1023, 0x108003);
    machine.init_blocks();
    EXPECT_EQ(machine.kernel().adopt(nullptr), QUIRE_NOT_MAPPED);
}

// Paging is off and the choice is a recursive slot: vmmngr_initialize makes the slot.
TEST(SeriesRecursive, InitializeMakesTheSlot) {
    SeriesMachine<RecursiveLast> machine;
    Face<RecursiveLast>& kernel = machine.kernel();
    machine.init_blocks();
    EXPECT_EQ(kernel.map(kernel.active(), 0x40000000, 0x700000, 4096, 2), QUIRE_NO_REGION);
    kernel.initialize();
    ASSERT_TRUE(kernel.is_paging());
    EXPECT_EQ(machine.load(0xFFFFF000 + 4 * 1023) & I86_PDE_FRAME, kernel.get_PDBR());
    machine.ram().store<uint32_t>(0x100000, 0x11);
    EXPECT_EQ(machine.load(0xC0000000), 0x11U);
    ASSERT_NE(kernel.get_directory(), nullptr);
    EXPECT_EQ(kernel.map(kernel.active(), 0x40000000, 0x700000, 4096, 2), QUIRE_OK);
}

TEST(SeriesDirect, TablesComeFromWhatTheMapShowsAndBlocksLeaveThemSome) {
    SeriesMachine<Tutorial> machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    // As in the tutorial, blocks are such that the kernel can write to them, while there are some.
    const uint32_t first = number_of(kernel.alloc_blocks(1));
    EXPECT_LT(first, 4_MiB);
    uint32_t shown = 1;
    while (kernel.free_block_count() > Tutorial::table_reserve)
        shown += number_of(kernel.alloc_blocks(1)) < 4_MiB ? 1 : 0;
    // 2 MiB of the map are free, less three tables and the reserve.
    EXPECT_EQ(shown, 512U - 3U - Tutorial::table_reserve);
    EXPECT_EQ(kernel.createPageTable(kernel.active(), 0x40000000, 3), 1);
    // In need, blocks are taken from the reserve too.
    EXPECT_NE(kernel.alloc_blocks(1), nullptr);
    EXPECT_NE(kernel.alloc_blocks(8), nullptr);
    while (kernel.alloc_blocks(1) != nullptr) {
    }
    EXPECT_EQ(kernel.free_block_count(), 0U);
}

// Memory elsewhere does not help: a table there could not be written.
TEST(SeriesDirect, NoTableWhereTheMapDoesNotReach) {
    SeriesMachine<Tutorial> machine;
    machine.start_like_the_tutorial();
    Face<Tutorial>& kernel = machine.kernel();
    kernel.deinit_region(0, 4_MiB);
    EXPECT_GT(kernel.free_block_count(), 2000U);
    EXPECT_EQ(kernel.createPageTable(kernel.active(), 0x40000000, 3), 0);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(kernel.createAddressSpace(), nullptr);
    // The kernel's own directory up there cannot be looked at either.
    const uint32_t table = 0x800000;
    machine.ram().fill(table, 4096, 0);
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * 300, table | 3);
    series_page page{};
    EXPECT_EQ(kernel.query(kernel.active(), 300U << 22, &page), QUIRE_UNREACHABLE);
    EXPECT_EQ(kernel.entry(kernel.active(), 300U << 22), nullptr);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_UNREACHABLE);
}

// A map at an offset, or a window, cannot be there before paging is.
TEST(SeriesDirect, InitializeNeedsIdentity) {
    SeriesMachine<HigherHalf> machine;
    machine.init_blocks();
    const uint32_t free = machine.kernel().free_block_count();
    machine.kernel().initialize();
    EXPECT_EQ(machine.kernel().outcome().last_error(), QUIRE_UNSUPPORTED);
    EXPECT_FALSE(machine.kernel().is_paging());
    EXPECT_EQ(machine.kernel().free_block_count(), free);
    EXPECT_EQ(machine.kernel().adopt(nullptr), QUIRE_UNSUPPORTED);
}

TEST(SeriesWindow, WantsAPlaceOfItsOwn) {
    SeriesMachine<Windowed> machine;
    machine.boot_with_paging(high, table_entries, false);
    Face<Windowed>& kernel = machine.kernel();
    const auto pages = [&](uint32_t at) { return machine.pointer<void>(at); };
    pt_entry* const entries = machine.pointer<pt_entry>(high + 0x102000);
    EXPECT_EQ(kernel.set_window(pages(window + 1), 8, entries), QUIRE_MISALIGNED);
    EXPECT_EQ(kernel.set_window(pages(window), 3, entries), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.set_window(pages(window), 1025, entries), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.set_window(pages(window), 8, nullptr), QUIRE_BAD_ARGUMENT);
    machine.init_blocks();
    EXPECT_EQ(kernel.adopt(nullptr), QUIRE_NOT_MAPPED);
    EXPECT_EQ(kernel.map(kernel.active(), 0x40000000, 0x700000, 4096, 2), QUIRE_NOT_MAPPED);
    EXPECT_EQ(kernel.set_window(pages(window), 8, entries + 0x3F0), QUIRE_OK);
    EXPECT_EQ(kernel.set_window(pages(window), 8, entries + 0x3F0), QUIRE_IN_USE);
    EXPECT_EQ(kernel.adopt(nullptr), QUIRE_OK);
    SeriesMachine<Tutorial> other;
    EXPECT_EQ(other.kernel().set_window(other.pointer<void>(0x1000), 8, entries),
              QUIRE_UNSUPPORTED);
}

}  // namespace
}  // namespace quire::series
