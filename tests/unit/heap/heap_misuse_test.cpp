// SPDX-License-Identifier: MIT
// Every wrong free is recognised for what it is, changes nothing, and is reported in words.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/base/text.hpp"
#include "quire/heap/canary.hpp"

namespace quire::test {
namespace {

class HeapMisuseTest : public HeapTest {
  protected:
    void SetUp() override { start(); }

    // Bytes behind a block of the size, up to the next block or page.
    static size_t slack_of(size_t bytes) {
        if (bytes >= heap_internal::largest_cell) return page_size - bytes % page_size;
        const unsigned index = heap_internal::class_for(bytes + 1);
        return heap_internal::size_classes.entries[index].cell_bytes - bytes;
    }
    // try_free says so, free reports it, and neither changes anything.
    void expect_misuse(void* block, Error error, const std::string& words) {
        const HeapState before(heap_, pages_);
        const Status status = heap_.try_free(block);
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error(), error);
        const Report report = report_of([&] { heap_.free(block); });
        EXPECT_EQ(report.error, error);
        EXPECT_NE(std::string(report.what).find(words), std::string::npos) << report.what;
        EXPECT_NE(report.likely_cause, nullptr);
        if (error != Error::corrupted) {
            EXPECT_EQ(report.address, value_of(block));
            EXPECT_EQ(status.failure().where, value_of(block));
        }
        const Report sized = report_of([&] { heap_.free_sized(block, 1); });
        EXPECT_EQ(sized.error, error);
        EXPECT_TRUE(HeapState(heap_, pages_) == before);
    }
};

TEST_F(HeapMisuseTest, DoubleFree) {
    for (size_t bytes : {size_t{10}, size_t{1000}, page_size, size_t{30000}, size_t{100000}}) {
        unsigned char* keep = allocate(bytes);
        unsigned char* block = allocate(bytes);
        heap_.free(block);
        expect_misuse(block, Error::already_free, "freed twice");
        EXPECT_EQ(heap_.usable_size(block).error(), Error::already_free);
        heap_.free(keep);
        expect_misuse(block, Error::already_free, "freed twice");
        expect_valid();
    }
}

TEST_F(HeapMisuseTest, DoubleFreeAfterThePagesWentBack) {
    unsigned char* block = allocate(1000);
    unsigned char* further = allocate(5000);
    heap_.free(block);
    heap_.free(further);
    heap_.trim();
    ASSERT_FALSE(pages_.is_committed(block));
    expect_misuse(block, Error::already_free, "freed twice");
    expect_misuse(further, Error::already_free, "freed twice");
    expect_misuse(block + 16, Error::foreign, "never gave out");
    expect_misuse(block + 10240, Error::foreign, "never gave out");
}

TEST_F(HeapMisuseTest, SlotsTakenAgainForgetWhatWasThere) {
    HeapOptions options;
    options.cached_bytes = 0;
    heap_.stop();
    start(options);
    // A span of four slots goes, and a span of one slot takes its first; of the others it is known.
    unsigned char* wide = allocate(30000);
    unsigned char* second = allocate(30000);
    ASSERT_EQ(second - wide, 30720);
    heap_.free(second);
    heap_.free(wide);
    expect_misuse(second, Error::already_free, "freed twice");
    unsigned char* narrow = allocate(100);
    ASSERT_EQ(narrow, wide);
    expect_misuse(second, Error::already_free, "freed twice");
    expect_misuse(second + 16, Error::foreign, "never gave out");
    // And the other way round: what was a first slot becomes a further one.
    heap_.free(narrow);
    std::vector<unsigned char*> narrows;
    for (size_t bytes : {size_t{100}, size_t{200}, size_t{300}})
        narrows.push_back(allocate(bytes));
    for (unsigned char* block : narrows)
        heap_.free(block);
    wide = allocate(30000);
    ASSERT_EQ(wide, narrows[0]);
    expect_misuse(narrows[1], Error::misaligned, "middle");
    expect_valid();
}

TEST_F(HeapMisuseTest, DoubleFreeOfLargeBlocksIsRememberedForAWhile) {
    std::vector<unsigned char*> blocks;
    for (int i = 0; i < 8; ++i)
        blocks.push_back(allocate(100000));
    for (unsigned char* block : blocks)
        heap_.free(block);
    for (unsigned char* block : blocks)
        expect_misuse(block, Error::already_free, "freed twice");
}

TEST_F(HeapMisuseTest, DoubleFreeOfARangeThatIsKeptIsKnownAsLongAsItIsKept) {
    HeapOptions options;
    options.overrun_check = OverrunCheck::none;
    options.cached_bytes = size_t{8} << 20;
    heap_.stop();
    start(options);
    unsigned char* const kept = allocate(size_t{2} << 20);
    heap_.free(kept);
    // More frees than are remembered, of ranges that are too large to keep.
    for (int i = 0; i < 40; ++i)
        heap_.free(allocate(size_t{16} << 20));
    ASSERT_TRUE(pages_.is_committed(kept));
    expect_misuse(kept, Error::already_free, "freed twice");
}

TEST_F(HeapMisuseTest, ForeignPointers) {
    allocate(100);
    unsigned char* block = allocate(100000);
    int local = 0;
    static int global = 0;
    const auto on_host = std::make_unique<char[]>(100);
    expect_misuse(&local, Error::foreign, "never gave out");
    expect_misuse(&global, Error::foreign, "never gave out");
    expect_misuse(on_host.get(), Error::foreign, "never gave out");
    expect_misuse(reinterpret_cast<void*>(1), Error::foreign, "never gave out");
    expect_misuse(reinterpret_cast<void*>(UINTPTR_MAX), Error::foreign, "never gave out");
    expect_misuse(block - 1, Error::foreign, "never gave out");
}

TEST_F(HeapMisuseTest, PlacesInTheArenaThatWereNeverGivenOut) {
    unsigned char* block = allocate(100);
    // The next cell, its inside, what lies behind the last cell, the next slots, the arena's end.
    expect_misuse(block + 112, Error::foreign, "never gave out");
    expect_misuse(block + 120, Error::foreign, "never gave out");
    expect_misuse(block + heap_internal::slot_bytes - 1, Error::foreign, "never gave out");
    expect_misuse(block + heap_internal::slot_bytes, Error::foreign, "never gave out");
    expect_misuse(block + 5 * heap_internal::slot_bytes, Error::foreign, "never gave out");
    expect_misuse(block + (size_t{64} << 20) - 16, Error::foreign, "never gave out");
    // The heap's own bookkeeping.
    expect_misuse(block + (size_t{64} << 20) + page_size, Error::foreign, "never gave out");
}

TEST_F(HeapMisuseTest, PointersIntoTheMiddleOfABlock) {
    for (size_t bytes : {size_t{32}, size_t{100}, page_size, size_t{30000}, size_t{100000}}) {
        unsigned char* block = allocate(bytes);
        for (size_t offset : {size_t{1}, size_t{8}, bytes / 2, bytes - 1, bytes})
            expect_misuse(block + offset, Error::misaligned, "middle");
        EXPECT_EQ(heap_.usable_size(block + 1).error(), Error::misaligned);
        heap_.free(block);
    }
}

TEST_F(HeapMisuseTest, OverrunsOfEveryLengthAtEverySize) {
    // Sizes without a page to fault on.
    for (size_t bytes = 0; bytes < 70000; bytes += bytes < 300 ? 1 : bytes / 23) {
        if (bytes % page_size == 0 && bytes != 0) continue;
        unsigned char* block = allocate(bytes);
        for (size_t length : {size_t{1}, size_t{2}, size_t{8}, size_t{16}}) {
            unsigned char saved[16];
            // Stays inside the cell, so that no neighbour is hurt.
            const size_t slack = slack_of(bytes);
            const size_t run = length < slack ? length : slack;
            for (const int with : {0x00, 0xff, 0x41}) {
                std::memcpy(saved, block + bytes, run);
                std::memset(block + bytes, with, run);
                const Status status = heap_.try_free(block);
                ASSERT_FALSE(status.ok()) << bytes << " by " << run;
                ASSERT_EQ(status.error(), Error::corrupted);
                ASSERT_EQ(status.failure().where, value_of(block + bytes));
                ASSERT_EQ(heap_.validate().error(), Error::corrupted);
                ASSERT_EQ(heap_.validate().failure().where, value_of(block + bytes));
                std::memcpy(block + bytes, saved, run);
            }
        }
        ASSERT_TRUE(heap_.try_free(block).ok());
    }
}

TEST_F(HeapMisuseTest, AnOverrunIsReportedWithWhatWasFound) {
    unsigned char* block = allocate(100);
    const unsigned char good = block[103];
    block[103] = 0x41;
    expect_misuse(block, Error::corrupted, "overwritten");
    const Report report = report_of([&] { heap_.free(block); });
    EXPECT_EQ(report.address, value_of(block + 103));
    EXPECT_TRUE(report.has_values);
    EXPECT_EQ(report.expected, good);
    EXPECT_EQ(report.found, 0x41u);
    block[103] = good;
    heap_.free(block);
}

TEST_F(HeapMisuseTest, AnotherSizeThanItWasAskedFor) {
    for (size_t bytes : {size_t{10}, page_size, size_t{100000}}) {
        unsigned char* block = allocate(bytes);
        const HeapState before(heap_, pages_);
        for (size_t other : {size_t{0}, bytes - 1, bytes + 1, SIZE_MAX}) {
            EXPECT_EQ(heap_.try_free_sized(block, other).error(), Error::bad_argument);
            const Report report = report_of([&] { heap_.free_sized(block, other); });
            EXPECT_EQ(report.error, Error::bad_argument);
            EXPECT_NE(std::string(report.what).find("another size"), std::string::npos);
            EXPECT_TRUE(report.has_values);
            EXPECT_EQ(report.expected, bytes);
            EXPECT_EQ(report.found, other);
        }
        EXPECT_TRUE(HeapState(heap_, pages_) == before);
        heap_.free_sized(block, bytes);
    }
}

TEST_F(HeapMisuseTest, ReportsNameTheBlockAndItsSize) {
    for (const size_t bytes : {size_t{10}, size_t{1001}, size_t{100001}}) {
        unsigned char* const block = allocate(bytes);
        const auto expect_named = [&](const Report& report) {
            EXPECT_EQ(report.block, value_of(block)) << bytes;
            EXPECT_EQ(report.block_bytes, bytes);
        };
        expect_named(report_of([&] { heap_.free(block + 5); }));
        expect_named(report_of([&] { heap_.free_sized(block, bytes + 1); }));
        block[bytes] ^= 1;
        expect_named(report_of([&] { heap_.free(block); }));
        expect_named(report_of([&] { heap_.report_corrupted(heap_.validate().failure()); }));
        block[bytes] ^= 1;
        heap_.free(block);
        // Nothing is known of who lay there.
        EXPECT_EQ(report_of([&] { heap_.free(block); }).block, 0u);
    }
}

TEST_F(HeapMisuseTest, ASizeThatIsNotWatchedIsNamedWhereItIsKnown) {
    heap_.stop();
    HeapOptions options;
    options.overrun_check = OverrunCheck::none;
    start(options);
    const auto wrong_size = [&](size_t bytes) {
        void* const block = allocate(bytes);
        const Report report = report_of([&] { heap_.free_sized(block, bytes + 1); });
        heap_.free(block);
        return report;
    };
    for (const size_t bytes : {size_t{37}, size_t{1000}, size_t{3000000}}) {
        const Report report = wrong_size(bytes);
        EXPECT_EQ(report.block_bytes, bytes);
        EXPECT_TRUE(report.has_values);
        EXPECT_EQ(report.expected, bytes);
        EXPECT_EQ(report.found, bytes + 1);
    }
    // Several sizes of its class have the same state.
    const Report vague = wrong_size(20000);
    EXPECT_EQ(vague.block_bytes, 20480u);
    EXPECT_FALSE(vague.has_values);
}

TEST_F(HeapMisuseTest, ReportsSayWhatWasExpectedAndWhatWasFound) {
    unsigned char* const block = allocate(10);
    const auto text_of = [](const Report& report) {
        char buffer[512];
        TextWriter text(buffer);
        write(text, report);
        return std::string(text.text(), text.length());
    };
    const std::string size = text_of(report_of([&] { heap_.free_sized(block, 12); }));
    EXPECT_NE(size.find("expected 0xa, found 0xc"), std::string::npos) << size;
    EXPECT_NE(size.find(" of 10 bytes"), std::string::npos) << size;
    block[10] = 0x41;
    const std::string overrun = text_of(report_of([&] { heap_.free(block); }));
    EXPECT_NE(overrun.find("found 0x41"), std::string::npos) << overrun;
    EXPECT_NE(overrun.find("likely cause"), std::string::npos) << overrun;
    block[10] = heap_internal::canary_byte;
    heap_.free(block);
}

TEST_F(HeapMisuseTest, ARangeThatCannotGoBackIsReported) {
    unsigned char* block = allocate(100000);
    pages_.refuse_release(true);
    const HeapState before(heap_, pages_);
    EXPECT_EQ(heap_.try_free(block).error(), Error::out_of_nodes);
    const Report report = report_of([&] { heap_.free(block); });
    EXPECT_EQ(report.error, Error::out_of_nodes);
    EXPECT_NE(std::string(report.what).find("could not be given back"), std::string::npos);
    EXPECT_TRUE(HeapState(heap_, pages_) == before);
    expect_valid();
    pages_.refuse_release(false);
    heap_.free(block);
}

TEST_F(HeapMisuseTest, TheLockIsFreeAfterAReport) {
    int local = 0;
    report_of([&] { heap_.free(&local); });
    allocate(10);
}

}  // namespace
}  // namespace quire::test
