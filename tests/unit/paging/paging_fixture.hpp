// SPDX-License-Identifier: MIT
// A machine whose CPU runs on a kernel page table, and on it one page table to be tested: either
// that same table, or another that no CPU uses; reached through one of the accesses.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "quire/base/late.hpp"
#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "sim/mapped_machine.hpp"

namespace quire::paging_test {

inline constexpr X86Features all_features{true, true, true};
inline constexpr Attributes data{read_write, MemoryType::write_back};

inline Page page_at(uint64_t address) {
    return page_of(VirtualAddress(static_cast<uintptr_t>(address)));
}
inline PageRange pages_at(uint64_t address, uintptr_t count) {
    return PageRange(page_at(address), PageCount(count));
}
inline VirtualAddress at(uint64_t address) {
    return VirtualAddress(static_cast<uintptr_t>(address));
}

// RAM, a CPU with every feature, and a supply of frames that can be made to run out.
class Machine {
  public:
    static constexpr uint64_t ram_bytes = uint64_t{64} << 20;
    static constexpr uint64_t ram_frames = ram_bytes / page_size;

    Machine() {
        sim::Control control = machine.control();
        control.pat = x86_page_attribute_table;
        control.large_pages = control.global_pages = control.write_protect = true;
        machine.set_control(control);
    }

    // An access to all of RAM that needs no CPU: the tests' own view.
    DirectMap host_access() const {
        return DirectMap(FrameRange(Frame(0), FrameCount(ram_frames)), VirtualAddress(0),
                         ram.physical_view());
    }
    // What the MMU says about an address in a page table, used or not.
    sim::Walk look(Frame root, uint64_t address,
                   sim::AccessKind kind = sim::AccessKind::read) const {
        sim::Control control = machine.control();
        control.paging = true;
        control.cr3 = address_of(root).value();
        return sim::X86Mmu32().walk(ram, control, {address, kind, sim::Privilege::supervisor},
                                    sim::Effect::looks, nullptr);
    }
    uint32_t* table(Frame frame) const { return ram.as<uint32_t>(address_of(frame).value()); }

    sim::Ram ram{ram_bytes};
    sim::MappedMachine machine{ram};
    // Scattered, above what the PC's firmware keeps, below what the tests map.
    sim::FramePool pool{ram,
                        FrameRange(Frame(0x400), FrameCount(0x1000)),
                        {sim::FreedFrames::filled_with_junk, true, 7}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    SingleCpuInvalidator<sim::MappedMachine::LocalTlb> tlb{machine.tlb()};
};

using Tlb = sim::MappedMachine::LocalTlb;
using HostTable = FormatPageTable<X86_32, DirectMap>;

// How each access is prepared in the kernel's table while no CPU uses that, and then made.
struct ThroughDirectMap {
    using Access = DirectMap;
    static constexpr bool needs_cpu = true;
    static constexpr uint64_t base = 0xc0000000;
    void prepare(HostTable& kernel, Machine&) {
        const PageRange pages = pages_at(base, Machine::ram_frames);
        ASSERT_TRUE(kernel.map(pages, Frame(0), data).ok());
    }
    void make(Late<Access>& access, Machine& m) {
        access.make(FrameRange(Frame(0), FrameCount(Machine::ram_frames)), at(base),
                    m.machine.view());
    }
};
struct ThroughRecursiveSlot {
    using Access = RecursiveSlot<X86_32, Tlb>;
    static constexpr bool needs_cpu = true;
    static constexpr RecursiveSlots slots{1023, 1022, 1021};
    void prepare(HostTable& kernel, Machine&) { ASSERT_TRUE(kernel.link_self(slots.self).ok()); }
    void make(Late<Access>& access, Machine& m) {
        access.make(slots, m.machine.tlb(), m.machine.view(), X86_32(all_features));
    }
};
struct ThroughWindow {
    using Access = Window<X86_32, Tlb>;
    static constexpr bool needs_cpu = true;
    static constexpr uint64_t base = 0xff000000;
    WindowPlace place;
    void prepare(HostTable& kernel, Machine&) {
        const auto installed = install_window(kernel, pages_at(base, 1 + Access::least_pages));
        ASSERT_TRUE(installed.ok());
        place = *installed;
    }
    void make(Late<Access>& access, Machine& m) {
        access.make(place, m.machine.tlb(), m.machine.view(), X86_32(all_features));
    }
};
// No CPU at all: tables edited through an alias of RAM.
struct ThroughHost {
    using Access = DirectMap;
    static constexpr bool needs_cpu = false;
    void prepare(HostTable&, Machine&) {}
    void make(Late<Access>& access, Machine& m) { access.make(m.host_access()); }
};

enum class Use { active, inactive };

template <class How, Use use>
struct Way {
    using Through = How;
    static constexpr Use table_use = use;
};

using AllWays =
    testing::Types<Way<ThroughDirectMap, Use::active>, Way<ThroughDirectMap, Use::inactive>,
                   Way<ThroughRecursiveSlot, Use::active>, Way<ThroughRecursiveSlot, Use::inactive>,
                   Way<ThroughWindow, Use::active>, Way<ThroughWindow, Use::inactive>,
                   Way<ThroughHost, Use::inactive>>;

struct WayNames {
    template <class W>
    static std::string GetName(int) {
        const char* how = std::is_same_v<typename W::Through, ThroughDirectMap>       ? "DirectMap"
                          : std::is_same_v<typename W::Through, ThroughRecursiveSlot> ? "Recursive"
                          : std::is_same_v<typename W::Through, ThroughWindow>        ? "Window"
                                                                                      : "Host";
        return std::string(how) + (W::table_use == Use::active ? "Active" : "Inactive");
    }
};

// Tests map in [area, area_end), where the kernel's table has nothing, and frames from
// `free_frame` on, which belong to nobody.
inline constexpr uint64_t area = 0x40000000;
inline constexpr uint64_t area_end = 0xa0000000;
inline constexpr Frame free_frame{0x2000};  // a multiple of 1024

template <class W>
class PagingTest : public testing::Test {
  protected:
    using Through = typename W::Through;
    using Access = typename Through::Access;
    using Table = FormatPageTable<X86_32, Access>;
    static constexpr bool is_active = W::table_use == Use::active;

