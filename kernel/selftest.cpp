// SPDX-License-Identifier: MIT
#include "selftest.hpp"

#include "console.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "stress.hpp"
#include "tap.hpp"
#include "words.hpp"

namespace kernel {
namespace {

using namespace quire;

// In all: each invalidation asks every CPU, so more CPUs do with fewer rounds.
constexpr uint32_t stress_rounds = 4000;

bool stress_all(KernelMemory& memory) {
    return stress(memory, stress_rounds / machine::cpu_count());
}

// Pages of the space's own records, which it keeps.
uint64_t record_pages(const AddressSpace& space) {
    uint64_t pages = 0;
    space.for_each_region([&pages](const RegionInfo& region) {
        if (same_text(region.name, "region nodes")) pages += region.pages.count().value();
        return true;
    });
    return pages;
}

// Frames free, in the heap, in page tables and in records: constant while nothing is lost.
uint64_t accounted(KernelMemory& memory) {
    return memory.frames().counters().free.value() + memory.table().table_frames().value() +
           heap().counters().committed_bytes / page_size + record_pages(memory.space());
}

bool all_valid(KernelMemory& memory) {
    return memory.frames().validate().ok() && memory.table().validate().ok() &&
           memory.space().validate().ok() && heap().validate().ok();
}

unsigned run_all(KernelMemory& memory, Tap& tap, Span<const SelfTest> tests) {
    for (const SelfTest& test : tests) {
        tap.result(test.run(memory), test.name);
    }
    return static_cast<unsigned>(tests.size());
}

}  // namespace

bool run_selftests(KernelMemory& memory) {
    constexpr unsigned own_tests = 3;
    Tap tap;
    tap.plan(static_cast<unsigned>(frame_tests().size() + mapping_tests().size() +
                                   rights_tests().size() + heap_tests().size() +
                                   cpu_tests().size() + context_tests().size()) +
             own_tests);
    // The first round may fill caches (region nodes, spans) that are kept.
    const bool calm = stress_all(memory);
    heap().trim();
    const uint64_t before = accounted(memory);
    run_all(memory, tap, frame_tests());
    run_all(memory, tap, mapping_tests());
    run_all(memory, tap, rights_tests());
    run_all(memory, tap, heap_tests());
    run_all(memory, tap, cpu_tests());
    run_all(memory, tap, context_tests());
    tap.result(calm && stress_all(memory), "random work damages nothing");
    tap.result(all_valid(memory), "every manager's books are in order");
    heap().trim();
    const uint64_t after = accounted(memory);
    if (after != before) {
        print("# %llu frames before, %llu after\n", static_cast<unsigned long long>(before),
              static_cast<unsigned long long>(after));
    }
    tap.result(after == before, "the tests left no frame behind");
    return tap.finish();
}

}  // namespace kernel
