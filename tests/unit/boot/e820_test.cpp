// SPDX-License-Identifier: MIT
#include "quire/boot/e820.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace quire::test {
namespace {

TEST(E820, TypesHaveTheirKinds) {
    EXPECT_EQ(kind_of_e820(1), MemoryKind::usable);
    EXPECT_EQ(kind_of_e820(2), MemoryKind::reserved);
    EXPECT_EQ(kind_of_e820(3), MemoryKind::acpi_reclaimable);
    EXPECT_EQ(kind_of_e820(4), MemoryKind::acpi_nvs);
    EXPECT_EQ(kind_of_e820(5), MemoryKind::bad);
    EXPECT_EQ(kind_of_e820(6), MemoryKind::reserved);
    EXPECT_EQ(kind_of_e820(7), MemoryKind::persistent);
    EXPECT_EQ(kind_of_e820(8), MemoryKind::reserved);
    for (uint32_t type : {0u, 9u, 12u, 20u, 2954887168u, UINT32_MAX})
        EXPECT_EQ(kind_of_e820(type), MemoryKind::reserved) << type;
}

TEST(E820, OnlyTypesThatNobodyDefinedAreRepairs) {
    const auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    for (uint32_t type = 1; type <= 8; ++type)
        add_e820(builder, type * 0x10000, 0x1000, type);
    EXPECT_EQ(map->repair_count(), 0u);
    uint64_t at = 0x100000;
    for (uint32_t type : {0u, 9u, UINT32_MAX}) {
        add_e820(builder, at, 0x1000, type);
        ASSERT_FALSE(map->repairs().empty());
        const Repair& repair = map->repairs()[map->repairs().size() - 1];
        EXPECT_EQ(repair.kind, RepairKind::unknown_type);
        EXPECT_EQ(repair.first, at);
        EXPECT_EQ(repair.bytes, 0x1000u);
        at += 0x10000;
    }
    EXPECT_EQ(map->repair_count(), 3u);
    ASSERT_TRUE(builder.finish(PhysicalAddress(UINT64_MAX)).ok());
    EXPECT_EQ(map->usable_frames(), FrameCount(1));
    EXPECT_EQ(map->find(PhysicalAddress(0x100000))->kind, MemoryKind::reserved);
}

TEST(E820, VideoMemoryAndRomAreReservedOnAPc) {
    const auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    builder.add(0, 0x200000, MemoryKind::usable);
    ASSERT_TRUE(reserve_pc_low_memory(builder).ok());
    ASSERT_TRUE(builder.finish(PhysicalAddress(UINT64_MAX)).ok());
    EXPECT_EQ(map->find(PhysicalAddress(0x9ffff))->kind, MemoryKind::usable);
    EXPECT_EQ(map->find(PhysicalAddress(0xa0000))->kind, MemoryKind::low_memory);
    EXPECT_EQ(map->find(PhysicalAddress(0xfffff))->kind, MemoryKind::low_memory);
    EXPECT_EQ(map->find(PhysicalAddress(0x100000))->kind, MemoryKind::usable);
    EXPECT_EQ(map->taken_from_usable(MemoryKind::low_memory), Bytes(0x60000));
}

}  // namespace
}  // namespace quire::test
