// SPDX-License-Identifier: MIT
#include "quire/heap/metadata_store.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::heap_internal {
namespace {

class MetadataStoreTest : public testing::Test {
  protected:
    static constexpr size_t bytes = 8 * page_size;

    void SetUp() override {
        account_.start(pages_, platform_);
        unsigned char* const base = account_.reserve(bytes, page_size);
        ASSERT_NE(base, nullptr);
        store_.start(base, bytes, counts_);
    }

    test::ThrowingPlatform platform_;
    test::HostPageSource pages_;
    PageAccount account_;
    uint16_t counts_[bytes / page_size] = {};
    MetadataStore store_;
};

TEST_F(MetadataStoreTest, CommitsNothingBeforeItIsAsked) {
    EXPECT_EQ(pages_.committed_bytes(), 0u);
    ASSERT_NE(store_.allocate(account_, 6), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), page_size);
}

TEST_F(MetadataStoreTest, FillsItsPagesWithoutALoss) {
    std::vector<unsigned char*> pieces;
    for (unsigned shift = MetadataStore::smallest_shift; shift <= page_shift; ++shift) {
        const size_t in_a_page = page_size >> shift;
        for (size_t i = 0; i < (shift == page_shift ? 1 : in_a_page / 2); ++i) {
            const auto piece = store_.allocate(account_, shift);
            ASSERT_NE(piece, nullptr);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % (size_t{1} << shift), 0u);
            // Pieces that overlap would undo each other's contents.
            std::memset(piece, static_cast<int>(shift), size_t{1} << shift);
            for (size_t byte = 0; byte < size_t{1} << shift; ++byte)
                ASSERT_EQ(piece[byte], shift);
            pieces.push_back(piece);
        }
    }
    // Half a page of each size but the last, and a whole one of that.
    EXPECT_EQ(pages_.committed_bytes(), (page_shift - 4 + 1) / 2 * page_size + page_size);
    EXPECT_TRUE(store_.consistent());
}

TEST_F(MetadataStoreTest, GivesAFreedPieceOutAgain) {
    unsigned char* const first = store_.allocate(account_, 5);
    ASSERT_NE(store_.allocate(account_, 5), first);
    store_.free(first, 5);
    EXPECT_EQ(store_.allocate(account_, 5), first);
}

TEST_F(MetadataStoreTest, SplitsAFreedPieceForSmallerOnes) {
    const auto whole = store_.allocate(account_, page_shift);
    ASSERT_NE(whole, nullptr);
    store_.free(whole, page_shift);
    for (size_t i = 0; i < page_size / 16; ++i)
        ASSERT_NE(store_.allocate(account_, 4), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), page_size);
}

TEST_F(MetadataStoreTest, EndsWithItsPart) {
    std::vector<unsigned char*> pieces;
    for (size_t i = 0; i < bytes / page_size; ++i) {
        ASSERT_TRUE(store_.has_room(page_shift));
        pieces.push_back(store_.allocate(account_, page_shift));
        ASSERT_NE(pieces.back(), nullptr);
    }
    EXPECT_FALSE(store_.has_room(MetadataStore::smallest_shift));
    store_.free(pieces[3], page_shift);
    EXPECT_TRUE(store_.has_room(MetadataStore::smallest_shift));
    EXPECT_EQ(store_.allocate(account_, 6), pieces[3]);
    EXPECT_TRUE(store_.has_room(6));
    EXPECT_TRUE(store_.has_room(page_shift - 1));
    EXPECT_FALSE(store_.has_room(page_shift));
}

TEST_F(MetadataStoreTest, PassesOnThatPagesRanOut) {
    pages_.limit_pages(0);
    EXPECT_EQ(store_.allocate(account_, 4), nullptr);
    EXPECT_EQ(account_.failure().error, Error::out_of_frames);
    EXPECT_TRUE(store_.idle());
    EXPECT_EQ(store_.committed_bytes(), 0u);
}

