// SPDX-License-Identifier: MIT
// Every machine's map through the builder, with what a kernel would reserve there, against the
// naive oracle.
#include "machine_maps.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "map_oracle.hpp"
#include "quire/boot/e820.hpp"

namespace quire::test {
namespace {

size_t repairs_of(const MemoryMap& map, RepairKind kind) {
    size_t count = 0;
    for (const Repair& repair : map.repairs())
        count += repair.kind == kind ? 1 : 0;
    return count;
}

class MachineMaps : public testing::TestWithParam<MachineMap> {
  protected:
    // Builds the map in both worlds; a kernel of 1.5 MiB at 1 MiB, a module, boot information.
    void build(uint64_t highest) {
        MapInput input;
        MemoryMapBuilder builder(*map_);
        for (const E820Entry& entry : GetParam().entries) {
            add_e820(builder, entry.base, entry.bytes, entry.type);
            input.firmware.push_back({entry.base, entry.bytes, kind_of_e820(entry.type)});
        }
        input.reservations = {{0xa0000, 0xfffff, MemoryKind::low_memory},
                              {0x100000, 0x27f123, MemoryKind::kernel},
                              {0x400010, 0x4fffff, MemoryKind::module},
                              {0x9500, 0x95ff, MemoryKind::boot_information}};
        for (const Reservation& reservation : input.reservations) {
            ASSERT_TRUE(builder
                            .reserve(PhysicalRange::between(PhysicalAddress(reservation.first),
                                                            PhysicalAddress(reservation.last)),
                                     reservation.kind)
                            .ok());
        }
        input.highest = highest;
        built_ = builder.finish(PhysicalAddress(highest));
        expected_ = expected_map(input);
    }

    std::unique_ptr<MemoryMap> map_ = std::make_unique<MemoryMap>();
    ExpectedMap expected_;
    Status built_;
};

TEST_P(MachineMaps, AreMadeCanonicalForFormatsOfEveryReach) {
    for (uint64_t highest : {uint64_t{0xffffffff}, uint64_t{0xfffffffff}, UINT64_MAX,
                             uint64_t{0x3fffffff}, uint64_t{0x2000}}) {
        build(highest);
        EXPECT_EQ(broken_promise(*map_), "") << GetParam().name;
        EXPECT_EQ(difference(*map_, expected_), "") << GetParam().name;
        EXPECT_EQ(built_.ok(), expected_.usable_left != 0);
        if (!built_.ok()) {
            EXPECT_EQ(built_.error(), Error::no_usable_memory);
        }
    }
}

TEST_P(MachineMaps, AnswerForEveryFrameAtAnEdge) {
    build(0xffffffff);
    for (const Stretch& entry : expected_.entries) {
        for (uint64_t address : {entry.first, entry.last, entry.first - 1, entry.last + 1,
                                 entry.first + (entry.last - entry.first) / 2}) {
            const MemoryEntry* found = map_->find(PhysicalAddress(address));
            const auto kind = expected_.kind_at(address);
            ASSERT_EQ(found != nullptr, kind.has_value()) << std::hex << address;
            if (found != nullptr) {
                EXPECT_EQ(found->kind, *kind);
                EXPECT_TRUE(found->range.contains(PhysicalAddress(address)));
            }
            const FrameRange frame(frame_of(PhysicalAddress(address)), FrameCount(1));
            EXPECT_EQ(map_->is_usable(frame), kind == MemoryKind::usable);
        }
    }
}

std::string test_name(const testing::TestParamInfo<MachineMap>& machine) {
    std::string name = machine.param.name;
    for (char& c : name)
        c = isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    return name;
}

INSTANTIATE_TEST_SUITE_P(Firmware, MachineMaps, testing::ValuesIn(machine_maps()), test_name);

MemoryMap& build_plain(const MachineMap& machine, uint64_t highest) {
    static MemoryMap map;
    MemoryMapBuilder builder(map);
    for (const E820Entry& entry : machine.entries)
        add_e820(builder, entry.base, entry.bytes, entry.type);
    EXPECT_TRUE(builder.finish(PhysicalAddress(highest)).ok());
    return map;
}

TEST(MachineMapsTogether, AreManyAndMostOfThemReal) {
    size_t made_up = 0;
    for (const MachineMap& map : machine_maps())
        made_up += map.name.rfind("made-up", 0) == 0 ? 1 : 0;
    EXPECT_GE(machine_maps().size() - made_up, 35u);
}

// The figures of the emulator this project runs in, by hand.
TEST(MachineMapsTogether, QemuWith3584MiBHas512MiBBeyondReach) {
    const MemoryMap& map = build_plain(machine_map("qemu-pc-3584m"), 0xffffffff);
    EXPECT_EQ(map.firmware_usable_raw().value(), 0x9fc00u + 0xbfee0000u + 0x20000000u);
    EXPECT_EQ(map.partial_frames().value(), 0xc00u);
    EXPECT_EQ(map.taken_from_usable(MemoryKind::beyond_reach).value(), 0x20000000u);
    EXPECT_EQ(map.taken_from_usable(MemoryKind::frame_zero).value(), 0x1000u);
    EXPECT_EQ(map.totals().of(MemoryKind::usable).value(), 0x9e000u + 0xbfee0000u);
    EXPECT_EQ(repairs_of(map, RepairKind::beyond_reach), 1u);
    EXPECT_EQ(repairs_of(map, RepairKind::partial_frame_cut), 1u);
    EXPECT_EQ(map.repair_count(), 2u);
}

TEST(MachineMapsTogether, AFrameSharedWithAcpiTablesIsNotUsable) {
    const MemoryMap& map = build_plain(machine_map("xen-pvh-dom0"), 0xffffffff);
    const MemoryEntry* entry = map.find(PhysicalAddress(0x40060000));
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->kind, MemoryKind::acpi_reclaimable);
    EXPECT_EQ(entry->range.count(), Bytes(0x1000));
    EXPECT_EQ(map.partial_frames().value(), 0xf1eu);
}

TEST(MachineMapsTogether, TheFaultsOfRealFirmwareAreRecorded) {
    EXPECT_GE(repairs_of(build_plain(machine_map("freebsd-smap-12g"), UINT64_MAX),
                         RepairKind::out_of_order),
              1u);
    EXPECT_GE(repairs_of(build_plain(machine_map("thinkpad-x230-efi-8g"), UINT64_MAX),
                         RepairKind::out_of_order),
              1u);
    EXPECT_EQ(repairs_of(build_plain(machine_map("acrn-zero-length"), UINT64_MAX),
                         RepairKind::empty_dropped),
              1u);
    EXPECT_EQ(repairs_of(build_plain(machine_map("efi-server-type-20"), UINT64_MAX),
                         RepairKind::unknown_type),
              2u);
}

// The 57 entries that EFI gave and the 17 that the boot log lists are the same machine.
TEST(MachineMapsTogether, TwoViewsOfOneMachineAgreeOnItsUsableMemory) {
    const uint64_t detailed =
        build_plain(machine_map("thinkpad-x230-efi-8g"), UINT64_MAX).firmware_usable().value();
    const uint64_t merged =
        build_plain(machine_map("thinkpad-2012-8g"), UINT64_MAX).firmware_usable().value();
    EXPECT_EQ(detailed, merged);
    EXPECT_GT(detailed, uint64_t{7} << 30);
}

}  // namespace
}  // namespace quire::test
