// SPDX-License-Identifier: MIT
// Page tables of the 64-bit format, with 4 and 5 levels, in either half of the addresses, through
// each access. What the CPU would see is what the simulator's MMU walks to; the pages at which an
// access shows tables are mappings of the process, made anew when they are flushed and never
// before.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <set>

#include "quire/base/late.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86_64.hpp"
#include "sim/frame_pool.hpp"
#include "sim/x86_mmu64.hpp"

namespace quire::long_mode_test {

// RAM, a CPU with every feature, and the pages that it has cached.
class LongMachine {
  public:
    static constexpr uint64_t ram_bytes = uint64_t{24} << 20;

    explicit LongMachine(bool five_levels) {
        control.paging = control.write_protect = control.global_pages = control.no_execute = true;
        control.pat = x86_page_attribute_table;
        control.five_levels = five_levels;
    }
    ~LongMachine() {
        for (const uint64_t page : shown_)
            munmap(host(page), page_size);
    }
    LongMachine(const LongMachine&) = delete;
    LongMachine& operator=(const LongMachine&) = delete;

    sim::Walk look(Frame root, uint64_t address,
                   sim::AccessKind kind = sim::AccessKind::read) const {
        sim::Control used = control;
        used.cr3 = address_of(root).value();
        return sim::X86Mmu64().walk(ram, used, {address, kind, sim::Privilege::supervisor},
                                    sim::Effect::looks, nullptr);
    }
    uint64_t* table(Frame frame) const { return ram.as<uint64_t>(address_of(frame).value()); }

    // Where the address shall lie in this process; those near it follow.
    void show_at_home(VirtualAddress address) { bias = 0x2a0000000000 - address.value(); }
    AddressView view() const { return AddressView(bias); }

    // Forgets the page, and at once caches what the tables say of it now.
    void flush_page(VirtualAddress address) {
        const uint64_t page = address.value() & ~uint64_t{page_size - 1};
        if (shown_.erase(page) != 0) munmap(host(page), page_size);
        const auto found = look(Frame(control.cr3 >> 12), page).translation;
        if (!found || !ram.backs(found->physical(page), page_size)) return;
        const int rights = found->writable ? PROT_READ | PROT_WRITE : PROT_READ;
        void* const at = mmap(host(page), page_size, rights, MAP_SHARED | MAP_FIXED_NOREPLACE,
                              ram.file(), static_cast<off_t>(found->physical(page)));
        ASSERT_EQ(at, host(page));
        shown_.insert(page);
    }
    bool shows(VirtualAddress address) const { return shown_.count(address.value()) != 0; }

    sim::Ram ram{ram_bytes};
    sim::FramePool frames{ram,
                          FrameRange(Frame(0x400), FrameCount(0x1000)),
                          {sim::FreedFrames::filled_with_junk, true, 7}};
    sim::Control control;
    uint64_t bias = 0;

  private:
    void* host(uint64_t page) const { return reinterpret_cast<void*>(page + bias); }

    std::set<uint64_t> shown_;
};

// Its TLB in the terms of the library.
class LongTlb {
  public:
    explicit LongTlb(LongMachine& machine) : machine_(&machine) {}
    void flush_page(VirtualAddress address) const { machine_->flush_page(address); }
    void flush_all() const {}

