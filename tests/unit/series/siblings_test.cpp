// SPDX-License-Identifier: MIT
// The calls by address: allocate, free, map, unmap, protect, look up; and what they refuse.
#include <gtest/gtest.h>

#include "series_machine.hpp"

namespace quire::series::siblings_test {
namespace {

using Machine = SeriesMachine<Tutorial>;
constexpr uint32_t place = 0x40000000;
constexpr uint32_t rw = I86_PTE_WRITABLE;

class SeriesSiblings : public testing::Test {
  protected:
    SeriesSiblings() {
        machine.start_like_the_tutorial();
        sim::Control control = machine.machine().control();
        control.write_protect = true;
        machine.machine().set_control(control);
    }
    ~SeriesSiblings() override {
        EXPECT_EQ(machine.harmful_stale_entries(), 0U);
        EXPECT_EQ(kernel.validate(), QUIRE_OK);
    }
    int error() { return kernel.outcome().last_error(); }
    uint32_t free() const { return kernel.free_block_count(); }
    // What the tables of the active directory say, bit by bit.
    std::vector<uint32_t> tables() {
        std::vector<uint32_t> all;
        const uint32_t root = kernel.get_PDBR();
        for (unsigned i = 0; i < table_entries; ++i) {
            const uint32_t entry = machine.entry(root, i) & ~cpu_marks;
            all.push_back(entry);
            if (!is_present(entry) || (entry & I86_PDE_4MB) != 0) continue;
            for (unsigned k = 0; k < table_entries; ++k)
                all.push_back(machine.entry(entry & I86_PDE_FRAME, k) & ~cpu_marks);
        }
        return all;
    }
    template <class Call>
    void expect_refused(int wanted, Call call) {
        const std::vector<uint32_t> before = tables();
        const uint32_t free_before = free();
        EXPECT_EQ(call(), wanted);
        EXPECT_EQ(error(), wanted);
        EXPECT_EQ(tables(), before);
        EXPECT_EQ(free(), free_before);
    }

