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
    EXPECT_EQ(bits_.find(0), 0u);
    bits_.take(0, 0);
    EXPECT_EQ(bits_.find(0), 1u);
    EXPECT_EQ(bits_.find(1), 2u);
    EXPECT_EQ(bits_.find(2), 4u);
    bits_.take(2, 1);
    EXPECT_EQ(bits_.find(1), 4u);
    EXPECT_EQ(bits_.find(0), 1u);
}

TEST_F(SlotBitsTest, FindsNothingBeyondTheLastSlot) {
    for (size_t slots : {size_t{4}, size_t{8}, size_t{68}, size_t{128}}) {
        start(slots);
        for (size_t slot = 0; slot < slots; slot += 4) {
            ASSERT_EQ(bits_.find(2), slot);
            bits_.take(slot, 2);
        }
        for (unsigned order = 0; order < span_orders; ++order)
            EXPECT_EQ(bits_.find(order), SlotBits::none);
        EXPECT_EQ(bits_.taken_slots(), slots);
    }
}

TEST_F(SlotBitsTest, WhatIsPutBackIsFoundAgain) {
    start(512);
    for (size_t slot = 0; slot < 512; slot += 4)
        bits_.take(bits_.find(2), 2);
    EXPECT_EQ(bits_.find(0), SlotBits::none);
    bits_.put_back(300, 0);
    EXPECT_FALSE(bits_.taken(300));
    EXPECT_TRUE(bits_.taken(301));
    EXPECT_EQ(bits_.find(0), 300u);
    EXPECT_EQ(bits_.find(1), SlotBits::none);
    bits_.put_back(301, 0);
    EXPECT_EQ(bits_.find(1), 300u);
    EXPECT_EQ(bits_.find(2), SlotBits::none);
    bits_.put_back(302, 1);
    EXPECT_EQ(bits_.find(2), 300u);
}

TEST_F(SlotBitsTest, AgreesWithASearchSlotBySlot) {
    std::mt19937 random(7);
    constexpr size_t slots = 200;
    start(slots);
    std::vector<bool> taken(slots);
    std::vector<std::pair<size_t, unsigned>> runs;
    for (int step = 0; step < 20000; ++step) {
        const auto order = static_cast<unsigned>(random() % span_orders);
        if (random() % 2 == 0 && !runs.empty()) {
            std::swap(runs[random() % runs.size()], runs.back());
            const auto [slot, of_order] = runs.back();
            runs.pop_back();
            bits_.put_back(slot, of_order);
            for (size_t i = 0; i < size_t{1} << of_order; ++i)
                taken[slot + i] = false;
            continue;
        }
        size_t expected = SlotBits::none;
        for (size_t slot = 0; slot < slots && expected == SlotBits::none;
             slot += size_t{1} << order) {
            bool free = true;
            for (size_t i = 0; i < size_t{1} << order; ++i)
                free = free && !taken[slot + i];
            if (free) expected = slot;
        }
        ASSERT_EQ(bits_.find(order), expected);
        if (expected == SlotBits::none) continue;
        bits_.take(expected, order);
        runs.emplace_back(expected, order);
        for (size_t i = 0; i < size_t{1} << order; ++i)
            taken[expected + i] = true;
    }
}

}  // namespace
}  // namespace quire::heap_internal
