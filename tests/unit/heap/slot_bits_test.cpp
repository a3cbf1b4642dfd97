// SPDX-License-Identifier: MIT
#include "quire/heap/slot_bits.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace quire::heap_internal {
namespace {

class SlotBitsTest : public testing::Test {
  protected:
    void start(size_t slots) {
        words_.assign(SlotBits::bytes_for(slots) / sizeof(size_t), 0);
        bits_.start(words_.data(), slots);
    }

    std::vector<size_t> words_;
    SlotBits bits_;
};

TEST_F(SlotBitsTest, FindsTheLowestAlignedRun) {
    start(256);
    EXPECT_EQ(bits_.find(1), 0u);
    bits_.take(0, 1);
    EXPECT_EQ(bits_.find(1), 1u);
    EXPECT_EQ(bits_.find(2), 2u);
    EXPECT_EQ(bits_.find(4), 4u);
    bits_.take(2, 2);
    EXPECT_EQ(bits_.find(2), 4u);
    EXPECT_EQ(bits_.find(1), 1u);
}

TEST_F(SlotBitsTest, FindsNothingBeyondTheLastSlot) {
    for (size_t slots : {size_t{4}, size_t{8}, size_t{68}, size_t{128}}) {
        start(slots);
        for (size_t slot = 0; slot < slots; slot += 4) {
            ASSERT_EQ(bits_.find(4), slot);
            bits_.take(slot, 4);
        }
        for (unsigned order = 0; order < span_orders; ++order)
            EXPECT_EQ(bits_.find(1u << order), SlotBits::none);
        EXPECT_EQ(bits_.taken_slots(), slots);
    }
}

TEST_F(SlotBitsTest, WhatIsPutBackIsFoundAgain) {
    start(512);
    for (size_t slot = 0; slot < 512; slot += 4)
        bits_.take(bits_.find(4), 4);
    EXPECT_EQ(bits_.find(1), SlotBits::none);
    bits_.put_back(300, 1);
    EXPECT_FALSE(bits_.taken(300));
    EXPECT_TRUE(bits_.taken(301));
    EXPECT_EQ(bits_.find(1), 300u);
    EXPECT_EQ(bits_.find(2), SlotBits::none);
    bits_.put_back(301, 1);
    EXPECT_EQ(bits_.find(2), 300u);
    EXPECT_EQ(bits_.find(4), SlotBits::none);
    bits_.put_back(302, 2);
    EXPECT_EQ(bits_.find(4), 300u);
}

TEST_F(SlotBitsTest, LongRunsLieAnywhere) {
    start(256);
    bits_.take(0, 1);
    EXPECT_EQ(bits_.find(3), 1u);
    EXPECT_EQ(bits_.find(64), 1u);
    bits_.take(1, 100);
    EXPECT_TRUE(bits_.taken(100));
    EXPECT_FALSE(bits_.taken(101));
    EXPECT_TRUE(bits_.free_at(101, 155));
    EXPECT_FALSE(bits_.free_at(101, 156)) << "there is no more";
    EXPECT_FALSE(bits_.free_at(100, 1));
    EXPECT_EQ(bits_.taken_slots(), 101u);
    bits_.put_back(60, 10);
    EXPECT_EQ(bits_.find(9), 60u);
    EXPECT_EQ(bits_.find(11), 101u);
    EXPECT_EQ(bits_.find(156), SlotBits::none);
}

TEST_F(SlotBitsTest, AgreesWithASearchSlotBySlot) {
    std::mt19937 random(7);
    constexpr size_t slots = 200;
    start(slots);
    std::vector<bool> taken(slots);
    const auto mark = [&](size_t slot, unsigned length, bool value) {
        for (size_t i = 0; i < length; ++i)
            taken[slot + i] = value;
    };
    std::vector<std::pair<size_t, unsigned>> runs;
    for (int step = 0; step < 20000; ++step) {
        const auto length = static_cast<unsigned>(random() % 4 == 0 ? 1 + random() % 70
                                                                    : 1u << random() % span_orders);
        const bool aligned = length <= SlotBits::aligned_slots && (length & (length - 1)) == 0;
        if (random() % 2 == 0 && !runs.empty()) {
            std::swap(runs[random() % runs.size()], runs.back());
            const auto [slot, of_length] = runs.back();
            runs.pop_back();
            bits_.put_back(slot, of_length);
            mark(slot, of_length, false);
            continue;
        }
        size_t expected = SlotBits::none;
        for (size_t slot = 0; slot + length <= slots && expected == SlotBits::none;
             slot += aligned ? length : 1) {
            bool free = true;
            for (size_t i = 0; i < length; ++i)
                free = free && !taken[slot + i];
            ASSERT_EQ(bits_.free_at(slot, length), free);
            if (free) expected = slot;
        }
        ASSERT_EQ(bits_.find(length), expected);
        if (expected == SlotBits::none) continue;
        bits_.take(expected, length);
        runs.emplace_back(expected, length);
        mark(expected, length, true);
    }
}

}  // namespace
}  // namespace quire::heap_internal