    void SetUp() override {
        kernel_.make(host_access_, X86_32(all_features));
        ASSERT_TRUE(kernel_->create(m.frames).ok());
        through_.prepare(*kernel_, m);
        through_.make(access_, m);
        if (Through::needs_cpu) m.machine.enable_paging(kernel_->root());
        table_.make(*access_, X86_32(all_features));
        if (is_active) {
            ASSERT_TRUE(table_->adopt(kernel_->root(), m.frames).ok());
        } else {
            ASSERT_TRUE(table_->create(m.frames).ok());
        }
        tables_before_ = table().table_frames();
    }
    void TearDown() override { EXPECT_TRUE(table().validate().ok()); }

    Table& table() { return *table_; }
    Access& access() { return *access_; }

    // Operations that must succeed; their flush is done at once.
    void map(const PageRange& pages, Frame first, const Attributes& attributes = data) {
        auto mapped = table().map(pages, first, attributes);
        ASSERT_TRUE(mapped.ok()) << to_string(mapped.error());
        EXPECT_TRUE(mapped->empty());
    }
    void unmap(const PageRange& pages, UnmappedFrames frames = UnmappedFrames::keep,
               Holes holes = Holes::refuse) {
        auto unmapped = table().unmap(pages, frames, holes);
        ASSERT_TRUE(unmapped.ok()) << to_string(unmapped.error());
        unmapped->spend(m.tlb);
    }
    void protect(const PageRange& pages, Protection protection, Holes holes = Holes::refuse) {
        auto changed = table().protect(pages, protection, holes);
        ASSERT_TRUE(changed.ok()) << to_string(changed.error());
        changed->spend(m.tlb);
    }
    Translation query(uint64_t address) {
        const auto found = table().query(at(address));
        EXPECT_TRUE(found.ok());
        return found.ok() ? *found : Translation{};
    }
    // What the MMU says about the tested table.
    std::optional<sim::Translation> look(uint64_t address) {
        return m.look(table().root(), address).translation;
    }
    // The frame behind an address, as library and MMU agree; nothing when both say so.
    std::optional<uint64_t> frame_behind(uint64_t address) {
        const Translation found = query(address);
        const auto seen = look(address);
        EXPECT_EQ(found.state == EntryState::present, seen.has_value()) << std::hex << address;
        if (found.state != EntryState::present || !seen) return std::nullopt;
        EXPECT_EQ(found.physical(at(address)).value(), seen->physical(address));
        EXPECT_EQ(has(found.attributes.protection, Protection::write), seen->writable);
        EXPECT_EQ(has(found.attributes.protection, Protection::user), seen->user);
        EXPECT_EQ(has(found.attributes.protection, Protection::global), seen->global);
        EXPECT_EQ(found.pages.count().value() * page_size, seen->bytes());
        return seen->physical(address) / page_size;
    }

    // Everything the table says about the area, bit by bit but for accessed and dirty: root
    // entries, and the entries of leaf tables.
    using Dump = std::map<uint64_t, uint32_t>;
    Dump dump() {
        Dump all;
        const uint32_t* const root = m.table(table().root());
        for (unsigned i = area >> 22; i < area_end >> 22; ++i) {
            if (root[i] == 0) continue;
            all[uint64_t{i} << 32] = root[i] & ~0x60u;
            const bool leads_to_table = (root[i] & 0x81) == 1;
            const bool holds_table = (root[i] & 7) == 6;
            if (!leads_to_table && !holds_table) continue;
            const Frame leaf(leads_to_table ? root[i] >> 12 : root[i] >> 3);
            for (unsigned j = 0; j < 1024; ++j)
                all[(uint64_t{i} << 32) | (j + 1)] = m.table(leaf)[j] & ~0x60u;
        }
        return all;
    }
    uint32_t root_entry(uint64_t address) { return m.table(table().root())[address >> 22]; }
    uint32_t& leaf_entry(uint64_t address) {
        return m.table(Frame(root_entry(address) >> 12))[(address >> 12) & 0x3ff];
    }

    Machine m;
    DirectMap host_access_ = m.host_access();
    Late<HostTable> kernel_;
    Through through_;
    Late<Access> access_;
    Late<Table> table_;
    FrameCount tables_before_;
};

}  // namespace quire::paging_test