    Machine machine;
    Face<Tutorial>& kernel = machine.kernel();
    pdirectory* const active = kernel.active();
};

TEST_F(SeriesSiblings, AllocateAtAnAddressAndFree) {
    const uint32_t start = free();
    ASSERT_EQ(kernel.alloc_pages(active, place + 0x3FE000, 0x4000, rw | I86_PTE_USER), QUIRE_OK);
    EXPECT_EQ(start - free(), 4U + 2U);
    for (uint32_t at = place + 0x3FE000; at < place + 0x402000; at += 0x1000) {
        machine.store(at, at);
        EXPECT_TRUE(machine.user_writable(at + 8));
    }
    EXPECT_EQ(machine.load(place + 0x3FE000), place + 0x3FE000);
    ASSERT_EQ(kernel.free_pages(active, place + 0x3FE000, 0x4000), QUIRE_OK);
    EXPECT_FALSE(machine.readable(place + 0x3FF000));
    EXPECT_EQ(start - free(), 2U);
    kernel.unmapPageTable(active, place);
    kernel.unmapPageTable(active, place + 0x400000);
    EXPECT_EQ(free(), start);
}

// Pages come from elsewhere first, so that tables and the kernel's own blocks keep the map's.
TEST_F(SeriesSiblings, AllocatedPagesLeaveTheMapAlone) {
    ASSERT_EQ(kernel.alloc_pages(active, place, 0x1000, rw), QUIRE_OK);
    EXPECT_GE(number_of(kernel.getPhysicalAddress(active, place)), 4_MiB);
    pt_entry entry = 0;
    ASSERT_TRUE(kernel.alloc_page(&entry));
    EXPECT_GE(pt_entry_pfn(entry), 4_MiB);
}

TEST_F(SeriesSiblings, MapARangeOfADevice) {
    machine.ram().add_device_memory({0xE0000000, 0x800000});
    ASSERT_EQ(kernel.map(active, place, 0xE0000000, 0x800000, rw | I86_PTE_NOT_CACHEABLE),
              QUIRE_OK);
    machine.store(place + 0x7FF000, 0x99);
    EXPECT_EQ(machine.ram().load<uint32_t>(0xE07FF000), 0x99U);
    series_page page{};
    ASSERT_EQ(kernel.query(active, place + 0x400000, &page), QUIRE_OK);
    EXPECT_EQ(page.phys, 0xE0400000U);
    EXPECT_EQ(page.flags & ~cpu_marks, rw | 1U | I86_PTE_NOT_CACHEABLE);
    ASSERT_EQ(kernel.unmap(active, place, 0x800000), QUIRE_OK);
    EXPECT_FALSE(machine.readable(place + 0x7FF000));
    // The last frame of memory.
    ASSERT_EQ(kernel.map(active, place, 0xFFFFF000, 0x1000, rw), QUIRE_OK);
    EXPECT_EQ(kernel.map(active, place + 0x1000, 0xFFFFF000, 0x2000, rw), QUIRE_OVERFLOW);
}

TEST_F(SeriesSiblings, Protect) {
    ASSERT_EQ(kernel.alloc_pages(active, place, 0x3000, rw), QUIRE_OK);
    machine.store(place + 0x1000, 5);
    ASSERT_EQ(kernel.protect(active, place + 0x1000, 0x1000, 0), QUIRE_OK);
    EXPECT_TRUE(machine.writable(place));
    EXPECT_FALSE(machine.writable(place + 0x1000));
    EXPECT_EQ(machine.load(place + 0x1000), 5U);
    ASSERT_EQ(kernel.protect(active, place + 0x1000, 0x1000, rw | I86_PTE_USER), QUIRE_OK);
    EXPECT_TRUE(machine.user_writable(place + 0x1000));
    EXPECT_FALSE(machine.user_writable(place + 0x2000));
    // Accessed and dirty stay.
    series_page page{};
    ASSERT_EQ(kernel.query(active, place + 0x1000, &page), QUIRE_OK);
    EXPECT_EQ(page.flags & cpu_marks, cpu_marks);
}

TEST_F(SeriesSiblings, WalkInOrderUntilToldToStop) {
    ASSERT_EQ(kernel.map(active, place + 0x5000, 0x300000, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(kernel.map(active, place + 0x800000, 0x301000, 0x1000, 0), QUIRE_OK);
    ASSERT_EQ(kernel.map(active, 0xFFFFF000, 0x302000, 0x1000, 0), QUIRE_OK);
    struct Seen {
        std::vector<uint32_t> pages;
        size_t limit = 100;
        Face<Tutorial>* kernel = nullptr;
    } seen;
    seen.kernel = &kernel;
    const auto visit = [](void* context, const series_page* page) {
        Seen& all = *static_cast<Seen*>(context);
        all.pages.push_back(page->virt);
        // It may call what it likes.
        series_page again{};
        EXPECT_EQ(all.kernel->query(all.kernel->active(), page->virt, &again), QUIRE_OK);
        EXPECT_EQ(again.phys, page->phys);
        return all.pages.size() < all.limit ? 1 : 0;
    };
    EXPECT_EQ(kernel.walk(active, place, 0x7FFFFFFF, visit, &seen), QUIRE_OK);
    EXPECT_EQ(seen.pages, (std::vector<uint32_t>{place + 0x5000, place + 0x800000}));
    seen = Seen{{}, 1, &kernel};
    EXPECT_EQ(kernel.walk(active, place, 0x7FFFFFFF, visit, &seen), QUIRE_OK);
    EXPECT_EQ(seen.pages.size(), 1U);
    seen = Seen{{}, 100, &kernel};
    EXPECT_EQ(kernel.walk(active, 0xFFFF0000, 0xFFFFFFFF, visit, &seen), QUIRE_OK);
    EXPECT_EQ(seen.pages, std::vector<uint32_t>{0xFFFFF000});
    EXPECT_EQ(kernel.walk(active, place, place, nullptr, nullptr), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.walk(active, place, place - 1, visit, &seen), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.walk(nullptr, place, place, visit, &seen), QUIRE_BAD_ARGUMENT);
}

TEST_F(SeriesSiblings, PagesByEntry) {
    pt_entry entry = I86_PTE_USER;
    ASSERT_TRUE(kernel.alloc_page(&entry));
    EXPECT_EQ(entry & 0xfff, I86_PTE_PRESENT | I86_PTE_WRITABLE | I86_PTE_USER);
    const pt_entry kept = entry;
    EXPECT_FALSE(kernel.alloc_page(&entry));
    EXPECT_EQ(error(), QUIRE_ALREADY_MAPPED);
    EXPECT_EQ(entry, kept);
    const uint32_t before = free();
    kernel.free_page(&entry);
    EXPECT_EQ(error(), QUIRE_OK);
    EXPECT_EQ(entry, 0U);
    EXPECT_EQ(free(), before + 1);
    kernel.free_page(&entry);
    EXPECT_EQ(error(), QUIRE_NOT_MAPPED);
    EXPECT_FALSE(kernel.alloc_page(nullptr));
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
    kernel.free_page(nullptr);
    EXPECT_EQ(error(), QUIRE_BAD_ARGUMENT);
    // What is no block is not freed.
    entry = 0x000A0003;
    kernel.free_page(&entry);
    EXPECT_EQ(error(), QUIRE_RESERVED);
    EXPECT_EQ(entry, 0x000A0003U);
    EXPECT_EQ(free(), before + 1);
}

// A directory entry that withholds a right from its pages gains it without giving it to them.
TEST_F(SeriesSiblings, RightsOfATableGrowForTheNewPageAlone) {
    const uint32_t table = number_of(kernel.alloc_blocks(1));
    machine.ram().fill(table, 4096, 0);
    machine.ram().store<uint32_t>(table, 0x300007);                                   // says user
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * (place >> 22), table | 1);  // does not
    EXPECT_FALSE(machine.user_writable(place));
    series_page page{};
    ASSERT_EQ(kernel.query(active, place, &page), QUIRE_OK);
    EXPECT_EQ(page.flags & 7, 1U);
    EXPECT_TRUE(machine.readable(place));  // so that the CPU remembers the directory's entry
    ASSERT_EQ(kernel.map(active, place + 0x1000, 0x301000, 0x1000, rw | I86_PTE_USER), QUIRE_OK);
    EXPECT_TRUE(machine.user_writable(place + 0x1000));
    EXPECT_FALSE(machine.user_writable(place));
    EXPECT_FALSE(machine.writable(place));
    EXPECT_TRUE(machine.readable(place));
    ASSERT_EQ(kernel.protect(active, place, 0x1000, rw), QUIRE_OK);
    EXPECT_TRUE(machine.writable(place));
    EXPECT_EQ(kernel.createPageTable(active, place, 7), 1);
}

// ---- 4 MiB pages, as boot loaders make them

TEST_F(SeriesSiblings, LargePagesAreSeenCutAndEnded) {
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * (place >> 22),
                                  0x00800000 | 0x83 | 0x1000);
    machine.ram().store<uint32_t>(0x800000 + 0x123000, 0x12);
    series_page page{};
    ASSERT_EQ(kernel.query(active, place + 0x123456, &page), QUIRE_OK);
    EXPECT_EQ(page.virt, place);
    EXPECT_EQ(page.phys, 0x800000U);
    EXPECT_EQ(page.bytes, 4_MiB);
    EXPECT_EQ(page.flags & ~cpu_marks, 3U | I86_PTE_PAT);
    EXPECT_EQ(number_of(kernel.getPhysicalAddress(active, place + 0x123456)), 0x923456U);
    expect_refused(QUIRE_ALREADY_MAPPED,
                   [&] { return kernel.map(active, place + 0x1000, 0x300000, 0x1000, rw); });
    expect_refused(QUIRE_ALREADY_MAPPED,
                   [&] { return kernel.createPageTable(active, place, 3) == 0 ? error() : 0; });
    EXPECT_EQ(kernel.entry(active, place), nullptr);
    EXPECT_EQ(machine.load(place + 0x123000), 0x12U);
    const uint32_t before = free();
    ASSERT_EQ(kernel.protect(active, place + 0x124000, 0x1000, 0), QUIRE_OK);
    EXPECT_EQ(before - free(), 1U);
    EXPECT_EQ(machine.load(place + 0x123000), 0x12U);
    EXPECT_TRUE(machine.writable(place + 0x123000));
    EXPECT_FALSE(machine.writable(place + 0x124000));
    ASSERT_EQ(kernel.query(active, place + 0x3FF000, &page), QUIRE_OK);
    EXPECT_EQ(page.phys, 0xBFF000U);
    EXPECT_NE(page.flags & I86_PTE_PAT, 0U);
    ASSERT_EQ(kernel.unmap(active, place, 4_MiB), QUIRE_OK);
    kernel.unmapPageTable(active, place);
    EXPECT_EQ(free(), before);
    // Whole ones need no table.
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * (place >> 22), 0x00800083);
    EXPECT_TRUE(machine.writable(place));
    ASSERT_EQ(kernel.protect(active, place, 4_MiB, I86_PTE_PAT), QUIRE_OK);
    EXPECT_FALSE(machine.writable(place));
    ASSERT_EQ(kernel.query(active, place, &page), QUIRE_OK);
    EXPECT_EQ(page.bytes, 4_MiB);
    EXPECT_NE(page.flags & I86_PTE_PAT, 0U);
    ASSERT_EQ(kernel.unmap(active, place, 4_MiB), QUIRE_OK);
    EXPECT_FALSE(machine.readable(place));
    EXPECT_EQ(free(), before);
    // And unmapPageTable ends one.
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * (place >> 22), 0x00800083);
    EXPECT_TRUE(machine.readable(place));
    kernel.unmapPageTable(active, place);
    EXPECT_EQ(error(), QUIRE_OK);
    EXPECT_FALSE(machine.readable(place));
    EXPECT_EQ(free(), before);
}

