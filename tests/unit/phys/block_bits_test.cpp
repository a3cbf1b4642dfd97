// SPDX-License-Identifier: MIT
#include "quire/phys/block_bits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

namespace quire {
namespace {

// Numbers that look random, and are the same each time.
class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }

  private:
    std::mt19937 engine_;
};

// The same bitmap as an array of bool, with every question answered by trying.
struct Naive {
    std::array<bool, block_frames> free{};

    bool hole_at(unsigned first, unsigned order) const {
        return std::all_of(free.begin() + first, free.begin() + first + (1u << order),
                           [](bool f) { return f; });
    }
    unsigned largest() const {
        for (unsigned order = block_order + 1; order-- > 0;)
            for (unsigned first = 0; first < block_frames; first += 1u << order)
                if (hole_at(first, order)) return order;
        return BlockBits::no_hole;
    }
    // The lowest hole of exactly the smallest sufficient order: one that is not half of a larger.
    Hole smallest(unsigned wanted) const {
        for (unsigned order = wanted; order <= block_order; ++order) {
            for (unsigned first = 0; first < block_frames; first += 1u << order) {
                const unsigned parent = first >> (order + 1) << (order + 1);
                if (!hole_at(first, order)) continue;
                if (order < block_order && hole_at(parent, order + 1)) continue;
                return {first, order};
            }
        }
        return {0, BlockBits::no_hole};
    }
    unsigned next(unsigned from, bool value) const {
        while (from < block_frames && free[from] != value)
            ++from;
        return from;
    }
};

void expect_same(const BlockBits& bits, const Naive& naive) {
    const unsigned largest = naive.largest();
    ASSERT_EQ(bits.count(),
              static_cast<unsigned>(std::count(naive.free.begin(), naive.free.end(), true)));
    ASSERT_EQ(bits.largest_order(), largest);
    if (largest == BlockBits::no_hole) return;
    for (unsigned bound = largest; bound <= block_order; ++bound)
        ASSERT_EQ(bits.largest_order(bound), largest);
    for (unsigned order = 0; order <= largest; ++order) {
        const Hole hole = bits.smallest_hole(order);
        const Hole expected = naive.smallest(order);
        ASSERT_EQ(hole.first, expected.first) << "order " << order;
        ASSERT_EQ(hole.order, expected.order) << "order " << order;
    }
}

TEST(BlockBits, StartsAsTold) {
    BlockBits bits;
    bits.set_all();
    EXPECT_EQ(bits.count(), 512u);
    EXPECT_EQ(bits.largest_order(), 9u);
    EXPECT_EQ(bits.smallest_hole(3).first, 0u);
    EXPECT_EQ(bits.smallest_hole(3).order, 9u);
    EXPECT_EQ(bits.next_clear(0), BlockBits::nowhere);
    bits.clear_all();
    EXPECT_EQ(bits.count(), 0u);
    EXPECT_EQ(bits.largest_order(), BlockBits::no_hole);
    EXPECT_EQ(bits.next_set(0), BlockBits::nowhere);
}

TEST(BlockBits, RunsOfEveryPlaceAndLength) {
    for (unsigned first = 0; first < block_frames; first += 7) {
        for (unsigned count = 1; count <= block_frames - first; count += 11) {
            BlockBits bits;
            bits.clear_all();
            bits.set(first, count);
            ASSERT_EQ(bits.count(), count);
            ASSERT_EQ(bits.next_set(0), first);
            ASSERT_EQ(bits.next_clear(first), first + count);
            ASSERT_EQ(bits.next_set(first + count), BlockBits::nowhere);
            ASSERT_TRUE(bits.all_set(first, count));
            if (first + count < block_frames) {
                ASSERT_FALSE(bits.all_set(first, count + 1));
            }
            if (first > 0) {
                ASSERT_FALSE(bits.all_set(first - 1, 2));
            }
            bits.set_all();
            bits.clear(first, count);
            ASSERT_EQ(bits.count(), block_frames - count);
            ASSERT_EQ(bits.next_clear(0), first);
        }
    }
}

TEST(BlockBits, SearchFromTheEndFindsNothing) {
    BlockBits bits;
    bits.set_all();
    EXPECT_EQ(bits.next_set(block_frames), BlockBits::nowhere);
    EXPECT_EQ(bits.next_clear(block_frames), BlockBits::nowhere);
    EXPECT_EQ(bits.next_set(block_frames - 1), block_frames - 1);
}

