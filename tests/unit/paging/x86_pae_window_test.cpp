// SPDX-License-Identifier: MIT
// PAE with sixteen times more RAM than addresses: nothing of it is mapped but a window, a dozen
// pages, through which page tables above 4 GiB are made and changed. The machine has no other way
// to its RAM: an access to any other address is a page fault, which ends the test.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "quire/base/late.hpp"
#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86_pae.hpp"
#include "sim/frame_pool.hpp"
#include "sim/mapped_machine.hpp"
#include "sim/x86_mmu_pae.hpp"

namespace quire::paging_test::x86_pae_window_test {
namespace {

constexpr uint64_t gib = uint64_t{1} << 30;
constexpr uint64_t ram_bytes = 64 * gib;
constexpr uint64_t window_at = 0xff000000;
constexpr uint64_t area = 0x50000000;
constexpr Attributes data{read_write, MemoryType::write_back};

Frame frame_at(uint64_t bytes) {
    return Frame(bytes / page_size);
}
PageRange pages_at(uint64_t address, uintptr_t count) {
    return PageRange(page_of(VirtualAddress(address)), PageCount(count));
}

// One frame below 4 GiB, for each root; all else far above.
struct HighAndLow {
    sim::FramePool& high;
    sim::FramePool& low;
    Result<Frame> allocate_frame() { return high.allocate_frame(); }
    Result<Frame> allocate_frame_up_to(Frame highest) {
        return highest < high.frames().first() ? low.allocate_frame() : high.allocate_frame();
    }
    Status free_frame(Frame frame) {
        return low.owns(frame) ? low.free_frame(frame) : high.free_frame(frame);
    }
};

class X86PaeWindowTest : public testing::Test {
  protected:
    using Tlb = sim::MappedMachine::LocalTlb;
    using Access = Window<X86Pae, Tlb>;
    using Table = FormatPageTable<X86Pae, Access>;

    void SetUp() override {
        sim::Control control = machine.control();
        control.no_execute = true;
        control.pat = x86_page_attribute_table;
        machine.set_control(control);
        // What a boot mapping would do, by an alias of RAM that no kernel has.
        DirectMap alias(FrameRange(Frame(0), frame_at(ram_bytes) - Frame(0)), VirtualAddress(0),
                        ram.physical_view());
        FormatPageTable<X86Pae, DirectMap> first(alias, format);
        ASSERT_TRUE(first.create(frames).ok());
        const auto place = install_window(first, pages_at(window_at, 1 + Access::least_pages));
        ASSERT_TRUE(place.ok());
        machine.enable_paging(first.root());
        window.make(*place, machine.tlb(), machine.view(), format);
        table.make(*window, format);
        ASSERT_TRUE(table->adopt(first.root(), frames).ok());
        before = high.used();
    }
    void TearDown() override {
        EXPECT_TRUE(table->validate().ok());
        // The CPU was nowhere but at the window, and where the test itself looked.
        for (const sim::Translation& cached : machine.core().tlb().entries()) {
            const bool at_window = pages_at(window_at, 1 + Access::least_pages)
                                       .contains(page_of(VirtualAddress(cached.page)));
            EXPECT_TRUE(at_window || cached.page >> 28 == area >> 28) << to_string(cached);
        }
    }
    void map(const PageRange& pages, Frame first) {
        const auto mapped = table->map(pages, first, data);
        ASSERT_TRUE(mapped.ok()) << to_string(mapped.error());
    }
    void unmap(const PageRange& pages) {
        auto unmapped = table->unmap(pages, UnmappedFrames::keep, Holes::skip);
        ASSERT_TRUE(unmapped.ok()) << to_string(unmapped.error());
        unmapped->spend(tlb);
    }
    // A word that the CPU stores at an address is in the frame, and a walk leads there.
    void expect_behind(uint64_t address, uint64_t physical) {
        const auto value = static_cast<uint32_t>(physical >> 12 | 1);
        ASSERT_TRUE(machine.probe_store<uint32_t>(address, value).ok()) << std::hex << address;
        EXPECT_EQ(*ram.as<uint32_t>(physical), value) << std::hex << physical;
        EXPECT_EQ(table->translate(VirtualAddress(address))->value(), physical);
    }

    static constexpr X86PaeFeatures features{true, true, true, 36};
    static sim::MappedShape shape() {
        sim::MappedShape shape;
        shape.mmu = std::make_shared<sim::X86MmuPae>(sim::X86PaeCpu{true, 36});
        return shape;
    }

