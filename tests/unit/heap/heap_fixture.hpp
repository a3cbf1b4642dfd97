// SPDX-License-Identifier: MIT
// A started heap on host memory, and a platform whose panic a test can catch.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "quire/heap/heap.hpp"
#include "support/host_page_source.hpp"

namespace quire::test {

struct Panic {
    Report report;
};

// Tests' threads are its CPUs.
class ThrowingPlatform final : public Platform {
  public:
    uintptr_t caller() const override {
        static thread_local char own;
        return reinterpret_cast<uintptr_t>(&own);
    }
    [[noreturn]] void panic(const Report& report) override { throw Panic{report}; }
};

// Ends the heap before its page source goes, whatever the test did.
class HeapTest : public testing::Test {
  protected:
    void start(const HeapOptions& options = {}) {
        ASSERT_TRUE(heap_.start(pages_, platform_, options).ok());
    }
    void TearDown() override {
        heap_.stop();
        EXPECT_EQ(pages_.reserved_bytes(), 0u);
        EXPECT_EQ(pages_.committed_bytes(), 0u);
        EXPECT_EQ(pages_.breaches(), 0u);
    }

    unsigned char* allocate(size_t bytes) {
        const Result<void*> block = heap_.allocate(bytes);
        EXPECT_TRUE(block.ok());
        return static_cast<unsigned char*>(block.value_or(nullptr));
    }
    unsigned char* allocate_aligned(size_t bytes, size_t alignment) {
        const Result<void*> block = heap_.allocate_aligned(bytes, alignment);
        EXPECT_TRUE(block.ok());
        return static_cast<unsigned char*>(block.value_or(nullptr));
    }
    void expect_valid() {
        EXPECT_TRUE(heap_.validate().ok());
        EXPECT_EQ(heap_.counters().committed_bytes, pages_.committed_bytes());
        EXPECT_EQ(heap_.counters().reserved_bytes, pages_.reserved_bytes());
    }
    // What `free` reports.
    template <class Misuse>
    static Report report_of(Misuse misuse) {
        try {
            misuse();
        } catch (const Panic& panic) {
            return panic.report;
        }
        ADD_FAILURE() << "no report was made";
        return Report{"", Error::unsupported, 0, false, 0, 0, nullptr};
    }

    HostPageSource pages_;
    ThrowingPlatform platform_;
    Heap heap_;
};

inline bool is_aligned(const void* address, size_t alignment) {
    return (reinterpret_cast<uintptr_t>(address) & (alignment - 1)) == 0;
}

inline uint64_t value_of(const void* address) {
    return reinterpret_cast<uintptr_t>(address);
}

// Everything that a failed operation must leave as it was.
struct HeapState {
    HeapCounters counters;
    size_t committed;
    size_t reserved;

    HeapState(const Heap& heap, const HostPageSource& pages)
        : counters(heap.counters()),
          committed(pages.committed_bytes()),
          reserved(pages.reserved_bytes()) {}
    friend bool operator==(const HeapState& a, const HeapState& b) {
        return a.counters.live_blocks == b.counters.live_blocks &&
               a.counters.live_bytes == b.counters.live_bytes &&
               a.counters.usable_bytes == b.counters.usable_bytes &&
               a.counters.allocations == b.counters.allocations &&
               a.counters.frees == b.counters.frees &&
               a.counters.bookkeeping_bytes == b.counters.bookkeeping_bytes &&
               a.counters.cached_bytes == b.counters.cached_bytes &&
               a.counters.large_blocks == b.counters.large_blocks && a.committed == b.committed &&
               a.reserved == b.reserved;
    }
};

}  // namespace quire::test
