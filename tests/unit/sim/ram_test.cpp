// SPDX-License-Identifier: MIT
#include "sim/ram.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <stdexcept>

namespace quire::sim::test::ram_test {
namespace {

constexpr uint64_t KiB = uint64_t{1} << 10;
constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint64_t GiB = uint64_t{1} << 30;

TEST(RamTest, HasThePcsHoles) {
    const Ram ram(8 * MiB);
    EXPECT_TRUE(ram.is_ram(0));
    EXPECT_TRUE(ram.is_ram(640 * KiB - 1));
    EXPECT_FALSE(ram.backs(640 * KiB));
    EXPECT_FALSE(ram.backs(1 * MiB - 1));
    EXPECT_TRUE(ram.is_ram(1 * MiB, 7 * MiB));
    EXPECT_FALSE(ram.backs(1 * MiB, 7 * MiB + 1));
    EXPECT_FALSE(ram.backs(8 * MiB));
    EXPECT_FALSE(ram.backs(640 * KiB - 4, 8)) << "a run that leaves its segment";
    EXPECT_FALSE(ram.backs(UINT64_MAX));
    EXPECT_FALSE(ram.backs(8 * MiB - 1, UINT64_MAX));
}

TEST(RamTest, StartsAsZeroesAndIsSparse) {
    const Ram ram(uint64_t{64} * GiB);
    EXPECT_EQ(ram.bytes(), uint64_t{64} * GiB - 384 * KiB);
    EXPECT_EQ(ram.end(), uint64_t{65} * GiB);
    EXPECT_EQ(ram.load<uint64_t>(uint64_t{65} * GiB - 8), 0u);
    ram.store<uint64_t>(uint64_t{65} * GiB - 8, 1);
    struct stat status{};
    ASSERT_EQ(fstat(ram.file(), &status), 0);
    EXPECT_LT(status.st_blocks * 512, static_cast<off_t>(4 * MiB));
}

TEST(RamTest, NothingReadsAsOnesAndForgets) {
    const Ram ram(8 * MiB);
    ram.store<uint32_t>(0xb8000, 0);
    EXPECT_EQ(ram.load<uint32_t>(0xb8000), 0xffffffffu);
    EXPECT_EQ(ram.load<uint8_t>(0xb8000), 0xffu);
    EXPECT_TRUE(ram.compare_exchange<uint32_t>(0xb8000, 1, 2));
    EXPECT_THROW(ram.at(0xb8000), std::out_of_range);
    EXPECT_THROW(ram.at(8 * MiB - 4, 8), std::out_of_range);
}

TEST(RamTest, CompareExchangeComparesFirst) {
    const Ram ram(8 * MiB);
    ram.store<uint32_t>(2 * MiB, 5);
    EXPECT_FALSE(ram.compare_exchange<uint32_t>(2 * MiB, 4, 6));
    EXPECT_EQ(ram.load<uint32_t>(2 * MiB), 5u);
    EXPECT_TRUE(ram.compare_exchange<uint32_t>(2 * MiB, 5, 6));
    EXPECT_EQ(*ram.as<uint32_t>(2 * MiB), 6u);
    EXPECT_EQ(*ram.physical_view().pointer<uint32_t>(VirtualAddress(2 * MiB)), 6u);
}

TEST(RamTest, DeviceMemoryIsBackedButIsNoRam) {
    Ram ram(8 * MiB);
    ram.add_device_memory({0xb8000, 32 * KiB});
    EXPECT_TRUE(ram.backs(0xb8000, 32 * KiB));
    EXPECT_FALSE(ram.is_ram(0xb8000));
    EXPECT_EQ(ram.bytes(), 8 * MiB - 384 * KiB);
    ram.add_device_memory({0xfd000000, 4 * MiB});
    ram.store<uint32_t>(0xfd000000, 9);
    EXPECT_EQ(ram.load<uint32_t>(0xfd000000), 9u);
    EXPECT_THROW(ram.add_device_memory({0xb8000, 4 * KiB}), std::invalid_argument);
    EXPECT_THROW(ram.add_device_memory({4 * MiB, 4 * KiB}), std::invalid_argument);
    EXPECT_THROW(ram.add_device_memory({0xe0000001, 4 * KiB}), std::invalid_argument);
    EXPECT_THROW(ram.add_device_memory({0xe0000000, 0}), std::invalid_argument);
}

TEST(RamTest, RefusesSegmentsThatAreNone) {
    EXPECT_THROW(Ram(std::vector<Segment>{}), std::invalid_argument);
    EXPECT_THROW(Ram({{0, 0}}), std::invalid_argument);
    EXPECT_THROW(Ram({{0, 4095}}), std::invalid_argument);
    EXPECT_THROW(Ram({{8192, 4096}, {0, 4096}}), std::invalid_argument);
    EXPECT_THROW(Ram({{0, 8192}, {4096, 8192}}), std::invalid_argument);
    EXPECT_THROW(Ram({{UINT64_MAX & ~uint64_t{4095}, 4096}}), std::invalid_argument);
}

TEST(RamTest, FillsAndCompares) {
    const Ram ram(8 * MiB);
    ram.fill(2 * MiB, 4096, 0x77);
    EXPECT_TRUE(ram.holds(2 * MiB, 4096, 0x77));
    ram.store<uint8_t>(2 * MiB + 4095, 0x78);
    EXPECT_FALSE(ram.holds(2 * MiB, 4096, 0x77));
    EXPECT_TRUE(ram.holds(2 * MiB, 4095, 0x77));

    ram.fill_pattern(3 * MiB, 8192, 42);
    EXPECT_TRUE(ram.holds_pattern(3 * MiB, 8192, 42));
    EXPECT_FALSE(ram.holds_pattern(3 * MiB, 8192, 43));
    EXPECT_FALSE(ram.holds_pattern(3 * MiB + 4096, 4096, 42)) << "pages differ";
    ram.fill_pattern(5 * MiB, 8192, 42);
    EXPECT_TRUE(ram.equal(3 * MiB, 5 * MiB, 8192));
    *ram.as<uint8_t>(5 * MiB + 8191) ^= 1;
    EXPECT_FALSE(ram.equal(3 * MiB, 5 * MiB, 8192));
    EXPECT_FALSE(ram.holds_pattern(5 * MiB, 8192, 42));
}

}  // namespace
}  // namespace quire::sim::test::ram_test
