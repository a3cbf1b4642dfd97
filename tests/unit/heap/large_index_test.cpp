// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "quire/config.hpp"
#include "quire/heap/large_block.hpp"

namespace quire::heap_internal {
namespace {

unsigned char* at_page(uintptr_t page) {
    return reinterpret_cast<unsigned char*>(page * page_size);
}

LargeBlock block_at(uintptr_t page, size_t pages) {
    return LargeBlock{nullptr, nullptr, at_page(page), 1, page_size, pages * page_size};
}

TEST(LargeIndex, FindsTheBlockThatHoldsAnAddress) {
    LargeIndex index;
    LargeBlock low = block_at(10, 4), high = block_at(14, 2);
    index.insert(high);
    index.insert(low);
    EXPECT_EQ(index.find(at_page(10)), &low);
    EXPECT_EQ(index.find(at_page(14) - 1), &low);
    EXPECT_EQ(index.find(at_page(14)), &high);
    EXPECT_EQ(index.find(at_page(10) - 1), nullptr);
    EXPECT_EQ(index.find(at_page(16)), nullptr);
    EXPECT_EQ(index.first(), &low);
    EXPECT_EQ(index.after(low), &high);
    EXPECT_EQ(index.after(high), nullptr);
    index.remove(low);
    EXPECT_EQ(index.find(at_page(10)), nullptr);
    EXPECT_EQ(index.find(at_page(14)), &high);
}

TEST(LargeIndex, TheLastIsTheOneThatCameLastWhileItIsThere) {
    LargeIndex index;
    LargeBlock low = block_at(10, 4), high = block_at(14, 2);
    EXPECT_EQ(index.last(), nullptr);
    index.insert(high);
    index.insert(low);
    EXPECT_EQ(index.last(), &low);
    index.remove(high);
    EXPECT_EQ(index.last(), &low);
    index.remove(low);
    EXPECT_EQ(index.last(), nullptr);
}

TEST(LargeIndex, AgreesWithAMapWhateverComesAndGoes) {
    std::mt19937 random(11);
    LargeIndex index;
    std::map<uintptr_t, std::unique_ptr<LargeBlock>> model;
    for (int step = 0; step < 20000; ++step) {
        // Blocks of four pages at multiples of four: dense enough to touch, never to overlap.
        const uintptr_t page = (random() % 600 + 1) * 4;
        const auto found = model.find(page);
        if (found != model.end()) {
            ASSERT_EQ(index.find(at_page(page) + random() % (4 * page_size)), found->second.get());
            index.remove(*found->second);
            model.erase(found);
        } else {
            ASSERT_EQ(index.find(at_page(page)), nullptr);
            auto block = std::make_unique<LargeBlock>(block_at(page, 4));
            index.insert(*block);
            model[page] = std::move(block);
        }
        ASSERT_EQ(index.size(), model.size());
        if (step % 500 != 0) continue;
        ASSERT_TRUE(index.consistent());
        const LargeBlock* block = index.first();
        for (const auto& [expected_page, expected] : model) {
            ASSERT_EQ(block, expected.get());
            block = index.after(*block);
        }
        ASSERT_EQ(block, nullptr);
    }
}

TEST(LargeIndex, NoticesBrokenOrder) {
    LargeIndex index;
    LargeBlock blocks[] = {block_at(10, 4), block_at(20, 4), block_at(30, 4)};
    for (LargeBlock& block : blocks)
        index.insert(block);
    ASSERT_TRUE(index.consistent());
    blocks[1].base = at_page(32);
    EXPECT_FALSE(index.consistent());
    blocks[1].base = at_page(20);
    blocks[0].reserved = 11 * page_size;  // reaches into the next one
    EXPECT_FALSE(index.consistent());
}

}  // namespace
}  // namespace quire::heap_internal
