// SPDX-License-Identifier: MIT
#include "sim/firmware.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace quire::sim::test::firmware_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint64_t GiB = uint64_t{1} << 30;
using enum FirmwareType;

// As printed by a kernel under QEMU's pc machine with SeaBIOS and -m 128M.
TEST(FirmwareTest, MapOf128MiB) {
    const std::vector<FirmwareEntry> expected{
        {0, 0x9fc00, usable},           {0x9fc00, 0x400, reserved},
        {0xf0000, 0x10000, reserved},   {0x100000, 0x7ee0000, usable},
        {0x7fe0000, 0x20000, reserved}, {0xfffc0000, 0x40000, reserved},
    };
    EXPECT_EQ(pc_firmware_map(128 * MiB), expected);
    EXPECT_EQ(pc_segments(128 * MiB), (std::vector<Segment>{{0, 0xa0000}, {0x100000, 127 * MiB}}));
}

TEST(FirmwareTest, MemoryMovesAbove4GiBFrom3584MiBOn) {
    EXPECT_EQ(pc_segments(3500 * MiB).size(), 2u);
    EXPECT_EQ(pc_segments(3584 * MiB - 4096).size(), 2u);
    const std::vector<Segment> split{{0, 0xa0000}, {0x100000, 3 * GiB - MiB}, {4 * GiB, 512 * MiB}};
    EXPECT_EQ(pc_segments(3584 * MiB), split);
    EXPECT_EQ(pc_firmware_map(3584 * MiB).back(), (FirmwareEntry{4 * GiB, 512 * MiB, usable}));
    EXPECT_EQ(pc_firmware_map(3500 * MiB).back(), (FirmwareEntry{0xfffc0000, 0x40000, reserved}));
}

TEST(FirmwareTest, UsableMemoryLiesInRam) {
    for (const uint64_t bytes :
         {2 * MiB, 8 * MiB, 16 * MiB, GiB, 3500 * MiB, 3584 * MiB, 8 * GiB}) {
        const auto segments = pc_segments(bytes);
        uint64_t sum = 0;
        for (const Segment& segment : segments)
            sum += segment.length;
        EXPECT_EQ(sum, bytes - 384 * 1024);
        for (const FirmwareEntry& entry : pc_firmware_map(bytes)) {
            if (entry.type != usable) continue;
            bool inside = false;
            for (const Segment& segment : segments) {
                inside |= entry.base >= segment.base &&
                          entry.base + entry.length <= segment.base + segment.length;
            }
            EXPECT_TRUE(inside) << entry.base;
        }
    }
}

TEST(FirmwareTest, RefusesWhatIsNoMachine) {
    EXPECT_THROW(pc_segments(0), std::invalid_argument);
    EXPECT_THROW(pc_segments(MiB), std::invalid_argument);
    EXPECT_THROW(pc_firmware_map(8 * MiB + 1), std::invalid_argument);
    EXPECT_THROW(flat_segments(4095), std::invalid_argument);
    EXPECT_EQ(flat_segments(4 * MiB), (std::vector<Segment>{{0, 4 * MiB}}));
}

}  // namespace
}  // namespace quire::sim::test::firmware_test