  private:
    LongMachine* machine_;
};

using HostTable = FormatPageTable<X86_64, DirectMap>;

enum class Use { active, inactive };

inline constexpr uint64_t gigabyte = 512 * 512;  // in pages

// Tests map in 4 GiB of addresses from here on: the 104th root entry of the half. A recursive slot
// takes the three before, so that these lie in the longer run of what is left, and so near the
// middle that the process has room to show the tables of all of it.
template <bool five_levels, AddressHalf half>
constexpr uint64_t area_of() {
    const unsigned root_shift = five_levels ? 48 : 39;
    if (half == AddressHalf::low) return uint64_t{104} << root_shift;
    return ~uint64_t{0} << (root_shift + 9) | uint64_t{256 + 104} << root_shift;
}

struct ThroughHost {
    using Access = DirectMap;
    void prepare(HostTable&, LongMachine&, uint64_t, bool) {}
    void make(Late<Access>& access, LongMachine& m, const X86_64&) {
        access.make(FrameRange(Frame(0), FrameCount(LongMachine::ram_bytes / page_size)),
                    VirtualAddress(0), m.ram.physical_view());
    }
};
struct ThroughRecursiveSlot {
    using Access = RecursiveSlot<X86_64, LongTlb>;
    RecursiveSlots slots{};
    void prepare(HostTable& kernel, LongMachine& m, uint64_t area, bool five_levels) {
        const unsigned root_shift = five_levels ? 48 : 39;
        slots.self = static_cast<unsigned>(area >> root_shift & 511) - 1;
        slots.foreign = slots.self - 1;
        slots.scratch = slots.self - 2;
        ASSERT_TRUE(kernel.link_self(slots.self).ok());
        // Where the root shows itself: its own index at every level.
        uint64_t self = area >> 63 != 0 ? ~uint64_t{0} << (root_shift + 9) : 0;
        for (unsigned shift = root_shift; shift >= 12; shift -= 9)
            self |= uint64_t{slots.self} << shift;
        m.show_at_home(VirtualAddress(self));
        m.flush_page(VirtualAddress(self));
        ASSERT_TRUE(m.shows(VirtualAddress(self)));
    }
    void make(Late<Access>& access, LongMachine& m, const X86_64& format) {
        access.make(slots, LongTlb(m), m.view(), format);
    }
};
struct ThroughWindow {
    using Access = Window<X86_64, LongTlb>;
    WindowPlace place;
    void prepare(HostTable& kernel, LongMachine& m, uint64_t area, bool) {
        // Away from what the tests map.
        const Page first = page_of(VirtualAddress(area + (uint64_t{8} << 30)));
        const auto installed =
            install_window(kernel, PageRange(first, PageCount(1 + Access::least_pages)));
        ASSERT_TRUE(installed.ok());
        place = *installed;
        m.show_at_home(address_of(first));
        for (const Page page : PageRange(first, PageCount(1 + Access::least_pages)))
            m.flush_page(address_of(page));
    }
    void make(Late<Access>& access, LongMachine& m, const X86_64& format) {
        access.make(place, LongTlb(m), m.view(), format);
    }
};

template <class How, bool five, AddressHalf which, Use use>
struct LongWay {
    using Through = How;
    static constexpr bool five_levels = five;
    static constexpr AddressHalf half = which;
    static constexpr bool is_active = use == Use::active;
};

// Through the foreign slot of a root of 5 levels, tables appear further away from those of the self
// slot than a process of this host can reach; so that is tested with 4.
inline constexpr AddressHalf low = AddressHalf::low;
inline constexpr AddressHalf high = AddressHalf::high;
using LongWays = testing::Types<
    LongWay<ThroughHost, false, low, Use::inactive>,
    LongWay<ThroughHost, false, high, Use::inactive>,
    LongWay<ThroughHost, true, low, Use::inactive>, LongWay<ThroughHost, true, high, Use::inactive>,
    LongWay<ThroughRecursiveSlot, false, low, Use::active>,
    LongWay<ThroughRecursiveSlot, false, high, Use::active>,
    LongWay<ThroughRecursiveSlot, true, low, Use::active>,
    LongWay<ThroughRecursiveSlot, true, high, Use::active>,
    LongWay<ThroughRecursiveSlot, false, low, Use::inactive>,
    LongWay<ThroughRecursiveSlot, false, high, Use::inactive>,
    LongWay<ThroughWindow, false, low, Use::active>,
    LongWay<ThroughWindow, false, high, Use::active>,
    LongWay<ThroughWindow, true, low, Use::active>, LongWay<ThroughWindow, true, high, Use::active>,
    LongWay<ThroughWindow, true, high, Use::inactive>>;

struct LongWayNames {
    template <class W>
    static std::string GetName(int) {
        const char* how = std::is_same_v<typename W::Through, ThroughRecursiveSlot> ? "Recursive"
                          : std::is_same_v<typename W::Through, ThroughWindow>      ? "Window"
                                                                                    : "Host";
        return std::string(how) + (W::five_levels ? "5" : "4") +
               (W::half == AddressHalf::high ? "High" : "Low") +
               (W::is_active ? "Active" : "Inactive");
    }
};

template <class W>
class LongModeTest : public testing::Test {
  protected:
    using Through = typename W::Through;
    using Access = typename Through::Access;
    using Table = FormatPageTable<X86_64, Access>;
    static constexpr uint64_t area = area_of<W::five_levels, W::half>();
    static constexpr uint64_t root_level = W::five_levels ? 4 : 3;
    // A multiple of 1 GiB.
    static constexpr Frame free_frame{7 * gigabyte};
    static constexpr Attributes data{read_write, MemoryType::write_back};