TEST(BlockBits, PrefersTheSmallestHole) {
    BlockBits bits;
    bits.clear_all();
    bits.set(0, 256);   // a hole of order 8
    bits.set(300, 1);   // of order 0
    bits.set(320, 64);  // of order 6
    bits.set(392, 8);   // of order 3
    EXPECT_EQ(bits.smallest_hole(0).first, 300u);
    EXPECT_EQ(bits.smallest_hole(1).first, 392u);
    EXPECT_EQ(bits.smallest_hole(3).first, 392u);
    EXPECT_EQ(bits.smallest_hole(4).first, 320u);
    EXPECT_EQ(bits.smallest_hole(6).first, 320u);
    EXPECT_EQ(bits.smallest_hole(7).first, 0u);
    EXPECT_EQ(bits.smallest_hole(7).order, 8u);
}

TEST(BlockBits, HolesAreAligned) {
    BlockBits bits;
    bits.clear_all();
    bits.set(63, 2);  // two frames, but neither word nor pair has both
    EXPECT_EQ(bits.largest_order(), 0u);
    bits.set(32, 64);  // two halves of different words
    EXPECT_EQ(bits.largest_order(), 5u);
    bits.set(64, 128);  // two words that are no pair
    EXPECT_EQ(bits.largest_order(), 6u);
}

TEST(BlockBits, SubsetIsBitByBit) {
    BlockBits some;
    BlockBits all;
    some.clear_all();
    all.clear_all();
    all.set(100, 200);
    EXPECT_TRUE(some.is_subset_of(all));
    some.set(100, 200);
    EXPECT_TRUE(some.is_subset_of(all));
    some.set(300, 1);
    EXPECT_FALSE(some.is_subset_of(all));
    EXPECT_TRUE(all.is_subset_of(some));
}

// Runs set and cleared at random, against the naive bitmap.
TEST(BlockBits, AgreesWithTheNaiveBitmap) {
    Random random(20240917);
    for (unsigned round = 0; round < 60; ++round) {
        BlockBits bits;
        bits.clear_all();
        Naive naive;
        const unsigned longest = 1u << (round % 10);
        for (unsigned step = 0; step < 60; ++step) {
            const unsigned first = random.below(block_frames);
            const unsigned count = 1 + random.below(std::min(longest, block_frames - first));
            const bool value = random.below(2) == 0;
            value ? bits.set(first, count) : bits.clear(first, count);
            std::fill_n(naive.free.begin() + first, count, value);
            expect_same(bits, naive);
            const unsigned from = random.below(block_frames + 1);
            ASSERT_EQ(bits.next_set(from), naive.next(from, true));
            ASSERT_EQ(bits.next_clear(from), naive.next(from, false));
            unsigned start = from;
            while (start > 0 && naive.free[start - 1])
                --start;
            ASSERT_EQ(bits.start_of_run_below(from), start);
            ASSERT_EQ(bits.all_set(first, count), naive.next(first, false) >= first + count);
        }
    }
}

// Holes and alignments show best where most is free or most is taken.
TEST(BlockBits, AgreesWhenNearlyFullAndNearlyEmpty) {
    Random random(4711);
    for (unsigned round = 0; round < 400; ++round) {
        const bool base = round % 2 == 0;
        BlockBits bits;
        base ? bits.set_all() : bits.clear_all();
        Naive naive;
        naive.free.fill(base);
        for (unsigned i = 0; i < 1 + round / 20; ++i) {
            const unsigned order = random.below(7);
            const unsigned places = block_frames >> order;
            const unsigned first = random.below(places) << order;
            base ? bits.clear(first, 1u << order) : bits.set(first, 1u << order);
            std::fill_n(naive.free.begin() + first, 1u << order, !base);
        }
        expect_same(bits, naive);
    }
}

TEST(BlockBits, LargestHoleFollowsFrees) {
    Random random(99);
    for (unsigned round = 0; round < 200; ++round) {
        BlockBits bits;
        bits.clear_all();
        unsigned largest = bits.largest_order();
        while (bits.count() < block_frames) {
            const unsigned first = bits.next_clear(random.below(block_frames));
            if (first == BlockBits::nowhere) continue;
            const unsigned room = std::min(bits.next_set(first), block_frames) - first;
            const unsigned count = round % 3 == 0 ? 1 : 1 + random.below(room);
            bits.set(first, count);
            largest = bits.largest_order_after_set(largest, first, count);
            ASSERT_EQ(largest, bits.largest_order()) << first << " " << count;
        }
        ASSERT_EQ(largest, block_order);
    }
}

}  // namespace
}  // namespace quire
