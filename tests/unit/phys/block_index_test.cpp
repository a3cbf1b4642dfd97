// SPDX-License-Identifier: MIT
#include "quire/phys/block_index.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire {
namespace {

class BlockIndexTest : public ::testing::Test {
  protected:
    BlockIndexTest() : headers(16) {}
    Span<BlockHeader> all() { return {headers.data(), headers.size()}; }
    void add(uint32_t block, unsigned free, unsigned largest) {
        headers[block].free = static_cast<uint16_t>(free);
        headers[block].largest = static_cast<uint8_t>(largest);
        index.insert(all(), block);
    }
    uint32_t listed() { return index.check(all(), 0).value_or(no_block); }

    std::vector<BlockHeader> headers;
    BlockIndex index;
};

TEST_F(BlockIndexTest, FullnessIsLogarithmicInUsedFrames) {
    EXPECT_EQ(BlockIndex::fullness(512), 0u);
    EXPECT_EQ(BlockIndex::fullness(511), 1u);
    EXPECT_EQ(BlockIndex::fullness(510), 2u);
    EXPECT_EQ(BlockIndex::fullness(509), 2u);
    EXPECT_EQ(BlockIndex::fullness(508), 3u);
    EXPECT_EQ(BlockIndex::fullness(257), 8u);
    EXPECT_EQ(BlockIndex::fullness(256), 9u);
    EXPECT_EQ(BlockIndex::fullness(1), 9u);
}

TEST_F(BlockIndexTest, FindsNothingWhenEmpty) {
    for (unsigned order = 0; order <= block_order; ++order)
        EXPECT_EQ(index.find(order), no_block);
    EXPECT_EQ(listed(), 0u);
}

TEST_F(BlockIndexTest, FullBlocksAreNotListed) {
    add(3, 0, BlockBits::no_hole);
    EXPECT_EQ(index.find(0), no_block);
    EXPECT_EQ(listed(), 0u);
    index.remove(all(), 3);
    EXPECT_EQ(listed(), 0u);
}

TEST_F(BlockIndexTest, FullestClassComesFirst) {
    add(0, 512, 9);
    add(1, 500, 7);
    add(2, 100, 4);
    add(3, 300, 8);
    EXPECT_EQ(index.find(0), 2u);
    EXPECT_EQ(index.find(4), 2u);
    EXPECT_EQ(index.find(5), 3u);
    EXPECT_EQ(index.find(8), 3u);
    EXPECT_EQ(index.find(9), 0u);
}

TEST_F(BlockIndexTest, SmallestSufficientHoleInTheClass) {
    add(0, 100, 6);
    add(1, 100, 2);
    add(2, 100, 4);
    EXPECT_EQ(index.find(0), 1u);
    EXPECT_EQ(index.find(3), 2u);
    EXPECT_EQ(index.find(5), 0u);
    EXPECT_EQ(index.find(7), no_block);
}

TEST_F(BlockIndexTest, RemovesFromEveryPlaceOfAList) {
    for (const uint32_t victim : {0u, 1u, 2u}) {
        for (uint32_t block = 0; block < 3; ++block)
            add(block, 100, 4);
        EXPECT_EQ(index.find(4), 2u);  // the latest is the first
        index.remove(all(), victim);
        EXPECT_EQ(listed(), 2u);
        for (uint32_t block = 0; block < 3; ++block)
            if (block != victim) index.remove(all(), block);
        EXPECT_EQ(listed(), 0u);
        EXPECT_EQ(index.find(0), no_block);
    }
}

TEST_F(BlockIndexTest, CheckFindsBlocksInTheWrongList) {
    add(5, 100, 4);
    EXPECT_EQ(listed(), 1u);
    headers[5].largest = 5;
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 5));
    headers[5].largest = 4;
    headers[5].free = 300;
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 5));
    headers[5].free = 100;
    headers[5].index = 2;
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 5));
}

TEST_F(BlockIndexTest, CheckFindsEveryBitThatFlips) {
    add(5, 100, 4);
    add(6, 100, 4);
    add(7, 511, 8);
    auto* bytes = reinterpret_cast<unsigned char*>(&index);
    for (size_t at = 0; at < sizeof(index); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            bytes[at] = static_cast<unsigned char>(bytes[at] ^ 1u << bit);
            // A list may have lost its first block: then there are fewer than with free frames.
            EXPECT_NE(listed(), 3u) << at;
            bytes[at] = static_cast<unsigned char>(bytes[at] ^ 1u << bit);
        }
    }
    EXPECT_EQ(listed(), 3u);
}

TEST_F(BlockIndexTest, CheckFindsBrokenLinks) {
    add(5, 100, 4);
    add(6, 100, 4);
    add(7, 100, 4);
    headers[6].previous = 5;
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 6));
    headers[6].previous = 7;
    headers[5].next = 7;  // a circle
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 7));
    headers[5].next = 16;  // past the end
    EXPECT_TRUE(test::fails_with(index.check(all(), 0), Error::corrupted, 16));
}

}  // namespace
}  // namespace quire
