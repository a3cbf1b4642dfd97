// SPDX-License-Identifier: MIT
// Question 2: a heap on contiguous frames, as in the series; then a heap that grows by itself.
#include <stddef.h>
#include <stdint.h>

#include "console.hpp"
#include "heap.hpp"
#include "quire/heap/region_page_source.hpp"
#include "show.hpp"
#include "tour.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr FrameCount region_frames = FrameCount(64);

class QuietPlatform final : public Platform {};

// Allocates blocks until the heap has no more; how many there were.
unsigned fill(Heap& heap, size_t block_bytes, Result<void*>& last) {
    unsigned blocks = 0;
    for (last = heap.allocate(block_bytes); last.ok(); last = heap.allocate(block_bytes)) {
        __builtin_memset(*last, 0x5A, block_bytes);
        ++blocks;
    }
    return blocks;
}

bool show_fixed_heap(void* region) {
    static Heap heap;
    RegionPageSource source;
    QuietPlatform platform;
    Status started = source.start(region, static_cast<size_t>(bytes_of(region_frames).value()));
    if (started.ok()) started = heap.start(source, platform, source.heap_options());
    if (!started.ok()) {
        show_failure("heap.start", started.failure());
        return false;
    }
    constexpr size_t block_bytes = 1000;
    tour_call("heap.allocate(1000) until it refuses");
    Result<void*> last = Error::out_of_memory;
    const unsigned blocks = fill(heap, block_bytes, last);
    tour_note("%u blocks, then '%s'", blocks, to_string(last.error()));
    const bool well = tour_check(blocks > 0 && last.error() == Error::out_of_memory,
                                 "this heap ends where its region ends");
    heap.stop();
    return well;
}

bool show_contiguous_heap(quire::KernelMemory& memory) {
    tour_call("frames.allocate_run(64)");
    const auto run = memory.frames().allocate_run(region_frames);
    if (!run.ok()) {
        show_failure("allocate_run", run.failure());
        return false;
    }
    tour_note("contiguous, from 0x%08llx",
              static_cast<unsigned long long>(address_of(run->first()).value()));
    MapOptions options;
    options.name = "tour: heap on contiguous frames";
    tour_call("space.map(those frames)");
    const auto pages = memory.space().map(*run, options);
    bool well = pages.ok();
    if (pages.ok()) {
        tour_note("at 0x%08lx, in one call: no loop, no entry, no table",
                  static_cast<unsigned long>(address_of(pages->first()).value()));
        well = show_fixed_heap(memory.layout().view.pointer(address_of(pages->first())));
        well = tour_check(memory.space().unmap(*pages).ok(), "unmapped again") && well;
    } else {
        show_failure("map", pages.failure());
    }
    return tour_check(memory.frames().free(*run).ok(), "and the frames given back") && well;
}

bool show_growing_heap(quire::KernelMemory&) {
    constexpr unsigned block_count = 512;
    constexpr size_t block_bytes = 1000;
    CpuHeap& heap = kernel::heap();
    const size_t before = heap.counters().committed_bytes;
    tour_call("heap.allocate(1000), 512 times, on the kernel's heap");
    void* newest = nullptr;
    unsigned made = 0;
    // The blocks are chained through their first words.
    for (; made < block_count; ++made) {
        const auto block = heap.allocate(block_bytes);
        if (!block.ok()) break;
        __builtin_memset(*block, 0xA5, block_bytes);
        *static_cast<void**>(*block) = newest;
        newest = *block;
    }
    const size_t full = heap.counters().committed_bytes;
    bool well = tour_check(made == block_count && full > before, "it grew by itself from %s to %s",
                           size_text(before).text, size_text(full).text);
    bool freed = true;
    while (newest != nullptr) {
        void* const next = *static_cast<void**>(newest);
        freed = heap.try_free(newest).ok() && freed;
        newest = next;
    }
    tour_call("heap.free(each), heap.trim()");
    heap.trim();
    const size_t after = heap.counters().committed_bytes;
    well =
        tour_check(freed && after < full, "and gave pages back: %s", size_text(after).text) && well;
    return well;
}

}  // namespace

bool tour_heap(quire::KernelMemory& memory) {
    const bool contiguous = show_contiguous_heap(memory);
    const bool growing = show_growing_heap(memory);
    return contiguous && growing;
}

}  // namespace kernel
