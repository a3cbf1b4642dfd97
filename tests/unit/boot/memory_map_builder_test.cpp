// SPDX-License-Identifier: MIT
// Each rule of the builder by itself, and what it records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "map_oracle.hpp"

namespace quire {

// For GoogleTest's messages.
void PrintTo(const Repair& repair, std::ostream* out) {
    *out << to_string(repair.kind) << " at 0x" << std::hex << repair.first << ", 0x"
         << repair.bytes;
}
bool operator==(const Repair& a, const Repair& b) {
    return a.kind == b.kind && a.first == b.first && a.bytes == b.bytes;
}

namespace test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PhysicalAddress everywhere(UINT64_MAX);

PhysicalRange range(uint64_t first, uint64_t bytes) {
    return PhysicalRange(PhysicalAddress(first), Bytes(bytes));
}

class MapBuilding : public testing::Test {
  protected:
    void usable(uint64_t base, uint64_t bytes) { builder_.add(base, bytes, MemoryKind::usable); }
    std::vector<Stretch> entries() const { return entries_of(*map_); }
    std::vector<Repair> repairs() const { return {map_->repairs().begin(), map_->repairs().end()}; }
    Bytes taken(MemoryKind kind) const { return map_->taken_from_usable(kind); }

    std::unique_ptr<MemoryMap> map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder_{*map_};
};

TEST_F(MapBuilding, PutsEntriesInOrderAndSaysSo) {
    usable(0x10000, 0x1000);
    builder_.add(0x8000, 0x1000, MemoryKind::reserved);
    usable(0x20000, 0x1000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(entries(), ElementsAre(Stretch{0, 0xfff, MemoryKind::frame_zero},
                                       Stretch{0x8000, 0x8fff, MemoryKind::reserved},
                                       Stretch{0x10000, 0x10fff, MemoryKind::usable},
                                       Stretch{0x20000, 0x20fff, MemoryKind::usable}));
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::out_of_order, 0x8000, 0x1000}));
}

TEST_F(MapBuilding, AnEntryAtItsPredecessorsStartIsNotOutOfOrder) {
    builder_.add(0x8000, 0x1000, MemoryKind::reserved);
    builder_.add(0x8000, 0x1000, MemoryKind::bad);
    usable(0x10000, 0x1000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::overlap_resolved, 0x8000, 0x1000}));
}

TEST_F(MapBuilding, IgnoresAnEntryOfNoBytes) {
    usable(0x10000, 0x1000);
    usable(0x2000, 0);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->usable_frames(), FrameCount(1));
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::empty_dropped, 0x2000, 0}));
}

TEST_F(MapBuilding, CutsAnEntryThatRunsPastTheTop) {
    usable(0x1000, 0x1000);
    builder_.add(0xffffffffffff0000, 0x20000, MemoryKind::reserved);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(entries().back(),
              (Stretch{0xffffffffffff0000, 0xffffffffffffefff, MemoryKind::reserved}));
    EXPECT_THAT(repairs(),
                ElementsAre(Repair{RepairKind::wrapped_clipped, 0xffffffffffff0000, 0x20000}));
}

TEST_F(MapBuilding, LeavesOutTheTopFrame) {
    usable(0x1000, 0x1000);
    builder_.add(0xffffffffffffe000, 0x1000, MemoryKind::bad);       // just fits
    builder_.add(0xfffffffffffff000, 0x1000, MemoryKind::reserved);  // none of it does
    builder_.add(0xfffffffffffff000, 1, MemoryKind::reserved);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(entries().back(), (Stretch{0xffffffffffffe000, 0xffffffffffffefff, MemoryKind::bad}));
    EXPECT_THAT(repairs(),
                ElementsAre(Repair{RepairKind::wrapped_clipped, 0xfffffffffffff000, 0x1000},
                            Repair{RepairKind::wrapped_clipped, 0xfffffffffffff000, 1}));
}

TEST_F(MapBuilding, KeepsTheLastByteOfAnEntryThatRunsIntoTheTopFrame) {
    usable(0x1000, 0x1000);
    builder_.add(0xffffffffffffefff, 2, MemoryKind::reserved);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(entries().back(),
              (Stretch{0xffffffffffffe000, 0xffffffffffffefff, MemoryKind::reserved}));
}