TEST_F(MetadataStoreTest, TrimsPagesInWhichNothingIsInUse) {
    std::vector<unsigned char*> pieces;
    for (size_t i = 0; i < 6 * page_size / 64; ++i)
        pieces.push_back(store_.allocate(account_, 6));
    const auto in_page = [&](size_t page) { return pieces[page * page_size / 64]; };
    // One stays in the first page and in the fourth.
    for (unsigned char* piece : pieces)
        if (piece != in_page(0) && piece != in_page(3)) store_.free(piece, 6);
    std::memset(in_page(0), 0x11, 64);
    std::memset(in_page(3), 0x33, 64);
    store_.trim(account_);
    EXPECT_EQ(pages_.committed_bytes(), 2 * page_size);
    EXPECT_EQ(store_.committed_bytes(), 2 * page_size);
    EXPECT_TRUE(store_.consistent());
    EXPECT_TRUE(store_.has_memory(in_page(0)));
    EXPECT_FALSE(store_.has_memory(in_page(1)));
    EXPECT_TRUE(store_.has_memory(in_page(3)));
    EXPECT_FALSE(store_.has_memory(in_page(4)));
    // Free pieces of the two pages come first, then the pages that were given back, from the first
    // on, and only then others.
    for (size_t i = 0; i < 2 * (page_size / 64 - 1); ++i)
        ASSERT_NE(store_.allocate(account_, 6), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), 2 * page_size);
    for (const size_t page : std::vector<size_t>{1, 2, 4, 5, 6, 7}) {
        EXPECT_TRUE(store_.has_room(page_shift));
        EXPECT_EQ(store_.allocate(account_, page_shift), store_.base() + page * page_size);
        EXPECT_TRUE(store_.consistent());
    }
    EXPECT_FALSE(store_.has_room(6));
    EXPECT_EQ(in_page(0)[63], 0x11);
    EXPECT_EQ(in_page(3)[63], 0x33);
}

TEST_F(MetadataStoreTest, APageThatWasGivenBackAndCannotBeHadAgainStaysSo) {
    unsigned char* const first = store_.allocate(account_, page_shift);
    unsigned char* const last = store_.allocate(account_, page_shift);
    ASSERT_NE(last, nullptr);
    store_.free(first, page_shift);
    store_.trim(account_);
    ASSERT_EQ(pages_.committed_bytes(), page_size);
    pages_.limit_pages(1);
    EXPECT_EQ(store_.allocate(account_, 4), nullptr);
    EXPECT_EQ(store_.committed_bytes(), page_size);
    EXPECT_TRUE(store_.consistent());
    pages_.limit_pages(2);
    EXPECT_EQ(store_.allocate(account_, 4), first);
    EXPECT_TRUE(store_.consistent());
}

TEST_F(MetadataStoreTest, WhatTheSourceKeepsServesAgain) {
    const auto piece = store_.allocate(account_, 4);
    ASSERT_NE(piece, nullptr);
    store_.trim(account_);
    EXPECT_EQ(pages_.committed_bytes(), page_size);
    store_.free(piece, 4);
    pages_.refuse_decommit(true);
    store_.trim(account_);
    EXPECT_EQ(store_.committed_bytes(), page_size);
    EXPECT_TRUE(store_.consistent());
    // Whole again.
    EXPECT_EQ(store_.allocate(account_, page_shift), store_.base());
    store_.free(store_.base(), page_shift);
    pages_.refuse_decommit(false);
    store_.trim(account_);
    EXPECT_EQ(pages_.committed_bytes(), 0u);
    EXPECT_EQ(account_.committed_bytes(), 0u);
    EXPECT_NE(store_.allocate(account_, 4), nullptr);
}

TEST_F(MetadataStoreTest, NoticesALinkThatWasOverwritten) {
    const auto piece = store_.allocate(account_, 6);
    ASSERT_NE(piece, nullptr);
    ASSERT_TRUE(store_.consistent());
    // The other half of the split is free: its link lies behind.
    unsigned char* const free_piece = piece + 64;
    const uintptr_t astray = reinterpret_cast<uintptr_t>(piece) + 8;
    std::memcpy(free_piece, &astray, sizeof astray);
    EXPECT_FALSE(store_.consistent());
    const uintptr_t ring = reinterpret_cast<uintptr_t>(free_piece);
    std::memcpy(free_piece, &ring, sizeof ring);
    EXPECT_FALSE(store_.consistent());
}

}  // namespace
}  // namespace quire::heap_internal
