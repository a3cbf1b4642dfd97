// SPDX-License-Identifier: MIT
// From which spans CPUs get their cells: of their own, as long as that wastes no memory.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/cpu_blocks.hpp"

namespace quire::test {
namespace {

using heap_internal::CpuBlocks;
using heap_internal::Fill;

class HeapLanesTest : public HeapTest {
  protected:
    static constexpr size_t cell = 64;
    static constexpr size_t span_bytes = heap_internal::slot_bytes;
    static constexpr size_t span_cells = span_bytes / cell;

    void SetUp() override {
        HeapOptions options;
        options.overrun_check = OverrunCheck::none;
        start(options);
    }
    void TearDown() override {
        for (CpuBlocks& cpu : cpus_)
            heap_.drain(cpu);
        EXPECT_TRUE(heap_.validate().ok());
        HeapTest::TearDown();
    }
    uint64_t allocate_on(unsigned cpu) {
        void* const at_hand = cpus_[cpu].allocate_cell(cell);
        const Result<void*> block = at_hand != nullptr
                                        ? Result<void*>(at_hand)
                                        : heap_.allocate_for(cpus_[cpu], cell, Fill::none);
        EXPECT_TRUE(block.ok());
        blocks_.push_back(block.value_or(nullptr));
        return value_of(blocks_.back());
    }
    // The spans that so many blocks of the CPU's lie in.
    std::set<uint64_t> spans_of(unsigned cpu, size_t count) {
        std::set<uint64_t> spans;
        for (size_t i = 0; i < count; ++i)
            spans.insert(allocate_on(cpu) / span_bytes);
        return spans;
    }
    // Frees, directly, all but one of every `share` blocks; then nothing is at hand with anybody,
    // and CPUs are in the lanes they were in.
    void free_all_but(size_t share) {
        for (CpuBlocks& cpu : cpus_)
            heap_.drain(cpu);
        for (size_t i = 0; i < blocks_.size(); ++i)
            if (i % share != 0) heap_.free(blocks_[i]);
        for (CpuBlocks& cpu : cpus_)
            heap_.free_for(cpu, heap_.allocate_for(cpu, 8 * cell, Fill::none).value());
    }

    CpuBlocks cpus_[2];
    std::vector<void*> blocks_;
};

TEST_F(HeapLanesTest, CpusTakeCellsOfSpansOfTheirOwn) {
    std::set<uint64_t> spans[2];
    for (size_t i = 0; i < 3 * span_cells; ++i)
        for (unsigned cpu = 0; cpu < 2; ++cpu)
            spans[cpu].insert(allocate_on(cpu) / span_bytes);
    for (const uint64_t span : spans[0])
        EXPECT_EQ(spans[1].count(span), 0u);
}

TEST_F(HeapLanesTest, StatesOfDifferentSpansLieInDifferentLines) {
    for (const heap_internal::SizeClass& shape : heap_internal::size_classes.entries)
        EXPECT_GE(shape.states_shift, 6) << shape.cell_bytes;
}

TEST_F(HeapLanesTest, WhatIsFreedInASpanGoesToTheCpuThatHadIt) {
    const std::set<uint64_t> first = spans_of(0, span_cells);
    const std::set<uint64_t> second = spans_of(1, span_cells);
    // One in 16 is free again, so that both spans are nearly full.
    for (size_t i = 0; i < blocks_.size(); i += 16)
        heap_.free(blocks_[i]);
    EXPECT_EQ(spans_of(0, span_cells / 16), first);
    EXPECT_EQ(spans_of(1, span_cells / 16), second);
}

TEST_F(HeapLanesTest, EmptierSpansServeAnyCpu) {
    const std::set<uint64_t> first = spans_of(0, 8 * span_cells);
    free_all_but(4);
    for (const uint64_t span : spans_of(1, 2 * span_cells))
        EXPECT_EQ(first.count(span), 1u);
}

TEST_F(HeapLanesTest, AnArrayThatTheLaneFilledComesFirst) {
    // Enough of both that arrays of both wait between CPUs.
    const std::set<uint64_t> first = spans_of(0, 4 * span_cells);
    const std::set<uint64_t> second = spans_of(1, 4 * span_cells);
    std::vector<void*> blocks;
    blocks.swap(blocks_);
    for (size_t i = 0; i < blocks.size(); ++i)
        heap_.free_for(cpus_[i < blocks.size() / 2 ? 0 : 1], blocks[i]);
    EXPECT_EQ(spans_of(1, 4 * span_cells), second);
    EXPECT_EQ(spans_of(0, 4 * span_cells), first);
}

TEST_F(HeapLanesTest, WithoutPagesAnotherLanesOpenSpanServesAll) {
    const uint64_t first = allocate_on(0) / span_bytes;
    ASSERT_EQ(spans_of(1, 1).count(first), 0u);
    heap_.drain(cpus_[1]);
    heap_.free(blocks_.back());
    blocks_.pop_back();
    heap_.trim();
    pages_.limit_pages(pages_.committed_bytes() / page_size);
    EXPECT_EQ(allocate_on(1) / span_bytes, first);
    pages_.limit_pages(SIZE_MAX);
}

TEST_F(HeapLanesTest, AgeMakesOpenSpansAnybodys) {
    const uint64_t first = allocate_on(0) / span_bytes;
    heap_.age();
    EXPECT_EQ(allocate_on(1) / span_bytes, first);
}

TEST_F(HeapLanesTest, WhoeverComesAfterACpuThatLeftGetsItsLane) {
    const uint64_t first = allocate_on(0) / span_bytes;
    heap_.drain(cpus_[0]);
    EXPECT_EQ(allocate_on(1) / span_bytes, first);
}

}  // namespace
}  // namespace quire::test
