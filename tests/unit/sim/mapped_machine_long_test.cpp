// SPDX-License-Identifier: MIT
// A mapped machine with 64-bit paging, of whose addresses the process sees a run: what lies in it,
// beside it, and across its ends.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "sim/mapped_machine.hpp"
#include "sim/x86_mmu64.hpp"

namespace quire::sim::test::mapped_machine_long_test {
namespace {

constexpr uint64_t mib = uint64_t{1} << 20;
constexpr uint64_t home = 0xffff'9000'0000'0000;  // root entry 288, and 0 below
constexpr uint64_t first = home + mib;            // in the middle of a large page
constexpr uint64_t shown = 2048 * mib;

MappedShape shape() {
    MappedShape shape;
    shape.mmu = std::make_shared<X86Mmu64>();
    shape.first_shown = first;
    shape.bytes_shown = shown;
    return shape;
}

// Two pages of 2 MiB, and one of 1 GiB.
class MappedLongMachineTest : public testing::Test {
  protected:
    MappedLongMachineTest() {
        entry(1, 288) = 0x102003;
        entry(2, 0) = 0x103003;
        entry(2, 1) = 0x83;
        entry(3, 0) = 0x800083;
        entry(3, 1) = 0xa00083;
        machine.enable_paging(Frame(0x101));
    }
    uint64_t& entry(uint64_t table, uint64_t index) {
        return *ram.as<uint64_t>(0x100000 + table * page_size + 8 * index);
    }
    uint32_t& physical(uint64_t at) { return *ram.as<uint32_t>(at); }
    volatile uint32_t& word(uint64_t address) {
        return *machine.pointer<volatile uint32_t>(address);
    }

    Ram ram{{Segment{0, 2048 * mib}}};
    MappedMachine machine{ram, shape()};
};

TEST_F(MappedLongMachineTest, ShowsARunOfItsAddresses) {
    EXPECT_TRUE(machine.shows(first, 4));
    EXPECT_TRUE(machine.shows(first + shown - 4, 4));
    EXPECT_FALSE(machine.shows(first - 1, 4));
    EXPECT_FALSE(machine.shows(first + shown - 3, 4));
    EXPECT_FALSE(machine.shows(home, 4));
    EXPECT_FALSE(machine.shows(0, 4));
    word(first + 8) = 5;
    EXPECT_EQ(physical(0x800000 + mib + 8), 5u);
    word(home + 2 * mib) = 6;
    EXPECT_EQ(physical(0xa00000), 6u);
    word(home + 1024 * mib + 0x700004) = 7;
    EXPECT_EQ(physical(0x700004), 7u);
    // Of a large page that begins before, no more than that: the host has nothing there.
    EXPECT_EQ(msync(machine.pointer(home), page_size, MS_ASYNC), -1);
}

TEST_F(MappedLongMachineTest, ProbesReachTheRest) {
    ASSERT_TRUE(machine.probe_store<uint32_t>(home + 16, 9).ok());
    EXPECT_EQ(physical(0x800010), 9u);
    EXPECT_EQ(*machine.probe_load<uint32_t>(home + 16).value, 9u);
    EXPECT_FALSE(machine.probe_load<uint32_t>(0x1234).ok());
    EXPECT_FALSE(machine.probe_load<uint32_t>(home + 4 * mib).ok());
}

// The CPU's entry for a large page goes as a whole, wherever in it the flushed address lies.
TEST_F(MappedLongMachineTest, WhatIsCachedStaysUntilItIsFlushed) {
    struct Page {
        unsigned table, index;
        uint64_t flushed, seen, old_bytes, new_bytes;
    };
    const Page pages[] = {
        {3, 0, home, first, 0x800000 + mib, 0xc00000 + mib},
        {3, 1, home + 3 * mib, home + 2 * mib, 0xa00000, 0xc00000},
    };
    for (const Page& page : pages) {
        physical(page.old_bytes) = 1;
        physical(page.new_bytes) = 2;
        EXPECT_EQ(word(page.seen), 1u);
        entry(page.table, page.index) = 0xc00083;
        EXPECT_EQ(word(page.seen), 1u);
        EXPECT_EQ(machine.stale_entries().size(), 1u);
        machine.invalidate_page(page.flushed);
        EXPECT_EQ(word(page.seen), 2u);
        EXPECT_TRUE(machine.stale_entries().empty());
    }
    // Of 1 GiB, shown page by page, since smaller ones that are cached go on being used.
    const uint64_t gigabyte = home + 1024 * mib;
    entry(2, 1) = 0x104003;
    entry(4, 0) = 0xc00083;
    physical(0xc00000) = 4;
    EXPECT_EQ(word(gigabyte), 4u);
    entry(2, 1) = 0x83;
    machine.invalidate_page(home);  // and what is cached of tables, but not that page
    physical(0x600000) = 8;
    EXPECT_EQ(word(gigabyte + 0x600000), 8u);
    EXPECT_EQ(word(gigabyte), 4u);
    physical(0x700000) = 3;
    EXPECT_EQ(word(gigabyte + 0x700000), 3u);
    entry(2, 1) = 0;
    EXPECT_EQ(word(gigabyte + 0x700000), 3u);
    machine.invalidate_page(gigabyte + 500 * mib);
    EXPECT_FALSE(machine.probe_load<uint32_t>(gigabyte + 0x700000).ok());
}

}  // namespace
}  // namespace quire::sim::test::mapped_machine_long_test