    void SetUp() override {
        kernel_.make(host_, format);
        ASSERT_TRUE(kernel_->create(m.frames).ok());
        m.control.cr3 = address_of(kernel_->root()).value();
        through_.prepare(*kernel_, m, area, W::five_levels);
        through_.make(access_, m, format);
        table_.make(*access_, format);
        if (W::is_active) {
            ASSERT_TRUE(table_->adopt(kernel_->root(), m.frames).ok());
        } else {
            ASSERT_TRUE(table_->create(m.frames).ok());
        }
        tables_before_ = table().table_frames();
    }
    void TearDown() override { EXPECT_TRUE(table().validate().ok()); }

    Table& table() { return *table_; }
    static PageRange pages(uint64_t first, uint64_t count) {
        return PageRange(page_of(VirtualAddress(area)) + PageCount(first), PageCount(count));
    }
    static uint64_t address(uint64_t page) { return area + page * page_size; }

    void map(const PageRange& range, Frame first, const Attributes& attributes = data) {
        auto mapped = table().map(range, first, attributes);
        ASSERT_TRUE(mapped.ok()) << to_string(mapped.error());
        EXPECT_TRUE(mapped->empty());
    }
    void unmap(const PageRange& range, Holes holes = Holes::refuse) {
        auto unmapped = table().unmap(range, UnmappedFrames::keep, holes);
        ASSERT_TRUE(unmapped.ok()) << to_string(unmapped.error());
        unmapped->spend(tlb);
    }
    Translation query(uint64_t page) {
        const auto found = table().query(VirtualAddress(address(page)));
        EXPECT_TRUE(found.ok());
        return found.ok() ? *found : Translation{};
    }
    // The frame behind a page of the area, as library and MMU agree in all that both say; nothing
    // when both say so.
    std::optional<uint64_t> frame_behind(uint64_t page) {
        const Translation found = query(page);
        const auto seen = m.look(table().root(), address(page)).translation;
        EXPECT_EQ(found.state == EntryState::present, seen.has_value()) << page;
        if (found.state != EntryState::present || !seen) return std::nullopt;
        const Protection protection = found.attributes.protection;
        EXPECT_EQ(found.physical(VirtualAddress(address(page))).value(),
                  seen->physical(address(page)));
        EXPECT_EQ(has(protection, Protection::write), seen->writable);
        EXPECT_EQ(has(protection, Protection::user), seen->user);
        EXPECT_EQ(has(protection, Protection::execute), seen->executable);
        EXPECT_EQ(has(protection, Protection::global), seen->global);
        EXPECT_EQ(found.pages.count().value() * page_size, seen->bytes());
        return seen->physical(address(page)) / page_size;
    }

    LongMachine m{W::five_levels};
    const X86_64 format{{W::five_levels, true, true, true, 46}, W::half};
    DirectMap host_{FrameRange(Frame(0), FrameCount(LongMachine::ram_bytes / page_size)),
                    VirtualAddress(0), m.ram.physical_view()};
    SingleCpuInvalidator<LongTlb> tlb{LongTlb(m)};
    Late<HostTable> kernel_;
    Through through_;
    Late<Access> access_;
    Late<Table> table_;
    FrameCount tables_before_;
};

}  // namespace quire::long_mode_test