TEST_F(SeriesSiblings, FreeingALargePageFreesItsBlocks) {
    const uint32_t start = free();
    physical_addr run = 0;
    ASSERT_EQ(kernel.alloc_blocks(2048, &run), QUIRE_OK);
    const uint32_t large = (run + 0x3FFFFF) & 0xFFC00000;
    machine.ram().store<uint32_t>(kernel.get_PDBR() + 4 * (place >> 22), large | 0x83);
    EXPECT_TRUE(machine.readable(place));
    ASSERT_EQ(kernel.free_blocks(large + 0x5000, 1), QUIRE_OK);
    expect_refused(QUIRE_ALREADY_FREE, [&] { return kernel.free_pages(active, place, 4_MiB); });
    EXPECT_EQ(kernel.outcome().where(), large + 0x5000U);
    ASSERT_EQ(kernel.free_pages(active, place, 0x5000), QUIRE_OK);  // cut
    ASSERT_EQ(kernel.free_pages(active, place + 0x6000, 4_MiB - 0x6000), QUIRE_OK);
    EXPECT_FALSE(machine.readable(place));
    EXPECT_EQ(start - free(), 1024U + 1U);
}

// Without CR4.PSE the bit means nothing.
TEST_F(SeriesSiblings, WithoutLargePagesTheBitMeansNothing) {
    ASSERT_EQ(kernel.map(active, place, 0x300000, 0x1000, rw), QUIRE_OK);
    const uint32_t at = kernel.get_PDBR() + 4 * (place >> 22);
    sim::Control control = machine.machine().control();
    control.large_pages = false;
    machine.machine().set_control(control);
    machine.ram().store<uint32_t>(at, machine.ram().load<uint32_t>(at) | I86_PDE_4MB);
    EXPECT_EQ(number_of(kernel.getPhysicalAddress(active, place)), 0x300000U);
    EXPECT_EQ(kernel.unmap(active, place, 0x1000), QUIRE_OK);
}

