// SPDX-License-Identifier: MIT
// The formats and accesses that PagingTest has its page tables of.
#pragma once

#include <stdexcept>
#include <type_traits>

#include "quire/base/late.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/page_cursor.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {

inline constexpr X86Features all_features{true, true, true};

struct Bits32 {
    using Format = X86_32;
    static constexpr Mode mode{Mode::Kind::x86_32, "X86_32", 1, 10, 4, 0xfffff000, 0, false, 0, 0,
                               0xffffffff};
    static Format format() { return X86_32(all_features); }
};
struct Pae {
    using Format = X86Pae;
    static constexpr Mode mode{Mode::Kind::pae, "Pae", 2, 9, 8, 0x000ffffffffff000, 4, true, 0, 0,
                               0xffffffff};
    static Format format() { return X86Pae({true, true, true, 46}); }
};
// Tests have the given entry of the root for themselves; a recursive slot takes the three before,
// so that it lies in the longer run of what is left.
template <bool five_levels, AddressHalf half, unsigned root_entry>
struct Bits64 {
    using Format = X86_64;
    static constexpr unsigned root_shift = five_levels ? 48 : 39;
    static constexpr uint64_t sign =
        half == AddressHalf::high ? ~uint64_t{0} << (root_shift + 8) : 0;
    static constexpr Mode mode{Mode::Kind::x86_64,
                               five_levels ? "X86_64L5" : "X86_64L4",
                               five_levels ? 4U : 3U,
                               9,
                               8,
                               0x000ffffffffff000,
                               0,
                               true,
                               sign | uint64_t{root_entry} << root_shift,
                               sign,
                               sign | ((uint64_t{1} << (root_shift + 8)) - 1)};
    static Format format() { return X86_64({five_levels, true, true, true, 46}, half); }
};
using Low4 = Bits64<false, AddressHalf::low, 104>;
using High4 = Bits64<false, AddressHalf::high, 256 + 104>;
using Low5 = Bits64<true, AddressHalf::low, 104>;
using High5 = Bits64<true, AddressHalf::high, 256 + 104>;
using Last5 = Bits64<true, AddressHalf::high, 511>;

// One host address for what does not fit where the others lie; one machine at a time uses it.
inline constexpr uintptr_t far_away = 0x3000'0000'0000;

using Tlb = sim::MappedMachine::LocalTlb;

