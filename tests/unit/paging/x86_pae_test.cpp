// SPDX-License-Identifier: MIT
// The PAE format, every combination, against a table of expected bits written from the manual.
#include "quire/paging/x86_pae.hpp"

#include <gtest/gtest.h>

#include "sim/x86_mmu_pae.hpp"
#include "support/x86_bits.hpp"

namespace quire::x86_pae_test {
namespace {

using test::execute_disable;
using test::long_leaf_bits;
using test::LongLeafBits;
using test::type_bits;
using test::TypeBits;

constexpr unsigned all = 7;
constexpr X86PaeFeatures feature_set(unsigned bits, unsigned physical_bits = 46) {
    return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, physical_bits};
}

// Calls `use` for all features, levels with leaves, protections and types.
template <class Use>
void for_every_combination(Use use) {
    for (unsigned features = 0; features < 8; ++features) {
        const X86Pae format(feature_set(features));
        for (unsigned level = 0; level < 2; ++level) {
            for (unsigned rights = 0; rights < 32; ++rights) {
                for (const TypeBits& bits : type_bits)
                    use(format, level, static_cast<Protection>(rights), bits);
            }
        }
    }
}
// Whether the manual has a way to say it.
bool expressible(const X86Pae& format, Protection protection, const TypeBits& bits) {
    const bool readable = (static_cast<unsigned>(protection) & 1) != 0;
    return readable && (!bits.pat || format.features().page_attributes);
}
template <class Use>
void for_every_leaf(Use use) {
    for_every_combination(
        [&](const X86Pae& format, unsigned level, Protection protection, const TypeBits& bits) {
            if (expressible(format, protection, bits)) use(format, level, protection, bits);
        });
}
Protection granted(const X86Pae& format, Protection asked) {
    if (!format.features().no_execute) asked = asked | Protection::execute;
    return format.features().global_pages ? asked : without(asked, Protection::global);
}

TEST(X86PaeTest, SaysWhatItCanExpress) {
    for_every_combination(
        [](const X86Pae& format, unsigned, Protection protection, const TypeBits& bits) {
            const Status checked = format.check(Attributes{protection, bits.type});
            ASSERT_EQ(checked.ok(), expressible(format, protection, bits));
            if (checked.ok()) return;
            ASSERT_EQ(checked.error(), Error::unsupported);
        });
    const X86Pae format(feature_set(all));
    EXPECT_TRUE(format.can_map_at(0) && format.can_map_at(1));
    EXPECT_FALSE(format.can_map_at(2));
    EXPECT_EQ(format.root_level(), 2u);
    EXPECT_EQ(bytes_of(format.pages()).first().value(), 0u);
    EXPECT_EQ(bytes_of(format.pages()).last().value(), 0xffffffffu);
    EXPECT_EQ(format.canonical(0xfffff), Page(0xfffff));
    EXPECT_EQ(format.canonical(0x100000), Page(0));
    // SDM table 4-7: CR3 has the table's address in bits 31:5.
    EXPECT_EQ(bytes_of(FrameRange(format.highest_root(), FrameCount(1))).last().value(),
              0xffffffffu);
}

TEST(X86PaeTest, WritesLeavesBitForBit) {
    for_every_leaf([](const X86Pae& format, unsigned level, Protection protection,
                      const TypeBits& bits) {
        const Attributes attributes{protection, bits.type};
        const LongLeafBits& at = long_leaf_bits[level];
        const X86PaeFeatures& cpu = format.features();
        // The first page, the second, one from 4 GiB on, and the last below 2^46.
        for (const uint64_t page :
             {uint64_t{0}, uint64_t{1}, 0x100000 / at.frame_step, 0x3ffffffff / at.frame_step}) {
            const uint64_t number = page * at.frame_step;
            const auto rights = static_cast<unsigned>(protection);
            const uint64_t expected = test::expected_long_leaf(level, number, rights, bits,
                                                               cpu.no_execute, cpu.global_pages);
            const uint64_t entry = format.leaf(level, Frame(number), attributes);
            ASSERT_EQ(entry, expected) << level << ' ' << rights << ' ' << to_string(bits.type);

            ASSERT_EQ(format.kind(level, entry), EntryKind::leaf);
            ASSERT_TRUE(format.is_well_formed(level, entry));
            ASSERT_EQ(format.frame_of(level, entry), Frame(number));
            const Protection given = granted(format, protection);
            ASSERT_EQ(format.attributes_of(level, entry), (Attributes{given, bits.type}));
            ASSERT_EQ(format.is_global(entry), has(given, Protection::global));
            ASSERT_FALSE(format.accessed(entry) || format.dirty(entry));
        }
    });
}

TEST(X86PaeTest, TheMmuReadsWhatItWrites) {
    sim::Ram ram(uint64_t{16} << 20);
    for_every_leaf([&](const X86Pae& format, unsigned level, Protection protection,
                       const TypeBits& bits) {
        const X86PaeFeatures& cpu = format.features();
        sim::Control control;
        control.paging = control.write_protect = true;
        control.pat = x86_page_attribute_table;
        control.cr3 = 0x100000;
        control.no_execute = cpu.no_execute;
        control.global_pages = cpu.global_pages;
        // Of 2 MiB and above 4 GiB.
        const Frame frame(3 * 512 * 512);
        const uint64_t address = 0x80e03000;  // entries 2, 7 and 3
        *ram.as<uint64_t>(0x100000 + 8 * 2) = format.table(2, Frame(0x101));
        uint64_t& entry = *ram.as<uint64_t>(0x101000 + 8 * 7);
        entry = format.table(1, Frame(0x102));
        uint64_t& leaf = level == 1 ? entry : *ram.as<uint64_t>(0x102000 + 8 * 3);
        leaf = format.leaf(level, frame, Attributes{protection, bits.type});
        const sim::X86MmuPae mmu({cpu.page_attributes, 46});
        ASSERT_TRUE(mmu.can_load(ram, control));
        const auto walk = mmu.walk(ram, control, sim::Access{address}, sim::Effect::looks, nullptr);
        ASSERT_TRUE(walk.translation.has_value()) << to_string(walk.fault);
        const auto rights = static_cast<unsigned>(protection);
        ASSERT_EQ(walk.translation->frame, address_of(frame).value());
        ASSERT_EQ(walk.translation->shift, 12 + 9 * level);
        ASSERT_EQ(walk.translation->writable, (rights & 2) != 0);
        ASSERT_EQ(walk.translation->user, (rights & 8) != 0);
        ASSERT_EQ(walk.translation->executable, (rights & 4) != 0 || !cpu.no_execute);
        ASSERT_EQ(walk.translation->global, (rights & 16) != 0 && cpu.global_pages);
        ASSERT_EQ(walk.translation->type, bits.encoded);
    });
}

TEST(X86PaeTest, ChangesProtectionsAlone) {
    for_every_leaf(
        [](const X86Pae& format, unsigned level, Protection protection, const TypeBits& bits) {
            for (const Protection old :
                 {read_only | Protection::user, read_execute, read_write | Protection::global}) {
                for (const uint64_t marks : {0u, 0x20u, 0x60u}) {
                    const Frame frame(long_leaf_bits[level].frame_step * 0x3000);
                    const uint64_t entry = format.leaf(level, frame, {old, bits.type}) | marks;
                    ASSERT_EQ(format.with_protection(entry, protection),
                              format.leaf(level, frame, {protection, bits.type}) | marks);
                }
            }
        });
}

TEST(X86PaeTest, PartsOfALargePageAreItsPages) {
    for_every_leaf(
        [](const X86Pae& format, unsigned level, Protection protection, const TypeBits& bits) {
            if (level == 0) return;
            const Attributes attributes{protection, bits.type};
            const uint64_t first = 512 * 0x3001;
            for (const uint64_t marks : {0u, 0x20u, 0x60u}) {
                const uint64_t large = format.leaf(1, Frame(first), attributes) | marks;
                for (const unsigned index : {0u, 1u, 256u, 511u}) {
                    ASSERT_EQ(format.part(1, large, index),
                              format.leaf(0, Frame(first + index), attributes) | marks);
                }
            }
            const uint64_t payload = format.absent(EntryKind::payload, 123456);
            ASSERT_EQ(format.part(1, payload, 17), payload);
        });
}

// SDM vol. 3A, table 4-8 (PDPTE): P and the address; table 4-10 (PDE of a table): P, R/W, U/S and
// the address.
TEST(X86PaeTest, TableEntriesGrantEverythingAndTheRootsHaveNoRights) {
    for (unsigned features = 0; features < 8; ++features) {
        const X86Pae format(feature_set(features));
        EXPECT_EQ(format.table(1, Frame(0x312345678)), 0x312345678007u);
        EXPECT_EQ(format.table(2, Frame(0x312345678)), 0x312345678001u);
        for (const unsigned level : {1u, 2u}) {
            const uint64_t entry = format.table(level, Frame(0x312345678));
            EXPECT_EQ(format.kind(level, entry), EntryKind::table);
            EXPECT_EQ(format.frame_of(level, entry), Frame(0x312345678));
            EXPECT_TRUE(format.is_well_formed(level, entry));
        }
    }
}

TEST(X86PaeTest, AbsentEntriesKeepTheirKindAndValue) {
    const X86Pae format(feature_set(all));
    for (const unsigned level : {0u, 1u, 2u})
        EXPECT_EQ(format.kind(level, 0), EntryKind::empty);
    for (const EntryKind kind : {EntryKind::payload, EntryKind::parked, EntryKind::detached}) {
        for (unsigned bit = 0; bit < X86Pae::payload_bits; ++bit) {
            const uint64_t value = uint64_t{1} << bit;
            const uint64_t entry = X86Pae::absent(kind, value);
            EXPECT_EQ(entry & 1, 0u);
            EXPECT_EQ(entry >> 3, value);
            for (const unsigned level : {0u, 1u}) {
                EXPECT_EQ(format.kind(level, entry), kind);
                EXPECT_EQ(format.value_of(entry), value);
            }
        }
    }
    EXPECT_TRUE(format.is_well_formed(0, 0x3ffffffffu << 3 | 4));  // the highest frame, parked
    EXPECT_FALSE(format.is_well_formed(0, uint64_t{0x400000000} << 3 | 4));
    EXPECT_FALSE(format.is_well_formed(1, uint64_t{0x400000000} << 3 | 6));
    for (unsigned bit = 3; bit < 64; ++bit)
        EXPECT_FALSE(format.is_well_formed(0, uint64_t{1} << bit));  // of no kind
}

// SDM vol. 3A, 4.4.1 and 4.4.2, the lists of reserved bits; every bit of leaves and tables at every
// level, as the format has it and as the CPU's MMU does.
TEST(X86PaeTest, RefusesReservedBits) {
    sim::Ram ram(uint64_t{16} << 20);
    for (const unsigned physical_bits : {36u, 46u, 52u}) {
        for (unsigned features = 0; features < 8; ++features) {
            const X86Pae format(feature_set(features, physical_bits));
            const bool has_pat = (features & 4) != 0;
            EXPECT_EQ(format.highest_frame().value(), (uint64_t{1} << physical_bits) / 4096 - 1);
            sim::Control control;
            control.paging = true;
            control.cr3 = 0x100000;
            control.no_execute = (features & 1) != 0;
            const sim::X86MmuPae mmu({has_pat, physical_bits});
            for (unsigned bit = 1; bit < 64; ++bit) {
                const uint64_t alone = uint64_t{1} << bit;
                const bool reserved =
                    (bit >= physical_bits && bit < 63) || (bit == 63 && (features & 1) == 0);
                SCOPED_TRACE(testing::Message() << physical_bits << ' ' << features << ' ' << bit);
                // PDPTE
                const bool reserved_in_root =
                    bit >= physical_bits || bit < 3 || (bit > 4 && bit < 9);
                *ram.as<uint64_t>(0x100000) = 0x101001 | alone;
                // Bit 5, which an emulator sets, is not held against the table.
                EXPECT_EQ(format.is_well_formed(2, 0x101001 | alone),
                          !reserved_in_root || bit == 5);
                EXPECT_EQ(mmu.can_load(ram, control), !reserved_in_root);
                *ram.as<uint64_t>(0x100000) = 0x101001;
                const auto cpu_refuses = [&] {
                    return mmu.walk(ram, control, sim::Access{0}, sim::Effect::looks, nullptr)
                        .fault.reserved();
                };
                // Leaves
                for (unsigned level = 0; level < 2; ++level) {
                    const LongLeafBits& at = long_leaf_bits[level];
                    const uint64_t entry = 1 | at.page_size | alone;
                    const bool bad =
                        reserved || (at.reserved & alone) != 0 || (!has_pat && alone == at.pat);
                    EXPECT_EQ(format.is_well_formed(level, entry), !bad) << level;
                    *ram.as<uint64_t>(0x101000) = level == 1 ? entry : 0x102007;
                    *ram.as<uint64_t>(0x102000) = entry;
                    EXPECT_EQ(cpu_refuses(), bad) << level;
                }
                // PDE of a table
                if (bit == 7) continue;
                EXPECT_EQ(format.is_well_formed(1, 7 | alone), !reserved);
                EXPECT_EQ(format.kind(1, 7 | alone), EntryKind::table);
            }
            EXPECT_FALSE(format.is_well_formed(2, 0));
            EXPECT_FALSE(format.is_well_formed(2, format.absent(EntryKind::payload, 5)));
        }
    }
}

// Everything can be computed while compiling.
static_assert(X86Pae(feature_set(all)).leaf(1, Frame(0x100200), {read_write, MemoryType::device}) ==
              0x800000010020009b);

}  // namespace
}  // namespace quire::x86_pae_test