// ---- bad input

TEST_F(SeriesSiblings, BadInputMappingOverWhatIsMapped) {
    ASSERT_EQ(kernel.map(active, place + 0x2000, 0x300000, 0x1000, rw), QUIRE_OK);
    expect_refused(QUIRE_ALREADY_MAPPED,
                   [&] { return kernel.map(active, place, 0x400000, 0x4000, rw); });
    EXPECT_EQ(kernel.outcome().where(), place + 0x2000);
    expect_refused(QUIRE_ALREADY_MAPPED,
                   [&] { return kernel.alloc_pages(active, place - 0x1000, 0x4000, rw); });
    // Where the second table of a range is in the way, the first is not made.
    expect_refused(QUIRE_ALREADY_MAPPED,
                   [&] { return kernel.map(active, place - 0x2000, 0x400000, 0x5000, rw); });
    expect_refused(QUIRE_ALREADY_MAPPED, [&] {
        return kernel.map_page(nullptr, reinterpret_cast<void*>(0x1000)) ? 0 : error();
    });
}

TEST_F(SeriesSiblings, BadInputLowBits) {
    ASSERT_EQ(kernel.alloc_pages(active, place, 0x1000, rw), QUIRE_OK);
    for (const uint32_t bits : {1U, 0x800U, 0xFFFU}) {
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.map(active, place + bits, 0x300000, 0x1000, rw); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.map(active, place, 0x300000 + bits, 0x1000, rw); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.map(active, place, 0x300000, 0x1000 + bits, rw); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.alloc_pages(active, place + bits, 0x1000, rw); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.free_pages(active, place + bits, 0x1000); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.unmap(active, place, 0x1000 + bits); });
        expect_refused(QUIRE_MISALIGNED,
                       [&] { return kernel.protect(active, place + bits, 0x1000, rw); });
    }
    expect_refused(QUIRE_ZERO_SIZE, [&] { return kernel.map(active, place, 0x300000, 0, rw); });
    expect_refused(QUIRE_ZERO_SIZE, [&] { return kernel.unmap(active, place, 0); });
    expect_refused(QUIRE_OVERFLOW,
                   [&] { return kernel.map(active, 0xFFFFF000, 0x300000, 0x2000, rw); });
    expect_refused(QUIRE_BAD_ARGUMENT,
                   [&] { return kernel.map(active, place, 0x300000, 0x1000, 0x1002); });
    expect_refused(QUIRE_BAD_ARGUMENT,
                   [&] { return kernel.protect(active, place, 0x1000, 0x1002); });
    expect_refused(QUIRE_BAD_ARGUMENT, [&] {
        return kernel.createPageTable(active, 0x50000000, 0x1002) == 0 ? error() : 0;
    });
    expect_refused(QUIRE_BAD_ARGUMENT, [&] { return kernel.query(active, place, nullptr); });
}

