// SPDX-License-Identifier: MIT
#include "quire/heap/metadata_store.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <vector>

#include "heap_fixture.hpp"

namespace quire::heap_internal {
namespace {

// A segment of 128 pages, whose counts take 256 bytes, and a few pages of the next.
class MetadataStoreTest : public testing::Test {
  protected:
    static constexpr size_t segment = 128 * page_size;
    static constexpr size_t counts = 256;
    static constexpr size_t bytes = segment + 8 * page_size;
    static constexpr unsigned largest = MetadataStore::largest_shift;

    void SetUp() override {
        account_.start(pages_, platform_);
        unsigned char* const base = account_.reserve(bytes, page_size);
        ASSERT_NE(base, nullptr);
        store_.start(base, bytes);
    }
    size_t page_of(const unsigned char* piece) const {
        return static_cast<size_t>(piece - store_.base()) / page_size;
    }
    // Pieces, until there is no room for another.
    std::vector<unsigned char*> fill(unsigned shift) {
        std::vector<unsigned char*> pieces;
        while (store_.has_room(shift)) {
            pieces.push_back(store_.allocate(account_, shift));
            if (pieces.back() == nullptr) break;
        }
        return pieces;
    }

    test::ThrowingPlatform platform_;
    test::HostPageSource pages_;
    PageAccount account_;
    MetadataStore store_;
};

TEST_F(MetadataStoreTest, CommitsNothingBeforeItIsAsked) {
    EXPECT_EQ(pages_.committed_bytes(), 0u);
    ASSERT_NE(store_.allocate(account_, 6), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), page_size);
}

TEST_F(MetadataStoreTest, FillsItsPagesWithoutALoss) {
    for (unsigned shift = MetadataStore::smallest_shift; shift <= largest; ++shift) {
        const std::vector<unsigned char*> pieces = fill(shift);
        EXPECT_FALSE(store_.has_room(shift));
        // Two segments have their counts, and beside them no piece that is larger.
        const size_t lost = 2 * max(counts, size_t{1} << shift);
        EXPECT_EQ(pieces.size(), (bytes - lost) >> shift);
        EXPECT_EQ(pages_.committed_bytes(), bytes);
        for (unsigned char* piece : pieces) {
            EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % (size_t{1} << shift), 0u);
            // Pieces that overlap would undo each other's contents.
            std::memset(piece, static_cast<int>(shift), size_t{1} << shift);
        }
        EXPECT_TRUE(store_.consistent());
        for (unsigned char* piece : pieces)
            store_.free(piece, shift);
        EXPECT_TRUE(store_.consistent());
        store_.trim(account_);
        EXPECT_EQ(pages_.committed_bytes(), 0u);
    }
}

TEST_F(MetadataStoreTest, GivesAFreedPieceOutAgain) {
    unsigned char* const first = store_.allocate(account_, 5);
    ASSERT_NE(store_.allocate(account_, 5), first);
    store_.free(first, 5);
    EXPECT_EQ(store_.allocate(account_, 5), first);
}

TEST_F(MetadataStoreTest, SplitsAFreedPieceForSmallerOnes) {
    const auto half = store_.allocate(account_, largest);
    ASSERT_NE(half, nullptr);
    store_.free(half, largest);
    for (size_t i = 0; i < (page_size - counts) / 16; ++i)
        ASSERT_NE(store_.allocate(account_, 4), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), page_size);
}

TEST_F(MetadataStoreTest, EndsWithItsPart) {
    const std::vector<unsigned char*> pieces = fill(largest);
    EXPECT_TRUE(store_.has_room(largest - 1));  // beside the counts
    EXPECT_FALSE(store_.has_room(largest));
    store_.free(pieces[3], largest);
    EXPECT_TRUE(store_.has_room(largest));
    EXPECT_EQ(store_.allocate(account_, largest), pieces[3]);
    EXPECT_FALSE(store_.has_room(largest));
}

TEST_F(MetadataStoreTest, PassesOnThatPagesRanOut) {
    pages_.limit_pages(0);
    EXPECT_EQ(store_.allocate(account_, 4), nullptr);
    EXPECT_EQ(account_.failure().error, Error::out_of_frames);
    EXPECT_TRUE(store_.idle());
    EXPECT_EQ(store_.committed_bytes(), 0u);
}