// How each access is prepared in the kernel's table while no CPU uses that, and then made.
struct ThroughDirectMap {
    static constexpr Reach reach = Reach::direct_map;
    static constexpr bool shows_others = true;
    static constexpr bool needs_cpu = true;
    static constexpr uint64_t base = 0xc0000000;
    static Shown shown(const Mode& mode) { return {mode.top, uint64_t{1} << 32, 0}; }
    template <class Kernel>
    void prepare(Kernel& kernel, Machine& m, const Mode& mode) {
        const PageRange pages = pages_at(mode.top + base, Machine::ram_frames);
        ASSERT_TRUE(kernel.map(pages, Frame(0), data).ok());
        access.make(FrameRange(Frame(0), FrameCount(Machine::ram_frames)), at(mode.top + base),
                    m.machine.view());
    }
    Late<DirectMap> access;
};
// No CPU at all: tables edited through an alias of RAM.
struct ThroughHost {
    static constexpr Reach reach = Reach::host;
    static constexpr bool shows_others = true;
    static constexpr bool needs_cpu = false;
    static Shown shown(const Mode& mode) { return {mode.top, uint64_t{1} << 32, 0}; }
    template <class Kernel>
    void prepare(Kernel&, Machine& m, const Mode&) {
        access.make(m.host_access());
    }
    Late<DirectMap> access;
};
template <class Format>
struct ThroughWindow {
    static constexpr Reach reach = Reach::window;
    static constexpr bool shows_others = true;
    using Access = Window<Format, Tlb>;
    static constexpr bool needs_cpu = true;
    static constexpr uint64_t base = 0xff000000;
    static Shown shown(const Mode& mode) { return {mode.top, uint64_t{1} << 32, 0}; }
    template <class Kernel>
    void prepare(Kernel& kernel, Machine& m, const Mode& mode) {
        const auto installed =
            install_window(kernel, pages_at(mode.top + base, 1 + Access::least_pages));
        ASSERT_TRUE(installed.ok());
        access.make(*installed, m.machine.tlb(), m.machine.view(), kernel.format());
    }
    Late<Access> access;
};
// `Slots` has the slots and what the process must be shown of the addresses at which tables appear.
template <class Format, class Slots>
struct ThroughRecursiveSlot {
    static constexpr Reach reach = Reach::recursive_slot;
    static constexpr bool shows_others = Slots::shows_others;
    using Access = RecursiveSlot<Format, Tlb>;
    static constexpr bool needs_cpu = true;
    static constexpr RecursiveSlots slots = Slots::slots;
    static Shown shown(const Mode&) { return Slots::shown; }
    template <class Kernel>
    void prepare(Kernel& kernel, Machine& m, const Mode&) {
        ASSERT_TRUE(kernel.link_self(slots.self).ok());
        access.make(slots, m.machine.tlb(), m.machine.view(), kernel.format());
    }
    Late<Access> access;
};
struct Slots32 {
    static constexpr RecursiveSlots slots{1023, 1022, 1021};
    static constexpr bool shows_others = true;
    static constexpr Shown shown{};
};
// Before the tests' entry of the root. With 4 levels all of them are shown. With 5, a slot has more
// addresses than a process: the tables of the active root are shown, and those of others are not.
template <class Bits>
struct SlotsBefore {
    static constexpr unsigned self = (Bits::mode.top >> Bits::root_shift & 511) - 1;
    static constexpr RecursiveSlots slots{self, self - 1, self - 2};
    static constexpr bool shows_others = Bits::mode.root_level == 3;
    static constexpr uint64_t self_at = Bits::sign | uint64_t{self} << Bits::root_shift;
    static constexpr uint64_t slot_bytes = uint64_t{1} << 39;
    static constexpr Shown shown =
        shows_others ? Shown{self_at - slot_bytes, 3 * slot_bytes, far_away}
                     : Shown{self_at + self * slot_bytes, 2 * slot_bytes, far_away};
};
// With 5 levels the tables of another root, seen through the slot before, end where those of the
// active one begin: if its tests are at the last entry, and the slot is near the first.
struct SlotsInARow {
    static constexpr RecursiveSlots slots{1, 0, 2};
    static constexpr bool shows_others = true;
    static constexpr uint64_t slot_bytes = uint64_t{1} << 39;
    static constexpr Shown shown{511 * slot_bytes, 3 * slot_bytes, far_away};
};

template <class Format, class Access>
class CursorOf final : public AnyCursor {
  public:
    CursorOf(FormatPageTable<Format, Access>& table, Page first) : cursor_(table, first) {}
    Page at() override { return cursor_.at(); }
    void seek(Page page) override { cursor_.seek(page); }
    void close() override { cursor_.close(); }
    UnmapInvalidation finish() override { return cursor_.finish(); }
    Status map(Frame frame, const Attributes& attributes) override {
        return cursor_.map(frame, attributes);
    }
    Result<Frame> unmap() override { return cursor_.unmap(); }
    Status protect(Protection protection) override { return cursor_.protect(protection); }
    Result<PhysicalAddress> translate() override { return cursor_.translate(); }

  private:
    PageCursor<Format, Access> cursor_;
};
template <class Format, class Access>
std::unique_ptr<AnyCursor> cursor_of(FormatPageTable<Format, Access>& table, Page first) {
    return std::make_unique<CursorOf<Format, Access>>(table, first);
}

