// SPDX-License-Identifier: MIT
// validate() notices bookkeeping that was overwritten, wherever that hits it. These tests know
// where an arena keeps what (arena.hpp draws it).
#include <gtest/gtest.h>

#include <vector>

#include "heap_fixture.hpp"

namespace quire::test {
namespace {

using heap_internal::SlotBits;
using heap_internal::SlotEntry;
using heap_internal::SlotKind;
using heap_internal::SlotRecord;
using heap_internal::SpanRecord;

class HeapValidateTest : public HeapTest {
  protected:
    static constexpr size_t arena_bytes = size_t{1} << 20;
    static constexpr size_t record_bytes = size_t{1} << log2_ceil(sizeof(SpanRecord));

    void SetUp() override {
        HeapOptions options;
        options.arena_bytes = arena_bytes;
        start(options);
        // The first span starts the arena, the second, of four slots, stands aligned behind it.
        arena_ = allocate(100);
        ASSERT_TRUE(is_aligned(arena_, heap_internal::largest_span));
        bits_ = arena_ + arena_bytes + page_size;
        const size_t slots = arena_bytes / heap_internal::slot_bytes;
        map_ = reinterpret_cast<SlotEntry*>(
            bits_ + heap_internal::round_up_to_pages(SlotBits::bytes_for(slots)));
        table_ = reinterpret_cast<SlotRecord*>(
            reinterpret_cast<unsigned char*>(map_) +
            heap_internal::round_up_to_pages(slots * sizeof(SlotEntry)));
        wide_ = allocate(30000);
        // A span without live cells, and a full one.
        empty_ = allocate(500);
        heap_.free(empty_);
        while (!record_of(arena_).full())
            allocate(100);
        allocate(100);
        expect_valid();
    }
    SlotRecord& slot_of(const unsigned char* at) {
        return table_[static_cast<size_t>(at - arena_) / heap_internal::slot_bytes];
    }
    SpanRecord& record_of(const unsigned char* at) {
        return *reinterpret_cast<SpanRecord*>(store() + size_t{slot_of(at).value} * record_bytes);
    }
    // Behind the table, and a page.
    unsigned char* store() {
        const size_t slots = arena_bytes / heap_internal::slot_bytes;
        return reinterpret_cast<unsigned char*>(table_) +
               heap_internal::round_up_to_pages(slots * sizeof(SlotRecord)) + page_size;
    }
    void expect_corrupted(int line) {
        const Status status = heap_.validate();
        EXPECT_FALSE(status.ok()) << "line " << line;
        if (status.ok()) return;
        EXPECT_EQ(status.error(), Error::corrupted);
        // No block is blamed whose bytes are as they should be.
        const Report report = report_of([&] { heap_.report_corrupted(status.failure()); });
        if (report.has_values) {
            EXPECT_NE(report.found, report.expected) << "line " << line;
        } else {
            EXPECT_STREQ(report.what, "heap: bookkeeping was overwritten") << "line " << line;
        }
    }
    // With `place` holding `wrong`, validate complains; with what it held before, it does not.
    template <class T>
    void expect_noticed(T& place, T wrong, int line) {
        const T right = place;
        place = wrong;
        expect_corrupted(line);
        place = right;
        ASSERT_TRUE(heap_.validate().ok());
    }

