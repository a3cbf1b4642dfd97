// SPDX-License-Identifier: MIT
#include "quire/base/bits.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>

namespace quire::test {
namespace {

TEST(Bits, PowersOfTwo) {
    EXPECT_FALSE(is_power_of_two(0u));
    for (unsigned bit = 0; bit < 64; ++bit) {
        const uint64_t value = uint64_t{1} << bit;
        EXPECT_TRUE(is_power_of_two(value));
        if (bit > 0) {
            EXPECT_FALSE(is_power_of_two(value + 1));
        }
        if (bit > 1) {
            EXPECT_FALSE(is_power_of_two(value - 1));
        }
    }
    EXPECT_TRUE(is_power_of_two(uint8_t{128}));
}

TEST(Bits, LowestAndHighest) {
    for (unsigned bit = 0; bit < 64; ++bit) {
        const uint64_t value = uint64_t{1} << bit;
        EXPECT_EQ(lowest_bit(value), bit);
        EXPECT_EQ(highest_bit(value), bit);
        EXPECT_EQ(lowest_bit(~uint64_t{0} << bit), bit);
        EXPECT_EQ(highest_bit(~uint64_t{0} >> (63 - bit)), bit);
        EXPECT_EQ(lowest_bit(value | uint64_t{1} << 63), bit);
        EXPECT_EQ(highest_bit(value | 1), bit);
    }
}

TEST(BitsDeathTest, OfZeroThereIsNoLowestAndNoHighest) {
    EXPECT_DEATH((void)lowest_bit(0), "");
    EXPECT_DEATH((void)highest_bit(0), "");
}

TEST(Bits, LogarithmsRoundUp) {
    EXPECT_EQ(log2_ceil(0), 0u);
    EXPECT_EQ(log2_ceil(1), 0u);
    EXPECT_EQ(log2_ceil(2), 1u);
    EXPECT_EQ(log2_ceil(3), 2u);
    EXPECT_EQ(log2_ceil(4), 2u);
    EXPECT_EQ(log2_ceil(5), 3u);
    EXPECT_EQ(log2_ceil(uint64_t{1} << 63), 63u);
    EXPECT_EQ(log2_ceil((uint64_t{1} << 63) + 1), 64u);
    EXPECT_EQ(log2_ceil(UINT64_MAX), 64u);
}

TEST(Bits, AreCountedAsTheStandardLibraryDoes) {
    EXPECT_EQ(count_bits(0), 0u);
    EXPECT_EQ(count_bits(UINT64_MAX), 64u);
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; ++i) {
        const uint64_t value = random() & random();
        EXPECT_EQ(count_bits(value), static_cast<unsigned>(std::popcount(value)));
    }
}

TEST(Bits, RunsAreWhereAndAsLongAsAsked) {
    for (unsigned first = 0; first <= 64; ++first) {
        for (unsigned count = 0; first + count <= 64; ++count) {
            uint64_t expected = 0;
            for (unsigned bit = first; bit < first + count; ++bit)
                expected |= uint64_t{1} << bit;
            EXPECT_EQ(bit_run(first, count), expected) << first << " " << count;
        }
    }
}

TEST(BitsDeathTest, RunsEndWithTheWord) {
    EXPECT_DEATH((void)bit_run(0, 65), "");
    EXPECT_DEATH((void)bit_run(64, 1), "");
    EXPECT_DEATH((void)bit_run(65, 0), "");
    EXPECT_DEATH((void)bit_run(2, UINT32_MAX), "");
}

TEST(Bits, RoundToUnits) {
    EXPECT_EQ(round_down(0, 16), 0u);
    EXPECT_EQ(round_down(15, 16), 0u);
    EXPECT_EQ(round_down(16, 16), 16u);
    EXPECT_EQ(round_up(0, 16), 0u);
    EXPECT_EQ(round_up(1, 16), 16u);
    EXPECT_EQ(round_up(16, 16), 16u);
    EXPECT_EQ(round_up(17, 1), 17u);
    EXPECT_EQ(round_up(UINT64_MAX - 15, 16), UINT64_MAX - 15);
    EXPECT_EQ(round_down(UINT64_MAX, uint64_t{1} << 63), uint64_t{1} << 63);
}

TEST(BitsDeathTest, RoundingUpNeverWraps) {
    EXPECT_DEATH((void)round_up(UINT64_MAX - 14, 16), "");
    EXPECT_DEATH((void)round_up(UINT64_MAX, 2), "");
}

TEST(Bits, AreConstantsToo) {
    static_assert(count_bits(0xff) == 8 && highest_bit(0x100) == 8 && lowest_bit(0x100) == 8);
    static_assert(bit_width_of<uint32_t> == 32 && round_up(5, 8) == 8);
}

}  // namespace
}  // namespace quire::test