TEST_F(SeriesSiblings, BadInputNothingThere) {
    ASSERT_EQ(kernel.map(active, place, 0x300000, 0x1000, rw), QUIRE_OK);
    expect_refused(QUIRE_NOT_MAPPED, [&] { return kernel.unmap(active, place, 0x2000); });
    EXPECT_EQ(kernel.outcome().where(), place + 0x1000);
    expect_refused(QUIRE_NOT_MAPPED, [&] { return kernel.unmap(active, 0x50000000, 0x1000); });
    expect_refused(QUIRE_NOT_MAPPED, [&] { return kernel.protect(active, place, 0x2000, rw); });
    ASSERT_EQ(kernel.alloc_pages(active, place + 0x5000, 0x1000, rw), QUIRE_OK);
    expect_refused(QUIRE_NOT_MAPPED,
                   [&] { return kernel.free_pages(active, place + 0x5000, 0x2000); });
    // Mapped, but no block that was given out.
    expect_refused(QUIRE_ALREADY_FREE, [&] { return kernel.free_pages(active, place, 0x1000); });
    expect_refused(QUIRE_RESERVED, [&] { return kernel.free_pages(active, 0x00100000, 0x1000); });
    kernel.unmapPageTable(active, 0x50000000);
    EXPECT_EQ(error(), QUIRE_NOT_MAPPED);
}

