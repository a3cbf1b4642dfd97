// SPDX-License-Identifier: MIT
// The 64-bit format, every combination, against a table of expected bits written from the manual.
#include "quire/paging/x86_64.hpp"

#include <gtest/gtest.h>

#include "sim/x86_mmu64.hpp"
#include "support/x86_bits.hpp"

namespace quire::x86_64_test {
namespace {

using test::execute_disable;
using test::long_leaf_bits;
using test::LongLeafBits;
using test::type_bits;
using test::TypeBits;

constexpr unsigned all = 15;
constexpr X86_64Features feature_set(unsigned bits, unsigned physical_bits = 46) {
    return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, physical_bits};
}

// Calls `use` for all features, levels with leaves, protections and types.
template <class Use>
void for_every_combination(Use use) {
    for (unsigned features = 0; features < 16; ++features) {
        const X86_64 format(feature_set(features));
        for (unsigned level = 0; level < 3; ++level) {
            for (unsigned rights = 0; rights < 32; ++rights) {
                for (const TypeBits& bits : type_bits)
                    use(format, level, static_cast<Protection>(rights), bits);
            }
        }
    }
}
// The same for what the format can express.
template <class Use>
void for_every_leaf(Use use) {
    for_every_combination(
        [&](const X86_64& format, unsigned level, Protection protection, const TypeBits& bits) {
            if (level == 2 && !format.features().gigabyte_pages) return;
            if ((static_cast<unsigned>(protection) & 1) == 0) return;
            use(format, level, protection, bits);
        });
}
Protection granted(const X86_64& format, Protection asked) {
    if (!format.features().no_execute) asked = asked | Protection::execute;
    return format.features().global_pages ? asked : without(asked, Protection::global);
}

TEST(X86_64Test, SaysWhatItCanExpress) {
    for_every_combination(
        [](const X86_64& format, unsigned, Protection protection, const TypeBits& bits) {
            const bool readable = (static_cast<unsigned>(protection) & 1) != 0;
            const Status checked = format.check(Attributes{protection, bits.type});
            EXPECT_EQ(checked.ok(), readable);
            if (!checked.ok()) {
                EXPECT_EQ(checked.error(), Error::unsupported);
            }
        });
    for (unsigned features = 0; features < 16; ++features) {
        const X86_64 format(feature_set(features));
        EXPECT_TRUE(format.can_map_at(0) && format.can_map_at(1));
        EXPECT_EQ(format.can_map_at(2), (features & 4) != 0);
        EXPECT_FALSE(format.can_map_at(3) || format.can_map_at(4));
        EXPECT_EQ(format.root_level(), (features & 1) != 0 ? 4u : 3u);
    }
}

// SDM vol. 1, 3.3.7.1: with 48 address bits, 0 to 0x00007fff_ffffffff and 0xffff8000_00000000 up;
// with 57, to 0x00ffffff_ffffffff and from 0xff000000_00000000.
TEST(X86_64Test, ItsPagesAreTheCanonicalOnesOfOneHalf) {
    struct Half {
        bool five;
        AddressHalf half;
        uint64_t first, last;
    };
    for (const Half& expected :
         {Half{false, AddressHalf::low, 0, 0x00007fffffffffff},
          Half{false, AddressHalf::high, 0xffff800000000000, 0xffffffffffffffff},
          Half{true, AddressHalf::low, 0, 0x00ffffffffffffff},
          Half{true, AddressHalf::high, 0xff00000000000000, 0xffffffffffffffff}}) {
        const X86_64 format(feature_set(expected.five ? 15 : 14), expected.half);
        EXPECT_EQ(format.half(), expected.half);
        const VirtualRange bytes = bytes_of(format.pages());
        EXPECT_EQ(bytes.first().value(), expected.first);
        EXPECT_EQ(bytes.last().value(), expected.last);
        EXPECT_EQ(format.canonical(expected.first >> 12), format.pages().first());
        EXPECT_EQ(format.canonical(expected.last >> 12), format.pages().last());
        // Bits that no index names are filled in, whatever they were.
        const uint64_t named = expected.five ? 0x1fffffffffff : 0xfffffffff;
        EXPECT_EQ(format.canonical((expected.first >> 12) & named), format.pages().first());
        EXPECT_EQ(format.canonical((expected.last >> 12) & named), format.pages().last());
        EXPECT_EQ(format.canonical((expected.last >> 12) ^ (named + 1)), format.pages().last());
    }
}

TEST(X86_64Test, WritesLeavesBitForBit) {
    for_every_leaf(
        [](const X86_64& format, unsigned level, Protection protection, const TypeBits& bits) {
            const Attributes attributes{protection, bits.type};
            const LongLeafBits& at = long_leaf_bits[level];
            const X86_64Features& cpu = format.features();
            // The first page, the second, and the last below 2^46.
            for (const uint64_t page : {uint64_t{0}, uint64_t{1}, 0x3ffffffff / at.frame_step}) {
                const uint64_t number = page * at.frame_step;
                const auto rights = static_cast<unsigned>(protection);
                const uint64_t expected = test::expected_long_leaf(
                    level, number, rights, bits, cpu.no_execute, cpu.global_pages);
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

TEST(X86_64Test, TheMmuReadsWhatItWrites) {
    sim::Ram ram(uint64_t{16} << 20);
    for_every_leaf(
        [&](const X86_64& format, unsigned level, Protection protection, const TypeBits& bits) {
            const X86_64Features& cpu = format.features();
            sim::Control control;
            control.paging = control.write_protect = true;
            control.pat = x86_page_attribute_table;
            control.cr3 = 0x100000;
            control.no_execute = cpu.no_execute;
            control.global_pages = cpu.global_pages;
            control.five_levels = cpu.five_levels;
            // One table a page from the root down, and the leaf where its level is.
            const uint64_t indices[] = {5, 3, 2, 7, 9};
            const Frame frame(3 * 512 * 512);
            uint64_t address = 0;
            for (unsigned upper = format.root_level() + 1; upper-- > 0;)
                address |= indices[upper] << (12 + 9 * upper);
            for (unsigned upper = format.root_level();; --upper) {
                const uint64_t table = 0x100000 + 0x1000 * (format.root_level() - upper);
                uint64_t& entry = *ram.as<uint64_t>(table + 8 * indices[upper]);
                entry = format.table(1, Frame((table >> 12) + 1));
                if (upper != level) continue;
                entry = format.leaf(level, frame, Attributes{protection, bits.type});
                break;
            }
            const auto walk =
                sim::X86Mmu64({cpu.gigabyte_pages, 46})
                    .walk(ram, control, sim::Access{address}, sim::Effect::looks, nullptr);
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

TEST(X86_64Test, ChangesProtectionsAlone) {
    for_every_leaf(
        [](const X86_64& format, unsigned level, Protection protection, const TypeBits& bits) {
            for (const Protection old :
                 {read_only | Protection::user, read_execute, read_write | Protection::global}) {
                for (const uint64_t marks : {0u, 0x20u, 0x60u}) {
                    const Frame frame(long_leaf_bits[level].frame_step * 3);
                    const uint64_t entry = format.leaf(level, frame, {old, bits.type}) | marks;
                    ASSERT_EQ(format.with_protection(entry, protection),
                              format.leaf(level, frame, {protection, bits.type}) | marks);
                }
            }
        });
}

TEST(X86_64Test, PartsOfALargePageAreItsPages) {
    for_every_leaf(
        [](const X86_64& format, unsigned level, Protection protection, const TypeBits& bits) {
            if (level == 0) return;
            const Attributes attributes{protection, bits.type};
            const uint64_t first = long_leaf_bits[2].frame_step * 3;
            for (const uint64_t marks : {0u, 0x20u, 0x60u}) {
                const uint64_t large = format.leaf(level, Frame(first), attributes) | marks;
                for (const unsigned index : {0u, 1u, 256u, 511u}) {
                    const Frame frame(first + index * long_leaf_bits[level - 1].frame_step);
                    ASSERT_EQ(format.part(level, large, index),
                              format.leaf(level - 1, frame, attributes) | marks);
                }
            }
            const uint64_t payload = format.absent(EntryKind::payload, 123456);
            ASSERT_EQ(format.part(level, payload, 17), payload);
        });
}

TEST(X86_64Test, ReadsAccessedAndDirtyWhereTheManualPutsThem) {
    EXPECT_TRUE(X86_64::accessed(0x20));
    EXPECT_FALSE(X86_64::accessed(~uint64_t{0x20}));
    EXPECT_TRUE(X86_64::dirty(0x40));
    EXPECT_FALSE(X86_64::dirty(~uint64_t{0x40}));
}

// SDM vol. 3A, tables 4-14, 4-15, 4-17 and 4-19: P, R/W, U/S and the address, the same at all
// levels.
TEST(X86_64Test, TableEntriesGrantEverything) {
    for (unsigned features = 0; features < 16; ++features) {
        const X86_64 format(feature_set(features));
        const uint64_t entry = format.table(1, Frame(0x312345678));
        EXPECT_EQ(entry, 0x312345678007u);
        // Through a recursive entry the tables must not be seen by user code, nor executed.
        const uint64_t recursive = format.recursive_table(Frame(0x312345678));
        EXPECT_EQ(recursive, 0x312345678003u | ((features & 2) != 0 ? execute_disable : 0));
        for (unsigned level = 1; level <= format.root_level(); ++level) {
            for (const uint64_t either : {entry, recursive}) {
                EXPECT_EQ(format.kind(level, either), EntryKind::table);
                EXPECT_EQ(format.frame_of(level, either), Frame(0x312345678));
                EXPECT_TRUE(format.is_well_formed(level, either));
            }
        }
    }
}

TEST(X86_64Test, AbsentEntriesKeepTheirKindAndValue) {
    const X86_64 format(feature_set(all));
    for (const unsigned level : {0u, 1u, 2u, 3u, 4u})
        EXPECT_EQ(format.kind(level, 0), EntryKind::empty);
    for (const EntryKind kind : {EntryKind::payload, EntryKind::parked, EntryKind::detached}) {
        for (unsigned bit = 0; bit <= X86_64::payload_bits; ++bit) {
            const uint64_t value = bit == X86_64::payload_bits
                                       ? (uint64_t{1} << X86_64::payload_bits) - 1
                                       : uint64_t{1} << bit;
            const uint64_t entry = X86_64::absent(kind, value);
            // SDM figure 4-11, "not present": bit 0 clear, all others ignored.
            EXPECT_EQ(entry & 1, 0u);
            EXPECT_EQ(entry >> 3, value);
            for (const unsigned level : {0u, 1u, 2u, 3u, 4u}) {
                EXPECT_EQ(format.kind(level, entry), kind);
                EXPECT_EQ(format.value_of(entry), value);
            }
        }
        EXPECT_EQ(format.value_of(X86_64::absent(kind, 0)), 0u);
        EXPECT_EQ(format.kind(0, X86_64::absent(kind, 0)), kind);
    }
}

TEST(X86_64Test, KnowsWhatItCannotHaveWritten) {
    const X86_64 format(feature_set(all));
    // A kind that does not exist.
    for (unsigned bit = 3; bit < 64; ++bit) {
        EXPECT_FALSE(format.is_well_formed(0, uint64_t{1} << bit));
        EXPECT_NE(format.kind(0, uint64_t{1} << bit), EntryKind::empty);
    }
    EXPECT_TRUE(format.is_well_formed(0, 0));
    EXPECT_TRUE(format.is_well_formed(0, 0xfffffffffffffffa));     // any payload
    EXPECT_TRUE(format.is_well_formed(0, 0x3ffffffffu << 3 | 4));  // the highest frame, parked
    EXPECT_FALSE(format.is_well_formed(0, 0x400000000u << 3 | 4));
    EXPECT_FALSE(format.is_well_formed(3, 0x400000000u << 3 | 6));
}

// SDM vol. 3A, 4.5.4, the list of reserved bits; every bit of leaves and tables at every level.
TEST(X86_64Test, RefusesReservedBits) {
    for (const unsigned physical_bits : {36u, 46u, 52u}) {
        for (unsigned features = 0; features < 16; ++features) {
            const X86_64 format(feature_set(features, physical_bits));
            EXPECT_EQ(format.highest_frame().value(), (uint64_t{1} << physical_bits) / 4096 - 1);
            for (unsigned level = 0; level <= format.root_level(); ++level) {
                for (unsigned bit = 1; bit < 64; ++bit) {
                    const uint64_t alone = uint64_t{1} << bit;
                    bool reserved =
                        (bit >= physical_bits && bit < 52) || (bit == 63 && (features & 2) == 0);
                    if (level < 3 && (level < 2 || (features & 4) != 0)) {
                        const LongLeafBits& at = long_leaf_bits[level];
                        EXPECT_EQ(format.is_well_formed(level, 1 | at.page_size | alone),
                                  !reserved && (at.reserved & alone) == 0)
                            << level << ' ' << bit;
                    }
                    if (level == 0 || (bit == 7 && format.can_map_at(level))) continue;
                    reserved = reserved || bit == 7;  // PS
                    EXPECT_EQ(format.is_well_formed(level, 7 | alone), !reserved)
                        << level << ' ' << bit;
                    EXPECT_EQ(format.kind(level, 7 | alone), EntryKind::table);
                }
            }
        }
    }
}

// Everything can be computed while compiling.
static_assert(X86_64(feature_set(all)).leaf(2, Frame(0x40000), {read_write, MemoryType::device}) ==
              0x800000004000009b);
static_assert(X86_64(feature_set(all)).check({Protection::write, {}}).ok() == false);

}  // namespace
}  // namespace quire::x86_64_test
