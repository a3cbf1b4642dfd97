// SPDX-License-Identifier: MIT
// The 32-bit format, every combination, against a table of expected bits written from the manual.
#include "quire/paging/x86_32.hpp"

#include <gtest/gtest.h>

#include "sim/x86_mmu32.hpp"
#include "support/x86_bits.hpp"

namespace quire::x86_32_test {
namespace {

using test::type_bits;
using test::TypeBits;

// Intel SDM vol. 3A, tables 4-4 (4 MiB page), 4-5 (page table) and 4-6 (4 KiB page), as numbers and
// not as the format's own names.
//
//   bit   4 KiB page (level 0)          4 MiB page (level 1)
//   0     P                             P
//   1     R/W                           R/W
//   2     U/S                           U/S
//   3     PWT                           PWT
//   4     PCD                           PCD
//   5, 6  A, D                          A, D
//   7     PAT                           PS = 1
//   8     G (with CR4.PGE)              G (with CR4.PGE)
//   12    address                       PAT
//   up    31:12 address                 31:22 address; 21 reserved; 20:13 address 39:32
constexpr uint32_t expected_pat[2] = {0x80, 0x1000};

constexpr X86Features feature_set(unsigned bits) {
    return X86Features{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
}

// Calls `use` for all features, levels, protections and types.
template <class Use>
void for_every_combination(Use use) {
    for (unsigned features = 0; features < 8; ++features) {
        const X86_32 format(feature_set(features));
        for (unsigned level = 0; level < 2; ++level) {
            for (unsigned rights = 0; rights < 32; ++rights) {
                for (const TypeBits& bits : type_bits)
                    use(format, level, static_cast<Protection>(rights), bits);
            }
        }
    }
}

TEST(X86_32Test, SaysWhatItCanExpress) {
    for_every_combination(
        [](const X86_32& format, unsigned level, Protection protection, const TypeBits& bits) {
            const bool readable = (static_cast<unsigned>(protection) & 1) != 0;
            const bool typed =
                bits.type != MemoryType::write_combining || format.features().page_attributes;
            const Status checked = format.check(Attributes{protection, bits.type});
            EXPECT_EQ(checked.ok(), readable && typed);
            if (!checked.ok()) {
                EXPECT_EQ(checked.error(), Error::unsupported);
            }
            EXPECT_EQ(format.can_map_at(level), level == 0 || format.features().large_pages);
            EXPECT_FALSE(format.can_map_at(2));
        });
}

TEST(X86_32Test, WritesLeavesBitForBit) {
    for_every_combination(
        [](const X86_32& format, unsigned level, Protection protection, const TypeBits& bits) {
            const Attributes attributes{protection, bits.type};
            if (!format.check(attributes).ok() || !format.can_map_at(level)) return;
            for (const uint32_t number : {0u, 0x400u, 0x80000u, 0xffc00u}) {
                const unsigned rights = static_cast<unsigned>(protection);
                uint32_t expected = number << 12 | 1;
                if ((rights & 2) != 0) expected |= 0x2;                                       // R/W
                if ((rights & 8) != 0) expected |= 0x4;                                       // U/S
                if ((rights & 16) != 0 && format.features().global_pages) expected |= 0x100;  // G
                if (bits.pwt) expected |= 0x8;
                if (bits.pcd) expected |= 0x10;
                if (bits.pat) expected |= expected_pat[level];
                if (level == 1) expected |= 0x80;  // PS
                const uint32_t entry = format.leaf(level, Frame(number), attributes);
                ASSERT_EQ(entry, expected) << level << ' ' << rights << ' ' << to_string(bits.type);

                EXPECT_EQ(format.kind(level, entry), EntryKind::leaf);
                EXPECT_TRUE(format.is_well_formed(level, entry));
                EXPECT_EQ(format.frame_of(level, entry), Frame(number));
                Protection granted = protection | Protection::execute;
                if (!format.features().global_pages) granted = without(granted, Protection::global);
                EXPECT_EQ(format.attributes_of(level, entry), (Attributes{granted, bits.type}));
                EXPECT_EQ(format.is_global(entry), has(granted, Protection::global));
                EXPECT_FALSE(format.accessed(entry) || format.dirty(entry));
            }
        });
}

TEST(X86_32Test, TheMmuReadsWhatItWrites) {
    sim::Ram ram(uint64_t{16} << 20);
    sim::Control control;
    control.paging = control.write_protect = true;
    control.pat = x86_page_attribute_table;
    control.cr3 = 0x100000;
    for_every_combination(
        [&](const X86_32& format, unsigned level, Protection protection, const TypeBits& bits) {
            const Attributes attributes{protection, bits.type};
            if (!format.check(attributes).ok() || !format.can_map_at(level)) return;
            control.large_pages = format.features().large_pages;
            control.global_pages = format.features().global_pages;
            const uint32_t leaf = format.leaf(level, Frame(0x400), attributes);
            *ram.as<uint32_t>(0x100000 + 4 * 3) = level == 1 ? leaf : format.table(1, Frame(0x101));
            *ram.as<uint32_t>(0x101000 + 4 * 5) = leaf;
            sim::X86Features cpu;
            cpu.pat = format.features().page_attributes;
            const sim::Access access{(3u << 22) | (5u << 12)};
            const auto walk =
                sim::X86Mmu32(cpu).walk(ram, control, access, sim::Effect::looks, nullptr);
            ASSERT_TRUE(walk.translation.has_value());
            const auto rights = static_cast<unsigned>(protection);
            EXPECT_EQ(walk.translation->frame, 0x400000u);
            EXPECT_EQ(walk.translation->shift, level == 1 ? 22u : 12u);
            EXPECT_EQ(walk.translation->writable, (rights & 2) != 0);
            EXPECT_EQ(walk.translation->user, (rights & 8) != 0);
            EXPECT_EQ(walk.translation->global, (rights & 16) != 0 && control.global_pages);
            EXPECT_EQ(walk.translation->type, bits.encoded);
            EXPECT_TRUE(walk.translation->executable);
        });
}

TEST(X86_32Test, ChangesProtectionsAlone) {
    for_every_combination(
        [](const X86_32& format, unsigned level, Protection protection, const TypeBits& bits) {
            const Attributes before{Protection::read | Protection::user, bits.type};
            if (!format.check(before).ok() || !format.can_map_at(level)) return;
            if (!has(protection, Protection::read)) return;
            for (const uint32_t marks : {0u, 0x20u, 0x60u}) {
                const uint32_t entry = format.leaf(level, Frame(0x400), before) | marks;
                EXPECT_EQ(format.with_protection(entry, protection),
                          format.leaf(level, Frame(0x400), {protection, bits.type}) | marks);
            }
        });
}

TEST(X86_32Test, PartsOfALargePageAreItsPages) {
    for_every_combination(
        [](const X86_32& format, unsigned, Protection protection, const TypeBits& bits) {
            const Attributes attributes{protection, bits.type};
            if (!format.check(attributes).ok() || !format.can_map_at(1)) return;
            for (const uint32_t marks : {0u, 0x20u, 0x60u}) {
                const uint32_t large = format.leaf(1, Frame(0xffc00), attributes) | marks;
                for (const unsigned index : {0u, 1u, 512u, 1023u}) {
                    EXPECT_EQ(format.part(1, large, index),
                              format.leaf(0, Frame(0xffc00 + index), attributes) | marks);
                }
            }
            const uint32_t payload = format.absent(EntryKind::payload, 123456);
            EXPECT_EQ(format.part(1, payload, 17), payload);
        });
}

TEST(X86_32Test, ReadsAccessedAndDirtyWhereTheManualPutsThem) {
    EXPECT_TRUE(X86_32::accessed(0x20));
    EXPECT_FALSE(X86_32::accessed(0xffffffff & ~0x20u));
    EXPECT_TRUE(X86_32::dirty(0x40));
    EXPECT_FALSE(X86_32::dirty(0xffffffff & ~0x40u));
}

TEST(X86_32Test, TableEntriesGrantEverything) {
    for (unsigned features = 0; features < 8; ++features) {
        const X86_32 format(feature_set(features));
        const uint32_t entry = format.table(1, Frame(0x12345));
        EXPECT_EQ(entry, 0x12345007u);  // P, R/W, U/S; SDM table 4-5
        EXPECT_EQ(format.kind(1, entry), EntryKind::table);
        EXPECT_EQ(format.frame_of(1, entry), Frame(0x12345));
        EXPECT_TRUE(format.is_well_formed(1, entry));
        // Through a recursive entry the tables must not be seen by user code.
        const uint32_t recursive = format.recursive_table(Frame(0x12345));
        EXPECT_EQ(recursive, 0x12345003u);
        EXPECT_EQ(format.kind(1, recursive), EntryKind::table);
    }
}

TEST(X86_32Test, AbsentEntriesKeepTheirKindAndValue) {
    const X86_32 format(feature_set(7));
    EXPECT_EQ(format.kind(0, 0), EntryKind::empty);
    EXPECT_EQ(format.kind(1, 0), EntryKind::empty);
    for (const EntryKind kind : {EntryKind::payload, EntryKind::parked, EntryKind::detached}) {
        for (unsigned bit = 0; bit <= X86_32::payload_bits; ++bit) {
            const uint64_t value = bit == X86_32::payload_bits
                                       ? (uint64_t{1} << X86_32::payload_bits) - 1
                                       : uint64_t{1} << bit;
            const uint32_t entry = X86_32::absent(kind, value);
            // SDM table 4-4, "not present": bit 0 clear, all others ignored.
            EXPECT_EQ(entry & 1, 0u);
            EXPECT_EQ(entry >> 3, value);
            for (const unsigned level : {0u, 1u}) {
                EXPECT_EQ(format.kind(level, entry), kind);
                EXPECT_EQ(format.value_of(entry), value);
            }
        }
        EXPECT_EQ(format.value_of(X86_32::absent(kind, 0)), 0u);
        EXPECT_EQ(format.kind(0, X86_32::absent(kind, 0)), kind);
    }
}

TEST(X86_32Test, KnowsWhatItCannotHaveWritten) {
    const X86_32 all(feature_set(7));
    const X86_32 no_pat(feature_set(3));
    const X86_32 no_large(feature_set(6));
    // A kind that does not exist.
    for (unsigned bit = 3; bit < 32; ++bit) {
        EXPECT_FALSE(all.is_well_formed(0, 1u << bit));
        EXPECT_NE(all.kind(0, 1u << bit), EntryKind::empty);
    }
    EXPECT_TRUE(all.is_well_formed(0, 0));
    EXPECT_TRUE(all.is_well_formed(0, 0xfffffffa));   // any payload
    EXPECT_TRUE(all.is_well_formed(0, 0x007ffffcu));  // the highest frame, parked
    EXPECT_FALSE(all.is_well_formed(0, 0x00800004u));
    EXPECT_FALSE(all.is_well_formed(1, 0x00800006u));
    // Reserved bits of a 4 MiB page: 21, and 20:13 where there is no PSE-36.
    for (unsigned bit = 13; bit < 22; ++bit) {
        EXPECT_FALSE(all.is_well_formed(1, 0x83u | 1u << bit));
        EXPECT_TRUE(all.is_well_formed(0, 0x83u | 1u << bit));
    }
    // The PAT bit is reserved where there is no PAT.
    EXPECT_TRUE(all.is_well_formed(1, 0x1083));
    EXPECT_TRUE(all.is_well_formed(0, 0x83));
    EXPECT_FALSE(no_pat.is_well_formed(1, 0x1083));
    EXPECT_FALSE(no_pat.is_well_formed(0, 0x83));
    EXPECT_TRUE(no_pat.is_well_formed(1, 0x83));
    // PS means nothing to a CPU without large pages, and is never written for one.
    EXPECT_EQ(no_large.kind(1, 0x83), EntryKind::table);
    EXPECT_FALSE(no_large.is_well_formed(1, 0x83));
}

// Everything can be computed while compiling.
static_assert(X86_32(feature_set(7)).leaf(1, Frame(0x400), {read_write, MemoryType::device}) ==
              0x40009b);
static_assert(X86_32(feature_set(7)).check({Protection::write, {}}).ok() == false);

}  // namespace
}  // namespace quire::x86_32_test