    const X86Pae format{features};
    sim::Ram ram{{sim::Segment{0, ram_bytes}}};
    sim::MappedMachine machine{ram, shape()};
    sim::FramePool high{ram, FrameRange(frame_at(63 * gib), FrameCount(0x800)), {{}, true, 5}};
    sim::FramePool low{ram, FrameRange(Frame(0x400), FrameCount(4))};
    HighAndLow frames{high, low};
    SingleCpuInvalidator<Tlb> tlb{machine.tlb()};
    Late<Access> window;
    Late<Table> table;
    FrameCount before;
};

TEST_F(X86PaeWindowTest, MapsAndUnmapsAllOfRam) {
    // A page in each GiB but that of the pool, and the last page of all.
    for (uint64_t i = 1; i < 63; ++i)
        map(pages_at(area + i * 5 * page_size, 1), frame_at(i * gib + i * page_size));
    const uint64_t last = area + 0x8000000;
    map(pages_at(last, 1), frame_at(ram_bytes) - FrameCount(1));
    EXPECT_EQ(table->map(pages_at(last + page_size, 1), frame_at(ram_bytes), data).error(),
              Error::out_of_range);
    const uint64_t large = area + 0x4000000;
    map(pages_at(large, 1024), frame_at(40 * gib));
    EXPECT_EQ(table->query(VirtualAddress(large))->pages.count(), PageCount(512));
    for (uint64_t i = 1; i < 63; ++i)
        expect_behind(area + i * 5 * page_size + 8, i * gib + i * page_size + 8);
    expect_behind(last + 0xff8, ram_bytes - 8);
    expect_behind(large + 0x3ff23c, 40 * gib + 0x3ff23c);
    // Cut apart, protected, and taken out: the CPU follows.
    auto changed = table->protect(pages_at(large + page_size, 1), read_only);
    ASSERT_TRUE(changed.ok());
    changed->spend(tlb);
    EXPECT_FALSE(machine.probe_store<uint32_t>(large + page_size, 1).ok());
    expect_behind(large + 2 * page_size, 40 * gib + 2 * page_size);
    unmap(pages_at(area, 0x10000));
    EXPECT_FALSE(machine.probe_load<uint32_t>(large + 2 * page_size).ok());
    EXPECT_FALSE(machine.probe_load<uint32_t>(last).ok());
    EXPECT_TRUE(machine.stale_structures().empty());
    EXPECT_EQ(high.used(), before);
}

TEST_F(X86PaeWindowTest, HasItsTablesAbove4GiBAndItsRootBelow) {
    map(pages_at(area, 4 * 512 + 3), frame_at(5 * gib) + FrameCount(1));
    EXPECT_EQ(high.used(), before + FrameCount(5));
    EXPECT_EQ(low.used(), FrameCount(1));
    EXPECT_TRUE(low.owns(table->root()));
    // Another table, that no CPU uses: all of it is made through the window.
    Table other(*window, format);
    ASSERT_TRUE(other.create(frames).ok());
    EXPECT_EQ(low.used(), FrameCount(2));
    ASSERT_TRUE(other.map(pages_at(area, 700), frame_at(8 * gib) + FrameCount(1), data).ok());
    sim::Control control = machine.control();
    control.cr3 = address_of(other.root()).value();
    for (const uint64_t page : {0U, 1U, 511U, 512U, 699U}) {
        const auto seen = sim::X86MmuPae({true, 36})
                              .walk(ram, control, sim::Access{area + page * page_size},
                                    sim::Effect::looks, nullptr)
                              .translation;
        ASSERT_TRUE(seen.has_value());
        EXPECT_EQ(seen->frame, 8 * gib + (1 + page) * page_size);
    }
    // The CPU's own table is another one.
    EXPECT_EQ(table->translate(VirtualAddress(area))->value(), 5 * gib + page_size);
    other.unmap(pages_at(area, 700))->spend_unused();
    ASSERT_TRUE(other.destroy().ok());
    unmap(pages_at(area, 4 * 512 + 3));
    EXPECT_EQ(high.used(), before);
    EXPECT_EQ(low.used(), FrameCount(1));
}

TEST_F(X86PaeWindowTest, ClearsFramesAnywhere) {
    AccessZeroer zeroer(*window);
    for (const uint64_t at : {uint64_t{1} << 20, 4 * gib - page_size, 4 * gib, 60 * gib}) {
        ram.fill(at, page_size, 0x77);
        ASSERT_TRUE(zeroer.zero(frame_at(at)).ok());
        EXPECT_TRUE(ram.holds(at, page_size, 0)) << std::hex << at;
    }
    EXPECT_EQ(zeroer.zero(frame_at(ram_bytes)).error(), Error::unreachable);
}

TEST_F(X86PaeWindowTest, RandomPagesOfAllRamAreFound) {
    std::mt19937_64 random(7);
    std::map<uint64_t, uint64_t> known;  // page of the area -> frame
    for (int i = 0; i < 600; ++i) {
        const uint64_t page = random() % 0x4000;
        const PageRange one = pages_at(area + page * page_size, 1);
        if (known.erase(page) != 0) {
            unmap(one);
            EXPECT_FALSE(machine.probe_load<uint32_t>(area + page * page_size).ok());
            continue;
        }
        // Not frames of the pools.
        const uint64_t frame = 0x1000 + random() % (frame_at(63 * gib).value() - 0x1000);
        map(one, Frame(frame));
        known[page] = frame;
        expect_behind(area + page * page_size, frame * page_size);
    }
    for (const auto& [page, frame] : known)
        EXPECT_EQ(table->translate(VirtualAddress(area + page * page_size))->value(),
                  frame * page_size);
    unmap(pages_at(area, 0x4000));
    EXPECT_EQ(high.used(), before);
}

}  // namespace
}  // namespace quire::paging_test::x86_pae_window_test