TEST_F(MapBuilding, CountsAByteThatTwoEntriesShareOnce) {
    usable(0x10000, 0x1001);
    usable(0x11000, 0x1000);
    usable(0x20000, 0x1000);
    usable(0x1f000, 0x1001);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x4000));
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::overlap_resolved, 0x11000, 1},
                                       Repair{RepairKind::out_of_order, 0x1f000, 0x1001},
                                       Repair{RepairKind::overlap_resolved, 0x20000, 1}));
}

TEST_F(MapBuilding, TellsItsListenerEveryEntryAsItStands) {
    struct Listener final : FirmwareListener {
        std::vector<FirmwareEntry> heard;
        void entry(uint64_t base, uint64_t bytes, MemoryKind kind) override {
            heard.push_back({base, bytes, kind});
        }
    } listener;
    MemoryMapBuilder builder(*map_, &listener);
    builder.add(0x20000, 0x1234, MemoryKind::usable);
    builder.add(0x10000, 0, MemoryKind::bad);
    builder.add(UINT64_MAX, 9, MemoryKind::reserved);
    ASSERT_EQ(listener.heard.size(), 3u);
    EXPECT_EQ(listener.heard[0].base, 0x20000u);
    EXPECT_EQ(listener.heard[0].bytes, 0x1234u);
    EXPECT_EQ(listener.heard[1].kind, MemoryKind::bad);
    EXPECT_EQ(listener.heard[2].bytes, 9u);
    struct Indifferent final : FirmwareListener {
    } indifferent;
    MemoryMapBuilder(*map_, &indifferent).add(0x10000, 0x1000, MemoryKind::usable);
}

TEST_F(MapBuilding, TheWholeSpaceMayBeUsable) {
    usable(0, UINT64_MAX);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->firmware_usable(), Bytes(UINT64_MAX - 0xfff));
    EXPECT_EQ(map_->usable_frames(), FrameCount((UINT64_MAX >> page_shift) - 1));
}

// Every pair of the firmware's kinds, both orders: the higher rank keeps the shared part.
TEST_F(MapBuilding, TheHigherRankKeepsWhatTwoEntriesShare) {
    for (int a = 0; a <= static_cast<int>(MemoryKind::bad); ++a) {
        for (int b = 0; b <= static_cast<int>(MemoryKind::bad); ++b) {
            const auto first = static_cast<MemoryKind>(a);
            const auto second = static_cast<MemoryKind>(b);
            MemoryMapBuilder builder(*map_);
            builder.add(0x10000, 0x3000, first);
            builder.add(0x12000, 0x3000, second);
            builder.add(0x20000, 0x1000, MemoryKind::usable);
            ASSERT_TRUE(builder.finish(everywhere).ok());
            EXPECT_EQ(map_->find(PhysicalAddress(0x11fff))->kind, first);
            EXPECT_EQ(map_->find(PhysicalAddress(0x12000))->kind, max(first, second));
            EXPECT_EQ(map_->find(PhysicalAddress(0x12fff))->kind, max(first, second));
            EXPECT_EQ(map_->find(PhysicalAddress(0x13000))->kind, second);
            EXPECT_THAT(repairs(),
                        ElementsAre(Repair{RepairKind::overlap_resolved, 0x12000, 0x1000}));
        }
    }
}

TEST_F(MapBuilding, AnEntryInsideAnotherSplitsItInThree) {
    usable(0x10000, 0x10000);
    builder_.add(0x14000, 0x1000, MemoryKind::acpi_nvs);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(entries(), ElementsAre(Stretch{0, 0xfff, MemoryKind::frame_zero},
                                       Stretch{0x10000, 0x13fff, MemoryKind::usable},
                                       Stretch{0x14000, 0x14fff, MemoryKind::acpi_nvs},
                                       Stretch{0x15000, 0x1ffff, MemoryKind::usable}));
}

