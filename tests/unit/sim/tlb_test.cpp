// SPDX-License-Identifier: MIT
#include "sim/tlb.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace quire::sim::test {
namespace {

Translation small(uint64_t page, uint64_t frame, bool global = false) {
    Translation translation;
    translation.page = page;
    translation.frame = frame;
    translation.global = global;
    return translation;
}
Translation large(uint64_t page, uint64_t frame) {
    Translation translation = small(page, frame);
    translation.shift = 22;
    return translation;
}

class TlbTest : public testing::Test {
  protected:
    Tlb make(const TlbShape& shape = {}) {
        return Tlb(12, 22, shape, [this](const Translation& t) { dropped.push_back(t.page); });
    }

    std::vector<uint64_t> dropped;
};

TEST_F(TlbTest, FindsByPageOfEitherSize) {
    Tlb tlb = make();
    EXPECT_EQ(tlb.find(0x1000), nullptr);
    tlb.insert(small(0x1000, 0x9000));
    tlb.insert(large(0x400000, 0x800000));
    EXPECT_EQ(tlb.find(0x1fff)->frame, 0x9000u);
    EXPECT_EQ(tlb.find(0x2000), nullptr);
    EXPECT_EQ(tlb.find(0x7fffff)->frame, 0x800000u);
    EXPECT_EQ(tlb.find(0x800000), nullptr);
}

TEST_F(TlbTest, SmallGoesBeforeLargeAndBothAreDropped) {
    Tlb tlb = make();
    tlb.insert(small(0x401000, 0x9000));
    tlb.insert(large(0x400000, 0x800000));
    EXPECT_EQ(tlb.small_entries_in(0x7ff000), 1u);
    EXPECT_EQ(tlb.find(0x401000)->frame, 0x9000u);
    EXPECT_EQ(tlb.find(0x402000)->frame, 0x800000u);
    tlb.invalidate_page(0x402000);
    EXPECT_EQ(tlb.find(0x402000), nullptr);
    EXPECT_NE(tlb.find(0x401000), nullptr);
    tlb.insert(large(0x400000, 0x800000));
    tlb.invalidate_page(0x401abc);
    EXPECT_EQ(tlb.size(), 0u);
    EXPECT_EQ(tlb.small_entries_in(0x400000), 0u);
    EXPECT_EQ(dropped, (std::vector<uint64_t>{0x400000, 0x401000, 0x400000}));
}

TEST_F(TlbTest, ReplacementTellsOnlyOfAnotherFrame) {
    Tlb tlb = make();
    tlb.insert(small(0x1000, 0x9000));
    Translation dirty = small(0x1000, 0x9000);
    dirty.dirty = true;
    tlb.insert(dirty);
    EXPECT_TRUE(tlb.find(0x1000)->dirty);
    EXPECT_TRUE(dropped.empty());
    tlb.insert(small(0x1000, 0xa000));
    EXPECT_EQ(dropped.size(), 1u);
    EXPECT_EQ(tlb.size(), 1u);
}

TEST_F(TlbTest, GlobalsAreKeptWhenAsked) {
    Tlb tlb = make();
    tlb.insert(small(0x1000, 0x9000, true));
    tlb.insert(small(0x2000, 0xa000));
    tlb.insert(StructureEntry{0, 22, 0x5000, true, true});
    tlb.invalidate_all(Globals::keep);
    EXPECT_NE(tlb.find(0x1000), nullptr);
    EXPECT_EQ(tlb.find(0x2000), nullptr);
    EXPECT_EQ(tlb.find_structure(0), nullptr);
    tlb.invalidate_all(Globals::drop);
    EXPECT_EQ(tlb.size(), 0u);
}

TEST_F(TlbTest, StructuresGoWithAnyPageButWithFaultsOfTheirRegionOnly) {
    Tlb tlb = make();
    tlb.insert(StructureEntry{0x400000, 22, 0x5000, true, true});
    tlb.forget(0x1000);
    EXPECT_NE(tlb.find_structure(0x7fffff), nullptr);
    tlb.forget(0x412345);
    EXPECT_EQ(tlb.find_structure(0x400000), nullptr);
    tlb.insert(StructureEntry{0x400000, 22, 0x5000, true, true});
    tlb.invalidate_page(0x1000);
    EXPECT_EQ(tlb.find_structure(0x400000), nullptr);
}

TEST_F(TlbTest, StructuresCanBeLeftOut) {
    Tlb tlb = make({.keep_structures = false});
    tlb.insert(StructureEntry{0x400000, 22, 0x5000, true, true});
    EXPECT_EQ(tlb.find_structure(0x400000), nullptr);
}

TEST_F(TlbTest, EvictsTheOldestAtItsCapacityOnly) {
    Tlb tlb = make({.capacity = 8});
    for (uint64_t i = 0; i < 8; ++i)
        tlb.insert(small(i << 12, i << 12));
    EXPECT_EQ(tlb.evictions(), 0u);
    tlb.invalidate_page(0);  // an invalidated entry is not counted among the oldest
    tlb.insert(small(0x100000, 0));
    EXPECT_EQ(tlb.evictions(), 0u);
    tlb.insert(large(0x400000, 0));
    EXPECT_EQ(tlb.evictions(), 1u);
    EXPECT_EQ(tlb.find(0x1000), nullptr);
    EXPECT_EQ(tlb.size(), 8u);
    EXPECT_THROW(make({.capacity = 7}), std::invalid_argument);
}

TEST_F(TlbTest, RandomEvictionDependsOnTheSeedAlone) {
    const TlbShape shape{.capacity = 8, .eviction = Eviction::random, .seed = 5};
    const auto victims = [&] {
        dropped.clear();
        Tlb tlb = make(shape);
        for (uint64_t i = 0; i < 100; ++i)
            tlb.insert(small(i << 12, i << 12));
        return dropped;
    };
    const std::vector<uint64_t> first = victims();
    EXPECT_EQ(first.size(), 92u);
    EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
    EXPECT_EQ(victims(), first);
}

StructureEntry structure(uint64_t region, unsigned shift) {
    StructureEntry entry;
    entry.region = region;
    entry.shift = shift;
    entry.table = region + 0x1000;
    return entry;
}

TEST_F(TlbTest, ContextsKeepTheirEntriesApart) {
    Tlb tlb = make();
    tlb.set_context(1);
    tlb.insert(small(0x1000, 0x9000));
    tlb.insert(small(0x2000, 0x8000, true));
    tlb.insert(structure(0, 22));
    tlb.set_context(2);
    EXPECT_EQ(tlb.find(0x1000), nullptr);
    EXPECT_EQ(tlb.find_structure(0), nullptr);
    EXPECT_EQ(tlb.find(0x2000)->frame, 0x8000u) << "global";
    tlb.insert(small(0x1000, 0x7000));
    EXPECT_EQ(tlb.entries(Contexts::current).size(), 2u);
    EXPECT_EQ(tlb.entries().size(), 3u);
    // INVLPG: of this context, and global ones.
    tlb.invalidate_page(0x1000);
    tlb.invalidate_page(0x2000);
    EXPECT_EQ(tlb.size(), 1u);
    tlb.invalidate_all(Globals::keep);
    tlb.set_context(1);
    EXPECT_EQ(tlb.find(0x1000)->frame, 0x9000u);
    EXPECT_NE(tlb.find_structure(0), nullptr);
    EXPECT_EQ(tlb.structures(Contexts::current).size(), 1u);
    tlb.set_context(2);
    EXPECT_TRUE(tlb.structures(Contexts::current).empty());
    tlb.invalidate_all(Globals::drop);
    EXPECT_EQ(tlb.size(), 0u);
    EXPECT_TRUE(tlb.structures().empty());
}

TEST_F(TlbTest, ContextsOfTheHighestAddressesToo) {
    Tlb tlb(12, 21, {}, {});
    tlb.set_context(4095);
    tlb.insert(small(0xfffffffffffff000, 0x9000));
    EXPECT_NE(tlb.find(0xffffffffffffffff), nullptr);
    EXPECT_EQ(tlb.find(0x00007ffffffff000), nullptr);
    tlb.set_context(0);
    EXPECT_EQ(tlb.find(0xffffffffffffffff), nullptr);
}

TEST_F(TlbTest, WalksStartAtTheLowestLevelThatIsCached) {
    Tlb tlb(12, 21, {}, {});
    tlb.insert(structure(0, 39));
    tlb.insert(structure(0, 30));
    EXPECT_EQ(tlb.find_structure(0x1000)->shift, 30u);
    EXPECT_EQ(tlb.find_structure(0x40000000)->shift, 39u);
    tlb.insert(structure(0x200000, 21));
    EXPECT_EQ(tlb.find_structure(0x201000)->shift, 21u);
    tlb.forget(0x201000);
    EXPECT_EQ(tlb.find_structure(0x201000), nullptr);
}

TEST_F(TlbTest, KnowsThreeSizesOfPages) {
    Tlb tlb(12, 21, {}, {});
    Translation huge = small(0x40000000, 0x80000000);
    huge.shift = 30;
    tlb.insert(huge);
    EXPECT_EQ(tlb.find(0x7fffffff)->frame, 0x80000000u);
    EXPECT_EQ(tlb.find(0x80000000), nullptr);
    tlb.invalidate_page(0x50000000);
    EXPECT_EQ(tlb.size(), 0u);
}

}  // namespace
}  // namespace quire::sim::test