// A block that is mapped twice in a range that is freed: once.
TEST_F(SeriesSiblings, FreeingABlockThatIsMappedTwice) {
    const uint32_t start = free();
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    ASSERT_EQ(kernel.map(active, place, block, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(kernel.map(active, place + 0x1000, block, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(kernel.free_pages(active, place, 0x2000), QUIRE_OK);
    EXPECT_EQ(start - free(), 1U);
}

TEST_F(SeriesSiblings, BadInputNoDirectory) {
    pdirectory* const nowhere = machine.pointer<pdirectory>(0x70000000);
    pdirectory* const odd = machine.pointer<pdirectory>(0x300004);
    // A page of text.
    machine.ram().fill(0x300000, 4096, 'Q');
    pdirectory* const text = machine.pointer<pdirectory>(0x300000);
    // Entries that lead to memory that is not there, or to block zero.
    machine.ram().fill(0x301000, 8192, 0);
    machine.ram().store<uint32_t>(0x301000 + 8, 0x10000003);
    machine.ram().store<uint32_t>(0x302000 + 8, 0x00000003);
    const struct {
        pdirectory* directory;
        int error;
    } all[] = {{nullptr, QUIRE_BAD_ARGUMENT},
               {nowhere, QUIRE_NOT_MAPPED},
               {odd, QUIRE_MISALIGNED},
               {text, QUIRE_FOREIGN},
               {machine.pointer<pdirectory>(0x301000), QUIRE_FOREIGN},
               {machine.pointer<pdirectory>(0x302000), QUIRE_FOREIGN}};
    series_page page{};
    for (const auto& one : all) {
        pdirectory* const directory = one.directory;
        expect_refused(one.error,
                       [&] { return kernel.map(directory, place, 0x300000, 0x1000, rw); });
        expect_refused(one.error, [&] { return kernel.alloc_pages(directory, place, 0x1000, rw); });
        expect_refused(one.error, [&] { return kernel.unmap(directory, place, 0x1000); });
        expect_refused(one.error, [&] { return kernel.free_pages(directory, place, 0x1000); });
        expect_refused(one.error, [&] { return kernel.protect(directory, place, 0x1000, 0); });
        expect_refused(one.error, [&] { return kernel.query(directory, place, &page); });
        expect_refused(one.error, [&] { return kernel.free_address_space(directory); });
        expect_refused(one.error,
                       [&] { return kernel.createPageTable(directory, place, 3) ? 0 : error(); });
        expect_refused(one.error,
                       [&] { return kernel.switch_pdirectory(directory) ? 0 : error(); });
        expect_refused(one.error, [&] {
            kernel.unmapPageTable(directory, place);
            return error();
        });
        expect_refused(one.error, [&] { return kernel.entry(directory, place) ? 0 : error(); });
        expect_refused(one.error, [&] {
            return kernel.getPhysicalAddress(directory, place) != nullptr ? 0 : error();
        });
    }
    EXPECT_EQ(kernel.adopt(text), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(kernel.adopt(nowhere), QUIRE_NOT_MAPPED);
}

// ---- who is told

TEST_F(SeriesSiblings, ADebugBuildTellsTheLog) {
    static std::vector<std::string> lines;
    lines.clear();
    kernel.outcome().set_log([](int severity, const char* text) {
        EXPECT_EQ(severity, 2);
        lines.push_back(text);
    });
    EXPECT_EQ(kernel.map(active, 0x00100000, 0x300000, 0x1000, rw), QUIRE_ALREADY_MAPPED);
    EXPECT_EQ(kernel.map(active, place, 0x300000, 0x1000, rw), QUIRE_OK);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0], std::string("series_map: ") + series_error_text(QUIRE_ALREADY_MAPPED) +
                            " (0x100000)");
    // Old calls under their own names.
    kernel.mapPhysicalAddress(active, place, 0x300001, rw);
    EXPECT_EQ(error(), QUIRE_MISALIGNED);
    kernel.mapPhysicalAddress(active, place, 0x300000, rw);
    EXPECT_EQ(error(), QUIRE_ALREADY_MAPPED);
    kernel.unmapPhysicalAddress(active, place);
    EXPECT_EQ(error(), QUIRE_OK);
    kernel.unmapPhysicalAddress(active, place);
    EXPECT_EQ(error(), QUIRE_NOT_MAPPED);
    EXPECT_FALSE(kernel.map_page(nullptr, nullptr));
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[1].rfind("vmmngr_mapPhysicalAddress: ", 0), 0U);
    EXPECT_EQ(lines[3].rfind("vmmngr_unmapPhysicalAddress: ", 0), 0U);
    EXPECT_EQ(lines[4].rfind("vmmngr_map_page: ", 0), 0U);
    EXPECT_STREQ(series_error_text(QUIRE_OK), "no error");
    EXPECT_STREQ(series_error_text(-1), "unknown error");
    EXPECT_STREQ(series_error_text(QUIRE_CORRUPTED + 1), "unknown error");
}

struct Silent : Tutorial {
    static constexpr bool logs = false;
};
TEST(SeriesChoices, WithoutTheLogNothingIsTold) {
    SeriesMachine<Silent> machine;
    machine.kernel().outcome().set_log([](int, const char*) { FAIL(); });
    machine.start_like_the_tutorial();
    EXPECT_EQ(machine.kernel().free_blocks(0, 1), QUIRE_RESERVED);
    EXPECT_EQ(machine.kernel().outcome().last_error(), QUIRE_RESERVED);
}

struct UserPages : Tutorial {
    static constexpr uint32_t map_page_flags = I86_PTE_WRITABLE | I86_PTE_USER;
};
TEST(SeriesChoices, FlagsOfPagesMappedWithoutAny) {
    SeriesMachine<UserPages> machine;
    machine.start_like_the_tutorial();
    EXPECT_TRUE(machine.kernel().map_page(reinterpret_cast<void*>(0x300000),
                                          reinterpret_cast<void*>(uintptr_t{place})));
    EXPECT_TRUE(machine.user_writable(place));
    pt_entry entry = 0;
    ASSERT_TRUE(machine.kernel().alloc_page(&entry));
    EXPECT_EQ(entry & 7, 7U);
}

struct WideMap : Tutorial {
    static constexpr uint32_t map_bytes = 8 << 20;
    static constexpr uint32_t table_reserve = 10;
    static constexpr uint32_t kernel_address = 0xE0000000;
};
TEST(SeriesChoices, AWiderMapAndAnotherKernelAddress) {
    SeriesMachine<WideMap> machine;
    machine.start_like_the_tutorial();
    Face<WideMap>& kernel = machine.kernel();
    machine.ram().store<uint32_t>(0x7FF000, 0x78);
    EXPECT_EQ(machine.load(0x7FF000), 0x78U);
    EXPECT_FALSE(machine.readable(0x800000));
    pdirectory* const other = kernel.createAddressSpace();
    ASSERT_NE(other, nullptr);
    // 0xC0000000 is not the kernel's here.
    EXPECT_TRUE(pd_entry_is_present(other->m_entries[1]));
    EXPECT_FALSE(pd_entry_is_present(other->m_entries[768]));
    uint32_t shown = 0;
    while (kernel.free_block_count() > 10)
        shown += number_of(kernel.alloc_blocks(1)) < 8_MiB ? 1 : 0;
    EXPECT_EQ(shown, 1536U - 4U - 1U - 10U);
}

struct FewDirectories : Tutorial {
    static constexpr size_t directories = 3;
    using Lock = NoLock;
};
TEST(SeriesChoices, AsManyDirectoriesAsToldAndTheKernelsOwnLocks) {
    SeriesMachine<FewDirectories> machine;
    machine.start_like_the_tutorial();
    Face<FewDirectories>& kernel = machine.kernel();
    const uint32_t start = kernel.free_block_count();
    pdirectory* const second = kernel.createAddressSpace();
    ASSERT_NE(second, nullptr);
    ASSERT_NE(kernel.createAddressSpace(), nullptr);
    EXPECT_EQ(kernel.createAddressSpace(), nullptr);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_TOO_MANY);
    EXPECT_EQ(start - kernel.free_block_count(), 2U);
    EXPECT_EQ(kernel.free_address_space(second), QUIRE_OK);
    EXPECT_NE(kernel.createAddressSpace(), nullptr);
    // One of the kernel's own is loaded, and there is no place for it.
    const uint32_t block = number_of(kernel.alloc_blocks(1));
    vmmngr_pdirectory_clear(machine.pointer<pdirectory>(block));
    ASSERT_TRUE(kernel.switch_pdirectory(machine.pointer<pdirectory>(block)));
    EXPECT_EQ(kernel.get_directory(), nullptr);
    EXPECT_EQ(kernel.outcome().last_error(), QUIRE_TOO_MANY);
    EXPECT_EQ(kernel.adopt(nullptr), QUIRE_TOO_MANY);
}

}  // namespace
}  // namespace quire::series::siblings_test