TEST_F(MapBuilding, AnEntryOverSeveralFillsTheHolesBetweenThem) {
    builder_.add(0x11000, 0x1000, MemoryKind::bad);
    builder_.add(0x13000, 0x1000, MemoryKind::acpi_reclaimable);
    builder_.add(0x15000, 0x1000, MemoryKind::reserved);
    usable(0x10000, 0x7000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(entries(), ElementsAre(Stretch{0, 0xfff, MemoryKind::frame_zero},
                                       Stretch{0x10000, 0x10fff, MemoryKind::usable},
                                       Stretch{0x11000, 0x11fff, MemoryKind::bad},
                                       Stretch{0x12000, 0x12fff, MemoryKind::usable},
                                       Stretch{0x13000, 0x13fff, MemoryKind::acpi_reclaimable},
                                       Stretch{0x14000, 0x14fff, MemoryKind::usable},
                                       Stretch{0x15000, 0x15fff, MemoryKind::reserved},
                                       Stretch{0x16000, 0x16fff, MemoryKind::usable}));
    EXPECT_EQ(map_->repair_count(), 4u);  // one out of order, three overlaps
}

TEST_F(MapBuilding, MergesNeighboursOfOneKind) {
    usable(0x10000, 0x800);
    usable(0x10800, 0x800);
    usable(0x11000, 0x1000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(entries().back(), (Stretch{0x10000, 0x11fff, MemoryKind::usable}));
    EXPECT_THAT(repairs(), IsEmpty());
}

TEST_F(MapBuilding, CutsUsableMemoryToWholeFrames) {
    usable(0x10100, 0x3000);  // two whole frames inside
    usable(0x20800, 0x800);   // none
    usable(0x30001, 0xffe);   // none
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(entries().back(), (Stretch{0x11000, 0x12fff, MemoryKind::usable}));
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::partial_frame_cut, 0x10100, 0xf00},
                                       Repair{RepairKind::partial_frame_cut, 0x13000, 0x100},
                                       Repair{RepairKind::partial_frame_cut, 0x20800, 0x800},
                                       Repair{RepairKind::partial_frame_cut, 0x30001, 0xffe}));
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x3000 + 0x800 + 0xffe));
    EXPECT_EQ(map_->partial_frames(), Bytes(0x1000 + 0x800 + 0xffe));
    EXPECT_EQ(map_->firmware_usable(), Bytes(0x2000));
}

TEST_F(MapBuilding, WidensEverythingElseToWholeFrames) {
    usable(0x20000, 0x1000);
    builder_.add(0x10fff, 2, MemoryKind::reserved);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->find(PhysicalAddress(0x10000))->kind, MemoryKind::reserved);
    EXPECT_EQ(map_->find(PhysicalAddress(0x11fff))->kind, MemoryKind::reserved);
    EXPECT_EQ(map_->find(PhysicalAddress(0x12000)), nullptr);
}

// Three entries in one frame; the frame belongs to the highest rank, wherever it lies.
TEST_F(MapBuilding, ASharedFrameHasTheHighestRankInIt) {
    const MemoryKind kinds[] = {MemoryKind::acpi_reclaimable, MemoryKind::acpi_nvs,
                                MemoryKind::bad};
    int order[] = {0, 1, 2};
    do {
        MemoryMapBuilder builder(*map_);
        builder.add(0x10000, 0x1400, kinds[order[0]]);
        builder.add(0x11400, 0x400, kinds[order[1]]);
        builder.add(0x11800, 0x1800, kinds[order[2]]);
        builder.add(0x20000, 0x1000, MemoryKind::usable);
        ASSERT_TRUE(builder.finish(everywhere).ok());
        EXPECT_EQ(broken_promise(*map_), "");
        EXPECT_EQ(map_->find(PhysicalAddress(0x10000))->kind, kinds[order[0]]);
        EXPECT_EQ(map_->find(PhysicalAddress(0x11000))->kind, MemoryKind::bad);
        EXPECT_EQ(map_->find(PhysicalAddress(0x12000))->kind, kinds[order[2]]);
    } while (std::next_permutation(order, order + 3));
}

TEST_F(MapBuilding, TakesWhatIsBeyondReachOutOfUse) {
    usable(0xfffff000, 0x3000);
    builder_.add(0x100002000, 0x1000, MemoryKind::reserved);
    usable(0x200000000, 0x1000);
    ASSERT_TRUE(builder_.finish(PhysicalAddress(0xffffffff)).ok());
    EXPECT_THAT(entries(),
                ElementsAre(Stretch{0, 0xfff, MemoryKind::frame_zero},
                            Stretch{0xfffff000, 0xffffffff, MemoryKind::usable},
                            Stretch{0x100000000, 0x100001fff, MemoryKind::beyond_reach},
                            Stretch{0x100002000, 0x100002fff, MemoryKind::reserved},
                            Stretch{0x200000000, 0x200000fff, MemoryKind::beyond_reach}));
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::beyond_reach, 0x200000000, 0x1000},
                                       Repair{RepairKind::beyond_reach, 0x100000000, 0x2000}));
    EXPECT_EQ(taken(MemoryKind::beyond_reach), Bytes(0x3000));
}