TEST_F(MetadataStoreTest, TrimsPagesInWhichNothingIsInUse) {
    const std::vector<unsigned char*> pieces = fill(6);
    const size_t kept_pages[] = {1, 4, 127, 130};
    std::vector<unsigned char*> kept(std::size(kept_pages));
    for (unsigned char* piece : pieces) {
        bool keep = false;
        for (size_t i = 0; i < std::size(kept_pages); ++i) {
            if (page_of(piece) != kept_pages[i] || kept[i] != nullptr) continue;
            kept[i] = piece;
            std::memset(piece, static_cast<int>(i), 64);
            keep = true;
        }
        if (!keep) store_.free(piece, 6);
    }
    store_.trim(account_);
    EXPECT_TRUE(store_.consistent());
    // Beside these, the first page of each segment.
    EXPECT_EQ(pages_.committed_bytes(), 6 * page_size);
    EXPECT_EQ(store_.committed_bytes(), 6 * page_size);
    for (const size_t page : std::vector<size_t>{0, 1, 4, 127, 128, 130})
        EXPECT_TRUE(store_.has_memory(store_.base() + page * page_size)) << page;
    for (const size_t page : std::vector<size_t>{2, 3, 5, 126, 129, 131, 135})
        EXPECT_FALSE(store_.has_memory(store_.base() + page * page_size)) << page;
    // Free pieces of the pages that stayed come first, then the pages that were given back, from
    // the first on, and only then others.
    const size_t free_pieces = 2 * (page_size - counts) / 64 + 4 * (page_size / 64 - 1);
    for (size_t i = 0; i < free_pieces; ++i)
        ASSERT_NE(store_.allocate(account_, 6), nullptr);
    EXPECT_EQ(pages_.committed_bytes(), 6 * page_size);
    for (const size_t page : std::vector<size_t>{2, 3, 5, 6}) {
        EXPECT_EQ(page_of(store_.allocate(account_, largest)), page);
        EXPECT_EQ(page_of(store_.allocate(account_, largest)), page);
        EXPECT_TRUE(store_.consistent());
    }
    fill(largest);
    EXPECT_TRUE(store_.consistent());
    EXPECT_FALSE(store_.has_room(6));
    EXPECT_EQ(pages_.committed_bytes(), bytes);
    for (size_t i = 0; i < std::size(kept_pages); ++i)
        EXPECT_EQ(kept[i][63], i);
}

TEST_F(MetadataStoreTest, APageThatWasGivenBackAndCannotBeHadAgainStaysSo) {
    // The first page, the second, and a third.
    std::vector<unsigned char*> pieces;
    for (int i = 0; i < 5; ++i)
        pieces.push_back(store_.allocate(account_, largest));
    ASSERT_EQ(page_of(pieces[2]), 1u);
    ASSERT_EQ(page_of(pieces[3]), 2u);
    store_.free(pieces[3], largest);
    store_.free(pieces[4], largest);
    store_.trim(account_);
    ASSERT_EQ(pages_.committed_bytes(), 2 * page_size);
    pages_.limit_pages(2);
    EXPECT_EQ(store_.allocate(account_, largest), nullptr);
    EXPECT_EQ(store_.committed_bytes(), 2 * page_size);
    EXPECT_TRUE(store_.consistent());
    pages_.limit_pages(3);
    EXPECT_EQ(page_of(store_.allocate(account_, largest)), 2u);
    EXPECT_EQ(page_of(store_.allocate(account_, largest)), 2u);
    EXPECT_TRUE(store_.consistent());
    // And one before it.
    store_.free(pieces[1], largest);
    store_.free(pieces[2], largest);
    store_.trim(account_);
    EXPECT_EQ(store_.committed_bytes(), 2 * page_size);
    EXPECT_EQ(page_of(store_.allocate(account_, largest)), 1u);
    EXPECT_TRUE(store_.consistent());
}

TEST_F(MetadataStoreTest, WhatTheSourceKeepsServesAgain) {
    std::vector<unsigned char*> pieces;
    for (size_t i = 0; i < 5; ++i)
        pieces.push_back(store_.allocate(account_, largest));
    for (size_t i = 1; i < 5; ++i)
        store_.free(pieces[i], largest);
    pages_.refuse_decommit(true);
    store_.trim(account_);
    EXPECT_EQ(store_.committed_bytes(), 3 * page_size);
    EXPECT_TRUE(store_.consistent());
    for (size_t i = 1; i < 5; ++i)
        EXPECT_NE(store_.allocate(account_, largest), nullptr);
    EXPECT_EQ(store_.committed_bytes(), 3 * page_size);
    for (size_t i = 0; i < 5; ++i)
        store_.free(pieces[i], largest);
    store_.trim(account_);
    EXPECT_EQ(store_.committed_bytes(), 3 * page_size);
    EXPECT_TRUE(store_.consistent());
    pages_.refuse_decommit(false);
    store_.trim(account_);
    EXPECT_EQ(pages_.committed_bytes(), 0u);
    EXPECT_EQ(account_.committed_bytes(), 0u);
    EXPECT_NE(store_.allocate(account_, 4), nullptr);
}

TEST_F(MetadataStoreTest, NoticesACountThatWasOverwritten) {
    std::vector<unsigned char*> pieces;
    for (int i = 0; i < 5; ++i)
        pieces.push_back(store_.allocate(account_, largest));
    store_.free(pieces[1], largest);
    store_.free(pieces[2], largest);
    store_.trim(account_);
    ASSERT_TRUE(store_.consistent());
    auto* const of_pages = reinterpret_cast<uint16_t*>(store_.base());
    for (const size_t page : std::vector<size_t>{0, 1, 2}) {
        const uint16_t right = of_pages[page];
        for (const uint16_t wrong : std::vector<uint16_t>{0, 1, 2, 3, 0xffff}) {
            of_pages[page] = wrong;
            EXPECT_EQ(store_.consistent(), wrong == right) << page << " " << wrong;
        }
        of_pages[page] = right;
    }
}

TEST_F(MetadataStoreTest, NoticesThatFreePiecesAreLost) {
    unsigned char* const piece = store_.allocate(account_, 6);
    ASSERT_NE(piece, nullptr);
    store_.free(piece, 6);
    ASSERT_TRUE(store_.consistent());
    // It leads to the other half of its split.
    std::memset(piece, 0, sizeof(void*));
    EXPECT_FALSE(store_.consistent());
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
