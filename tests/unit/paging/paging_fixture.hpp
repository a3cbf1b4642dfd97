// SPDX-License-Identifier: MIT
// A machine whose CPU runs on a kernel page table, and on it one page table to be tested: either
// that same table, or another that no CPU uses; of any format, reached through any access that goes
// with it. The same cases run on all of them, and are compiled once.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "quire/paging/direct_map.hpp"
#include "quire/paging/page_table.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "sim/mapped_machine.hpp"

namespace quire::paging_test {

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

// A paging mode, as the manual describes it (Intel SDM vol. 3A, 4.3 to 4.5); the CPU has all
// features.
struct Mode {
    enum class Kind { x86_32, pae, x86_64 } kind;
    const char* name;
    unsigned root_level;  // levels above that of the single pages
    unsigned index_bits;  // of an address that choose an entry of a table
    unsigned entry_bytes;
    uint64_t table_mask;    // bits of an entry that are the address of a table
    unsigned fixed_tables;  // that a root always leads to
    bool can_deny_execute;
    // Where the tests' 4 GiB of addresses begin, and the format's addresses.
    uint64_t top;
    uint64_t lowest, highest;
};

// Virtual addresses that the process can use as well: all of 32 bits, or where the library finds
// tables and the tests' pages.
struct Shown {
    uint64_t first = 0;
    uint64_t bytes = uint64_t{1} << 32;
    uintptr_t host_address = 0;
};

// RAM, a CPU with every feature, and a supply of frames that can be made to run out. It keeps words
// for tables where the tested table is active: so with either use, tables of every format and
// access are freed by their count, and by a look into them.
class Machine {
  public:
    static constexpr uint64_t ram_bytes = uint64_t{64} << 20;
    static constexpr uint64_t ram_frames = ram_bytes / page_size;

    Machine(const Mode& mode, const Shown& shown);

    // An access to all of RAM that needs no CPU: the tests' own view.
    DirectMap host_access() const {
        return DirectMap(FrameRange(Frame(0), FrameCount(ram_frames)), VirtualAddress(0),
                         ram.physical_view());
    }
    // What the MMU says about an address in a page table, used or not.
    sim::Walk look(Frame root, uint64_t address,
                   sim::AccessKind kind = sim::AccessKind::read) const;
    uint32_t* words(Frame frame) const { return ram.as<uint32_t>(address_of(frame).value()); }

    const std::shared_ptr<const sim::Mmu> mmu;
    sim::Ram ram{ram_bytes};
    sim::MappedMachine machine;
    // Scattered, above what the PC's firmware keeps, below what the tests map.
    sim::FramePool pool{ram,
                        FrameRange(Frame(0x400), FrameCount(0x1000)),
                        {sim::FreedFrames::filled_with_junk, true, 7}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    SingleCpuInvalidator<sim::MappedMachine::LocalTlb> tlb{machine.tlb()};
};

// A PageCursor of any page table.
class AnyCursor {
  public:
    virtual ~AnyCursor() = default;
    virtual Page at() = 0;
    virtual void seek(Page page) = 0;
    virtual void close() = 0;
    virtual UnmapInvalidation finish() = 0;
    virtual Status map(Frame frame, const Attributes& attributes) = 0;
    virtual Result<Frame> unmap() = 0;
    virtual Status protect(Protection protection) = 0;
    virtual Result<PhysicalAddress> translate() = 0;
};

// A page table with what PageTable leaves to the formats' own.
class AnyTable {
  public:
    virtual ~AnyTable() = default;
    virtual PageTable& face() = 0;
    virtual Status create(FrameSource source) = 0;
    virtual Status adopt(Frame root, FrameSource source) = 0;
    virtual Status destroy() = 0;
    virtual std::unique_ptr<AnyCursor> cursor(Page first) = 0;
    PageTable* operator->() { return &face(); }
};

// The machine, its access, and the table to be tested.
class World {
  public:
    World(const Mode& mode_, const Shown& shown) : mode(mode_), m(mode_, shown) {}
    virtual ~World() = default;
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    virtual AnyTable& tested() = 0;
    // A further table through the same access, not yet created; null where that needs addresses
    // which the process does not have.
    virtual std::unique_ptr<AnyTable> another() = 0;
    // Whether the access keeps the root entry that decides about an address.
    virtual bool keeps(uint64_t address) = 0;