TEST_F(MapBuilding, AFrameOnlyPartlyInReachIsBeyond) {
    usable(0x10000, 0x4000);
    ASSERT_TRUE(builder_.finish(PhysicalAddress(0x11ffe)).ok());
    EXPECT_EQ(map_->usable_frames(), FrameCount(1));
    EXPECT_EQ(map_->find(PhysicalAddress(0x11000))->kind, MemoryKind::beyond_reach);
}

TEST_F(MapBuilding, ReservesFrameZeroAlways) {
    usable(0, 0x10000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->find(PhysicalAddress(0))->kind, MemoryKind::frame_zero);
    EXPECT_EQ(map_->find(PhysicalAddress(0xfff))->kind, MemoryKind::frame_zero);
    EXPECT_EQ(map_->find(PhysicalAddress(0x1000))->kind, MemoryKind::usable);
    EXPECT_EQ(taken(MemoryKind::frame_zero), Bytes(0x1000));
}

TEST_F(MapBuilding, WidensReservationsAndCountsWhatTheyTake) {
    usable(0x100000, 0x100000);
    ASSERT_TRUE(builder_.reserve(range(0x100800, 0x1000), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.reserve(range(0x110000, 1), MemoryKind::module).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(taken(MemoryKind::kernel), Bytes(0x2000));
    EXPECT_EQ(taken(MemoryKind::module), Bytes(0x1000));
    EXPECT_EQ(map_->firmware_usable(), Bytes(0x100000));
    EXPECT_EQ(map_->totals().of(MemoryKind::usable), Bytes(0xfd000));
    EXPECT_EQ(map_->totals().of(MemoryKind::kernel), Bytes(0x2000));
    EXPECT_THAT(repairs(), IsEmpty());
}

TEST_F(MapBuilding, OverlappingReservationsTakeEachFrameOnce) {
    usable(0x100000, 0x100000);
    ASSERT_TRUE(builder_.reserve(range(0x100000, 0x3000), MemoryKind::boot_information).ok());
    ASSERT_TRUE(builder_.reserve(range(0x102000, 0x3000), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.reserve(range(0x104000, 0x3000), MemoryKind::low_memory).ok());
    ASSERT_TRUE(builder_.reserve(range(0x104000, 0x1000), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(taken(MemoryKind::boot_information), Bytes(0x2000));
    EXPECT_EQ(taken(MemoryKind::kernel), Bytes(0x3000));
    EXPECT_EQ(taken(MemoryKind::low_memory), Bytes(0x2000));
    EXPECT_EQ(broken_promise(*map_), "");
}

TEST_F(MapBuilding, ReservationsBeatWhateverTheFirmwareSays) {
    for (int kind = 0; kind <= static_cast<int>(MemoryKind::bad); ++kind) {
        MemoryMapBuilder builder(*map_);
        ASSERT_TRUE(builder.reserve(range(0x11000, 0x1000), MemoryKind::low_memory).ok());
        builder.add(0x10000, 0x3000, static_cast<MemoryKind>(kind));
        builder.add(0x20000, 0x1000, MemoryKind::usable);
        ASSERT_TRUE(builder.finish(everywhere).ok());
        EXPECT_EQ(map_->find(PhysicalAddress(0x11000))->kind, MemoryKind::low_memory);
        EXPECT_EQ(taken(MemoryKind::low_memory), Bytes(kind == 0 ? 0x1000 : 0));
    }
}

TEST_F(MapBuilding, AKernelOverAHoleIsKeptAndReported) {
    usable(0x100000, 0x10000);
    builder_.add(0x110000, 0x1000, MemoryKind::reserved);
    ASSERT_TRUE(builder_.reserve(range(0x10f000, 0x4000), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::reserved_outside_ram, 0x10f000, 0x3000}));
    EXPECT_EQ(map_->find(PhysicalAddress(0x112fff))->kind, MemoryKind::kernel);
    EXPECT_EQ(taken(MemoryKind::kernel), Bytes(0x1000));
}

TEST_F(MapBuilding, WhatLiesInAPartialFrameIsInRam) {
    usable(0x100000, 0x800);
    usable(0x200000, 0x1000);
    ASSERT_TRUE(builder_.reserve(range(0x100000, 0x800), MemoryKind::module).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(repairs(), ElementsAre(Repair{RepairKind::partial_frame_cut, 0x100000, 0x800}));
    EXPECT_EQ(taken(MemoryKind::module), Bytes(0));
}

TEST_F(MapBuilding, LowMemoryNeedNotBeRam) {
    usable(0x1000, 0x1000);
    ASSERT_TRUE(builder_.reserve(range(0xa0000, 0x60000), MemoryKind::low_memory).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_THAT(repairs(), IsEmpty());
}

TEST_F(MapBuilding, RefusesReservationsThatMakeNoSense) {
    usable(0x10000, 0x1000);
    const auto failure = [&](const PhysicalRange& memory, MemoryKind kind) {
        return builder_.reserve(memory, kind).failure();
    };
    EXPECT_EQ(failure(range(0x5000, 0), MemoryKind::kernel), (Failure{Error::zero_size, 0x5000}));
    for (auto kind : {MemoryKind::usable, MemoryKind::bad, MemoryKind::beyond_reach,
                      static_cast<MemoryKind>(memory_kinds)}) {
        EXPECT_EQ(failure(range(0x10000, 1), kind), (Failure{Error::bad_argument, 0x10000}));
    }
    EXPECT_EQ(failure(range(0xfffffffffffff000, 1), MemoryKind::kernel),
              (Failure{Error::out_of_range, 0xfffffffffffff000}));
    EXPECT_TRUE(builder_.reserve(range(0xffffffffffffe000, 0x1000), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(map_->usable_frames(), FrameCount(1));
    EXPECT_EQ(entries().size(), 3u);  // frame zero, the usable frame, the kernel
}

TEST_F(MapBuilding, EndsWithFinish) {
    usable(0x10000, 0x1000);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(builder_.reserve(range(0x10000, 1), MemoryKind::kernel).error(), Error::bad_argument);
    EXPECT_EQ(builder_.finish(PhysicalAddress(0x1fff)).error(), Error::bad_argument);
    EXPECT_EQ(map_->usable_frames(), FrameCount(1));
    EXPECT_DEATH(usable(0x20000, 0x1000), "");
}

TEST_F(MapBuilding, RefusesAKindOfTheKernelsFromTheFirmware) {
    EXPECT_DEATH(builder_.add(0x10000, 0x1000, MemoryKind::beyond_reach), "");
    EXPECT_DEATH(builder_.add(0x10000, 0x1000, MemoryKind::kernel), "");
}

TEST_F(MapBuilding, SaysWhenNothingIsUsable) {
    usable(0, 0x1000);  // frame zero
    builder_.add(0x10000, 0x10000, MemoryKind::acpi_reclaimable);
    EXPECT_EQ(builder_.finish(everywhere).error(), Error::no_usable_memory);
    EXPECT_EQ(entries().size(), 2u);
    EXPECT_TRUE(map_->usable_hull().empty());
    MemoryMapBuilder none(*map_);
    EXPECT_EQ(none.finish(everywhere).error(), Error::no_usable_memory);
    EXPECT_EQ(entries().size(), 1u);
}

TEST_F(MapBuilding, EmptiesTheMapItIsGiven) {
    usable(0, 0x10100);
    ASSERT_TRUE(builder_.reserve(range(0x2000, 1), MemoryKind::kernel).ok());
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    ASSERT_EQ(map_->repair_count(), 1u);
    MemoryMapBuilder again(*map_);
    EXPECT_TRUE(map_->entries().empty());
    EXPECT_TRUE(map_->repairs().empty());
    EXPECT_EQ(map_->repair_count(), 0u);
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0));
    EXPECT_EQ(taken(MemoryKind::kernel), Bytes(0));
    EXPECT_EQ(taken(MemoryKind::frame_zero), Bytes(0));
}

TEST_F(MapBuilding, KeepsTheFirstRepairsAndCountsTheRest) {
    for (size_t i = 0; i < repair_capacity + 3; ++i)
        usable(0x1000 + i, 0);
    ASSERT_EQ(map_->repair_count(), repair_capacity + 3);
    ASSERT_EQ(map_->repairs().size(), repair_capacity);
    EXPECT_EQ(repairs().back(),
              (Repair{RepairKind::empty_dropped, 0x1000 + repair_capacity - 1, 0}));
}

// Usable and reserved frames in turn, growing, until the map is full.
TEST_F(MapBuilding, GivesUpTheSmallestUsableRunsWhenTheMapIsFull) {
    uint64_t at = 0x100000;
    uint64_t usable_bytes = 0;
    for (size_t i = 0; i < memory_map_capacity; ++i) {
        const uint64_t frames = 2 + i;
        usable(at, frames * page_size);
        usable_bytes += frames * page_size;
        at += (frames + 1) * page_size;
    }
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(broken_promise(*map_), "");
    uint64_t lost = 0;
    for (const Repair& repair : repairs()) {
        EXPECT_EQ(repair.kind, RepairKind::too_many_entries);
        lost += repair.bytes;
    }
    EXPECT_GE(lost, 2 * page_size);
    EXPECT_LE(map_->repair_count(), 4u);  // two stay free while an entry is placed
    EXPECT_EQ(map_->firmware_usable(), Bytes(usable_bytes - lost));
    // The smallest are the lowest.
    EXPECT_EQ(map_->find(PhysicalAddress(0x100000)), nullptr);
    EXPECT_NE(map_->find(PhysicalAddress(at - 2 * page_size)), nullptr);
}

TEST_F(MapBuilding, GivesUpUsableMemoryForAReservation) {
    const size_t runs = memory_map_capacity - 2;
    for (size_t i = 0; i < runs; ++i)
        usable(0x100000 + 2 * i * page_size, page_size);
    size_t reserved = 0;
    while (reserved < 40 &&
           builder_.reserve(range(0x40000000 + 2 * reserved * page_size, 1), MemoryKind::module)
               .ok()) {
        ++reserved;
    }
    EXPECT_EQ(reserved, 40u);
    ASSERT_TRUE(builder_.finish(everywhere).ok());
    EXPECT_EQ(broken_promise(*map_), "");
    EXPECT_EQ(map_->totals().of(MemoryKind::module), Bytes(40 * page_size));
    EXPECT_LE(map_->usable_frames(), FrameCount(memory_map_capacity - 41));
    EXPECT_GE(map_->usable_frames(), FrameCount(memory_map_capacity - 45));
}

TEST_F(MapBuilding, SaysWhenNotEvenTheReservedMemoryFits) {
    for (size_t i = 0; i < memory_map_capacity + 1; ++i)
        builder_.add(0x100000 + 2 * i * page_size, page_size, MemoryKind::reserved);
    EXPECT_EQ(builder_.finish(everywhere).error(), Error::too_many);
    EXPECT_EQ(broken_promise(*map_), "");
}

// Even when there is room again by the end: what found none is in the map no more.
TEST_F(MapBuilding, DoesNotForgetThatSomethingFoundNoRoom) {
    for (size_t i = 0; i < memory_map_capacity + 1; ++i)
        builder_.add(0x100000 + 2 * i * page_size, page_size, MemoryKind::reserved);
    const uint64_t all_but_the_last = (2 * memory_map_capacity - 8) * page_size;
    for (uint64_t hole = page_size; hole < all_but_the_last; hole += 2 * page_size)
        builder_.add(0x100000 + hole, page_size, MemoryKind::reserved);
    usable(0x10000, 0x4000);
    EXPECT_EQ(builder_.finish(everywhere).error(), Error::too_many);
}

TEST_F(MapBuilding, RefusesAReservationForWhichThereIsNoRoom) {
    for (size_t i = 0; i < memory_map_capacity; ++i) {
        const Status reserved =
            builder_.reserve(range(0x100000 + 2 * i * page_size, 1), MemoryKind::module);
        ASSERT_TRUE(reserved.ok());
    }
    const Status refused = builder_.reserve(range(0x1000, 1), MemoryKind::kernel);
    EXPECT_EQ(refused.failure(), (Failure{Error::too_many, memory_map_capacity}));
    EXPECT_EQ(builder_.finish(everywhere).error(), Error::too_many);  // frame zero found no room
    EXPECT_EQ(map_->find(PhysicalAddress(0x1000)), nullptr);
}

// When usable memory itself finds no room among what must be kept, it is that which is given up.
TEST_F(MapBuilding, GivesUpANewUsableRunAmongReservedOnes) {
    for (size_t i = 0; i < memory_map_capacity - 2; ++i)
        builder_.add(0x100000 + 2 * i * page_size, page_size, MemoryKind::reserved);
    usable(0x10000, 0x4000);
    usable(0x20000, 0x4000);
    EXPECT_EQ(builder_.finish(everywhere).error(), Error::no_usable_memory);
    EXPECT_EQ(map_->totals().of(MemoryKind::reserved),
              Bytes((memory_map_capacity - 2) * page_size));
    EXPECT_EQ(repairs().back().kind, RepairKind::too_many_entries);
}

}  // namespace
}  // namespace test
}  // namespace quire
