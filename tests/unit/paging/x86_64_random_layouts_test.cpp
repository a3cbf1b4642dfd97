// SPDX-License-Identifier: MIT
// The 64-bit format and the simulator's MMU read a million random layouts alike: what is mapped
// where and how, what is not, and what no CPU would accept.
#include <random>

#include "unit/paging/long_mode_fixture.hpp"

namespace quire::long_mode_test {
namespace {

constexpr int layouts = 62500;  // of each of 16 kinds of CPU

// Random entries on the way to one address.
class Layouts {
  public:
    explicit Layouts(unsigned features)
        : cpu{(features & 1) != 0, (features & 2) != 0, (features & 4) != 0, (features & 8) != 0,
              36 + features},
          random_(features) {}

    // Tables are at frames 1 (level 0) to 5.
    void make(LongMachine& m, Frame root) {
        address = random_();
        const unsigned sign = cpu.five_levels ? 56 : 47;
        const uint64_t above = ~uint64_t{0} << sign;
        address = is_high() ? address | above : address & ~above;
        const unsigned root_level = cpu.five_levels ? 4 : 3;
        for (unsigned level = 0; level <= root_level; ++level) {
            uint64_t* const table = m.table(level == root_level ? root : Frame(level + 1));
            places[level] = &table[address >> (12 + 9 * level) & 511];
            *places[level] = entry(level);
        }
    }
    void clear() {
        for (uint64_t*& place : places) {
            if (place != nullptr) *place = 0;
            place = nullptr;
        }
    }
    bool is_high() const { return (address & 1) != 0; }

    X86_64Features cpu;
    uint64_t address = 0;
    uint64_t* places[5] = {};

  private:
    uint64_t entry(unsigned level) {
        const uint64_t noise = random_();
        const unsigned choice = random_() % 32;
        // A page of random rights and type, now and then with a bit that is reserved somewhere.
        uint64_t page = (noise & 0x80000003fffff1ff) | 1;
        if (level > 0) page &= ~(((uint64_t{1} << (12 + 9 * level)) - 1) & ~uint64_t{0x1fff});
        if (choice % 4 == 1) page ^= uint64_t{1} << random_() % 64;
        if (level > 0) page |= 0x80;
        if (level == 0) return choice == 0 ? noise & ~uint64_t{1} : page;
        if (choice < 2) return noise & ~uint64_t{1};
        if (choice < 8) return page;
        // A table, with whatever the CPU ignores or sets in its entry.
        uint64_t table = 7 | level << 12 | (noise & 0x7ff0000000000f60);
        // Not XD where it means something: the library leaves rights to the leaves.
        const unsigned bits = (cpu.no_execute ? 63 : 64) - cpu.physical_bits;
        if (choice == 8) table ^= 0x80;
        if (choice == 9) table ^= uint64_t{1} << (cpu.physical_bits + random_() % bits);
        return table;
    }

    std::mt19937_64 random_;
};

// SDM vol. 3A, table 12-10, and what x86_page_attribute_table makes of MemoryType.
sim::MemoryType encoded(MemoryType type) {
    switch (type) {
        case MemoryType::write_back:
            return sim::MemoryType::write_back;
        case MemoryType::write_through:
            return sim::MemoryType::write_through;
        case MemoryType::write_combining:
            return sim::MemoryType::write_combining;
        case MemoryType::uncached:
            return sim::MemoryType::uncached_minus;
        case MemoryType::device:
            return sim::MemoryType::uncached;
    }
    return sim::MemoryType::write_protected;
}

TEST(X86_64RandomLayoutsTest, LibraryAndMmuReadThemAlike) {
    uint64_t mapped[3] = {};
    uint64_t unmapped = 0;
    uint64_t refused = 0;
    for (unsigned features = 0; features < 16; ++features) {
        Layouts layout(features);
        LongMachine m(layout.cpu.five_levels);
        m.control.no_execute = layout.cpu.no_execute;
        m.control.global_pages = layout.cpu.global_pages;
        const sim::X86Mmu64 mmu({layout.cpu.gigabyte_pages, layout.cpu.physical_bits});
        DirectMap host(FrameRange(Frame(0), FrameCount(LongMachine::ram_bytes / page_size)),
                       VirtualAddress(0), m.ram.physical_view());
        const X86_64 format(layout.cpu);
        HostTable lower(host, format);
        HostTable upper(host, X86_64(layout.cpu, AddressHalf::high));
        ASSERT_TRUE(lower.create(m.frames).ok());
        ASSERT_TRUE(upper.adopt(lower.root(), m.frames).ok());
        m.control.cr3 = address_of(lower.root()).value();
        for (int i = 0; i < layouts; ++i) {
            layout.make(m, lower.root());
            const sim::Walk walk =
                mmu.walk(m.ram, m.control, {layout.address}, sim::Effect::looks, nullptr);
            // Down to what decides, as the library sees it.
            unsigned level = format.root_level();
            bool well_formed = format.is_well_formed(level, *layout.places[level]);
            while (well_formed && format.kind(level, *layout.places[level]) == EntryKind::table) {
                --level;
                // Absent entries of no known kind are none of the CPU's business.
                well_formed = (*layout.places[level] & 1) == 0 ||
                              format.is_well_formed(level, *layout.places[level]);
            }
            SCOPED_TRACE(testing::Message() << features << ' ' << std::hex << layout.address << ' '
                                            << *layout.places[level]);
            const bool present = (*layout.places[level] & 1) != 0;
            if (present && !well_formed) {
                ASSERT_FALSE(walk.translation.has_value());
                ASSERT_TRUE(walk.fault.reserved())
                    << to_string(walk.fault) << mmu.describe(m.ram, m.control, layout.address);
                ++refused;
                layout.clear();
                continue;
            }
            const HostTable& table = layout.is_high() ? upper : lower;
            const auto found = table.query(VirtualAddress(layout.address));
            ASSERT_TRUE(found.ok());
            ASSERT_EQ(found->state == EntryState::present, present);
            ASSERT_EQ(walk.translation.has_value(), present) << to_string(walk.fault);
            layout.clear();
            if (!present) {
                ASSERT_FALSE(walk.fault.present());
                ++unmapped;
                continue;
            }
            ++mapped[level];
            const sim::Translation& seen = *walk.translation;
            const Protection protection = found->attributes.protection;
            ASSERT_EQ(found->physical(VirtualAddress(layout.address)).value(),
                      seen.physical(layout.address));
            ASSERT_EQ(bytes_of(found->pages.count()).value(), seen.bytes());
            ASSERT_EQ(has(protection, Protection::write), seen.writable);
            ASSERT_EQ(has(protection, Protection::user), seen.user);
            ASSERT_EQ(has(protection, Protection::execute), seen.executable);
            ASSERT_EQ(has(protection, Protection::global), seen.global);
            ASSERT_EQ(encoded(found->attributes.type), seen.type);
            ASSERT_EQ(found->dirty, seen.dirty);
        }
    }
    // All outcomes are met, often.
    for (const uint64_t count : {mapped[0], mapped[1], mapped[2], unmapped, refused})
        EXPECT_GT(count, 20000u);
}

}  // namespace
}  // namespace quire::long_mode_test