    unsigned char* arena_ = nullptr;
    unsigned char* bits_ = nullptr;
    SlotEntry* map_ = nullptr;
    SlotRecord* table_ = nullptr;
    unsigned char* wide_ = nullptr;
    unsigned char* empty_ = nullptr;
};

TEST_F(HeapValidateTest, NoticesEveryFieldOfASpanRecord) {
    for (unsigned char* at : {arena_, wide_, empty_}) {
        SpanRecord& span = record_of(at);
        expect_noticed(span.used, static_cast<uint16_t>(span.used + 1), __LINE__);
        expect_noticed(span.used, static_cast<uint16_t>(span.used - 1), __LINE__);
        expect_noticed(span.groups_with_free, span.groups_with_free ^ 1, __LINE__);
        expect_noticed(span.touched, static_cast<uint16_t>(span.touched + 1000), __LINE__);
        if (span.used != 0) {
            expect_noticed(span.touched, uint16_t{0}, __LINE__);
        }
        expect_noticed(span.committed_pages, static_cast<uint16_t>(span.committed_pages - 1),
                       __LINE__);
        expect_noticed(span.committed_pages, static_cast<uint16_t>(span.committed_pages + 1),
                       __LINE__);
        expect_noticed(span.size_class, uint8_t{255}, __LINE__);
        expect_noticed(span.size_class, static_cast<uint8_t>(span.size_class + 8), __LINE__);
        expect_noticed(span.base, span.base + heap_internal::slot_bytes, __LINE__);
        expect_noticed(span.states, arena_, __LINE__);
    }
}

TEST_F(HeapValidateTest, NoticesEveryFieldOfASlotRecord) {
    for (unsigned char* at : {arena_, wide_, empty_}) {
        SlotRecord& slot = slot_of(at);
        expect_noticed(slot.kind, SlotKind::unused, __LINE__);
        expect_noticed(slot.kind, SlotKind::further, __LINE__);
        expect_noticed(slot.kind, SlotKind::retired, __LINE__);
        expect_noticed(slot.kind, static_cast<SlotKind>(99), __LINE__);
        expect_noticed(slot.slots_back, uint8_t{1}, __LINE__);
        for (unsigned bit = 0; bit < 32; ++bit)
            expect_noticed(slot.value, slot.value ^ uint32_t{1} << bit, __LINE__);
    }
    SlotRecord& further = slot_of(wide_ + heap_internal::slot_bytes);
    ASSERT_EQ(further.kind, SlotKind::further);
    expect_noticed(further.kind, SlotKind::first, __LINE__);
    expect_noticed(further.slots_back, uint8_t{0}, __LINE__);
    expect_noticed(further.slots_back, uint8_t{4}, __LINE__);
    expect_noticed(further.slots_back, uint8_t{200}, __LINE__);
    expect_noticed(further.value, further.value + 1, __LINE__);
}

TEST_F(HeapValidateTest, NoticesStatesOfCells) {
    for (unsigned char* at : {arena_, wide_, empty_}) {
        SpanRecord& span = record_of(at);
        for (unsigned cell = 0; cell < span.geometry().padded_cells(); ++cell) {
            unsigned char& state = span.states[cell];
            const bool exists = cell < span.geometry().cells;
            for (const unsigned wrong : {0u, 1u, 2u, 3u, 4u, 255u})
                if (wrong != state && exists)
                    expect_noticed(state, static_cast<unsigned char>(wrong), __LINE__);
        }
    }
}

TEST_F(HeapValidateTest, NoticesTheSlotMap) {
    for (unsigned char* at : {arena_, wide_, empty_, wide_ + heap_internal::slot_bytes}) {
        SlotEntry& entry = map_[static_cast<size_t>(at - arena_) / heap_internal::slot_bytes];
        for (uint32_t& word : reinterpret_cast<uint32_t(&)[2]>(entry)) {
            for (unsigned bit = 0; bit < 32; ++bit)
                expect_noticed(word, word ^ uint32_t{1} << bit, __LINE__);
        }
        expect_noticed(reinterpret_cast<uint32_t(&)[2]>(entry)[0], 0u, __LINE__);
    }
}

TEST_F(HeapValidateTest, NoticesSlotBits) {
    for (size_t slot = 0; slot < arena_bytes / heap_internal::slot_bytes; ++slot) {
        // Those that have a record; beyond them, bits are not looked at.
        if (!pages_.is_committed(&table_[slot + 1])) break;
        unsigned char& byte = bits_[slot / 8];
        expect_noticed(byte, static_cast<unsigned char>(byte ^ (1u << slot % 8)), __LINE__);
    }
}

TEST_F(HeapValidateTest, NoticesLinksThatWereCleared) {
    const auto clear = [&](auto& link, int line) {
        unsigned char saved[sizeof link];
        std::memcpy(saved, static_cast<void*>(&link), sizeof link);
        std::memset(static_cast<void*>(&link), 0, sizeof link);
        expect_corrupted(line);
        std::memcpy(static_cast<void*>(&link), saved, sizeof link);
        ASSERT_TRUE(heap_.validate().ok());
    };
    clear(record_of(wide_).bin_link, __LINE__);
    clear(record_of(empty_).bin_link, __LINE__);
    clear(record_of(empty_).empty_link, __LINE__);
}

TEST_F(HeapValidateTest, NoticesRecordsOfLargeBlocks) {
    unsigned char* block = allocate(100000);
    // Its record is the piece of the store that points back to it.
    auto* const words = reinterpret_cast<uintptr_t*>(map_);
    const unsigned char* const end = arena_ + pages_.reserved_bytes();
    heap_internal::LargeBlock* record = nullptr;
    for (uintptr_t* word = words; reinterpret_cast<unsigned char*>(word) < end; ++word) {
        if (!pages_.is_committed(word)) {
            word += page_size / sizeof *word - 1;
        } else if (*word == value_of(block)) {
            record = reinterpret_cast<heap_internal::LargeBlock*>(word - 2);
            break;
        }
    }
    ASSERT_NE(record, nullptr);
    ASSERT_EQ(record->base, block);
    expect_noticed(record->requested, record->committed + 1, __LINE__);
    expect_noticed(record->requested, record->requested - 40, __LINE__);
    expect_noticed(record->committed, record->reserved, __LINE__);
    expect_noticed(record->committed, record->committed - page_size, __LINE__);
}

}  // namespace
}  // namespace quire::test