    const Mode mode;
    Machine m;
};

enum class Use { active, inactive };
enum class Reach { direct_map, recursive_slot, window, host };

struct Way {
    std::string name;
    Mode::Kind kind;
    Reach reach;
    Use use;
    std::unique_ptr<World> (*make)();
};
inline void PrintTo(const Way& way, std::ostream* to) {
    *to << way.name;
}
std::vector<Way> ways_of_32_bits();
std::vector<Way> ways_of_64_bits();
std::vector<Way> all_ways();
// Those of a table that the CPU runs on.
std::vector<Way> active_ways();
inline std::string name_of(const testing::TestParamInfo<Way>& info) {
    return info.param.name;
}

// An entry of a table, 4 or 8 bytes wide.
class EntryPlace {
  public:
    EntryPlace(void* at, unsigned bytes) : at_(at), bytes_(bytes) {}
    operator uint64_t() const {
        return bytes_ == 4 ? *static_cast<uint32_t*>(at_) : *static_cast<uint64_t*>(at_);
    }
    const EntryPlace& operator=(uint64_t value) const {
        if (bytes_ == 4) *static_cast<uint32_t*>(at_) = static_cast<uint32_t>(value);
        if (bytes_ == 8) *static_cast<uint64_t*>(at_) = value;
        return *this;
    }
    const EntryPlace& operator|=(uint64_t bits) const { return *this = *this | bits; }

  private:
    void* at_;
    unsigned bytes_;
};

class PagingTest : public testing::Test {
  protected:
    explicit PagingTest(std::unique_ptr<World> world) : world_(std::move(world)) {}
    void TearDown() override { EXPECT_TRUE(table().validate().ok()); }

    PageTable& table() { return world_->tested().face(); }
    AnyTable& tested() { return world_->tested(); }
    std::unique_ptr<AnyTable> another_table() { return world_->another(); }
    bool access_keeps(uint64_t address) { return world_->keeps(address); }

    // Operations that must succeed; their flush is done at once.
    void map(const PageRange& pages, Frame first, const Attributes& attributes = data);
    void unmap(const PageRange& pages, UnmappedFrames frames = UnmappedFrames::keep,
               Holes holes = Holes::refuse);
    void protect(const PageRange& pages, Protection protection, Holes holes = Holes::refuse);
    Translation query(uint64_t address);
    // What the MMU says about the tested table.
    std::optional<sim::Translation> look(uint64_t address) {
        return m.look(table().root(), address).translation;
    }
    // The frame behind an address, as library and MMU agree in all that both say; nothing when both
    // say so.
    std::optional<uint64_t> frame_behind(uint64_t address);
    // What is granted to who asks for it.
    Protection granted(Protection asked) const {
        return mode.can_deny_execute ? asked : asked | Protection::execute;
    }

    // Everything the table says about the area, bit by bit but for accessed and dirty: by address,
    // what stands in tables of level 1, and, with 1 added, in those of level 0.
    using Dump = std::map<uint64_t, uint64_t>;
    Dump dump();
    // The entry of a table of that level, on the way from a root; which must lead there.
    EntryPlace entry(Frame root, unsigned level, uint64_t address) const;
    EntryPlace entry(unsigned level, uint64_t address) {
        return entry(table().root(), level, address);
    }
    EntryPlace leaf_entry(uint64_t address) { return entry(0, address); }
    EntryPlace leaf_entry_in(Frame leaf, unsigned index) const {
        return {m.words(leaf) + index * (mode.entry_bytes / 4), mode.entry_bytes};
    }
    EntryPlace large_entry(uint64_t address) { return entry(1, address); }
    Frame table_in(uint64_t entry) const { return Frame((entry & mode.table_mask) >> page_shift); }
    // A page next to the format's, if that does not use all numbers; and two that it and the next
    // are.
    Page page_outside() const;
    PageRange pages_across() const;

    const std::unique_ptr<World> world_;
    Machine& m = world_->m;
    const Mode& mode = world_->mode;
    const FrameCount tables_before_ = table().table_frames();

    // Tests map in [area, area_end), where the kernel's table has nothing, and frames from
    // `free_frame` on, which belong to nobody.
    const uint64_t area = mode.top + 0x50000000;
    const uint64_t area_end = mode.top + 0x70000000;
    static constexpr Frame free_frame{0x2000};  // a multiple of 1024
    // A large page: how many single pages, and how many bytes.
    const uintptr_t large_pages = uintptr_t{1} << mode.index_bits;
    const uint64_t large = large_pages * page_size;
    // Frames that no entry can name begin here.
    const Frame beyond_frames = table().highest_frame() + FrameCount(1);
};

// Why a test does not run where there is no `another_table`.
inline constexpr const char* no_room = "a process has no room for where its tables would appear";

class EveryWay : public PagingTest, public testing::WithParamInterface<Way> {
  protected:
    EveryWay() : PagingTest(GetParam().make()) {}
    bool is_active() const { return GetParam().use == Use::active; }
};

}  // namespace quire::paging_test