template <class Bits, class Table>
class TableOf final : public AnyTable {
  public:
    template <class Access>
    explicit TableOf(Access& access) : table_(access, Bits::format()) {}
    PageTable& face() override { return table_; }
    Status create(FrameSource source) override { return table_.create(source); }
    Status adopt(Frame root, FrameSource source) override { return table_.adopt(root, source); }
    Status destroy() override { return table_.destroy(); }
    std::unique_ptr<AnyCursor> cursor(Page first) override { return cursor_of(table_, first); }
    Table& typed() { return table_; }

  private:
    Table table_;
};

// `KernelBits` are those of the table that the CPU runs on, where the tested one lies elsewhere.
template <class Bits, class Through, Use use, class KernelBits = Bits>
class WorldOf final : public World {
  public:
    using Format = typename Bits::Format;
    using HostTable = FormatPageTable<Format, DirectMap>;
    using Access = std::remove_cvref_t<decltype(*std::declval<Through&>().access)>;
    using Table = FormatPageTable<Format, Access>;

    WorldOf() : World(Bits::mode, Through::shown(Bits::mode)) {
        if (use == Use::active) m.pool.keep_table_words();
        must(kernel_.create(m.frames));
        through_.prepare(kernel_, m, Bits::mode);
        if (Through::needs_cpu) m.machine.enable_paging(kernel_.root());
        tested_.make(access());
        if (use == Use::active) {
            must(table().adopt(kernel_.root(), m.frames));
        } else {
            must(table().create(m.frames));
        }
        // So that there are tables of all levels but the lowest where the tests are.
        if (Bits::mode.root_level > 2) {
            must(table().map(pages_at(Bits::mode.top + 0x7ffff000, 1), Frame(1), data));
        }
    }

    AnyTable& tested() override { return *tested_; }
    std::unique_ptr<AnyTable> another() override {
        if (!Through::shows_others) return nullptr;
        return std::make_unique<TableOf<Bits, Table>>(access());
    }
    bool keeps(uint64_t address) override {
        const unsigned index_bits = Bits::mode.index_bits;
        const uint64_t index = address >> (page_shift + Bits::mode.root_level * index_bits);
        return access().keeps(static_cast<unsigned>(index & ((1U << index_bits) - 1)));
    }

    Access& access() { return *through_.access; }
    Table& table() { return tested_->typed(); }
    HostTable& kernel() { return kernel_; }

  private:
    template <class Done>
    static void must(const Done& done) {
        if (!done.ok()) throw std::runtime_error(to_string(done.error()));
    }

    DirectMap host_access_ = m.host_access();
    HostTable kernel_{host_access_, KernelBits::format()};
    Through through_;
    Late<TableOf<Bits, Table>> tested_;
};

// For what only some formats and accesses have.
template <class Bits, class Through, Use use>
class PagingTestOf : public PagingTest {
  protected:
    using World = WorldOf<Bits, Through, use>;
    using Access = typename World::Access;
    using Table = typename World::Table;
    using HostTable = typename World::HostTable;

    PagingTestOf() : PagingTest(std::make_unique<World>()) {}
    World& world() { return static_cast<World&>(*world_); }
    Table& table() { return world().table(); }
    Access& access() { return world().access(); }
    HostTable& kernel() { return world().kernel(); }
};

template <class Bits, class Through, Use use, class KernelBits = Bits>
Way way() {
    const char* const how = Through::reach == Reach::direct_map       ? "DirectMap"
                            : Through::reach == Reach::recursive_slot ? "Recursive"
                            : Through::reach == Reach::window         ? "Window"
                                                                      : "Host";
    const char* const half = Bits::mode.kind != Mode::Kind::x86_64 ? ""
                             : Bits::mode.lowest == 0              ? "Low"
                                                                   : "High";
    return {
        std::string(Bits::mode.name) + half + how + (use == Use::active ? "Active" : "Inactive"),
        Bits::mode.kind, Through::reach, use, []() -> std::unique_ptr<World> {
            return std::make_unique<WorldOf<Bits, Through, use, KernelBits>>();
        }};
}

}  // namespace quire::paging_test
