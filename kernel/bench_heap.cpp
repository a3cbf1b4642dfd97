// SPDX-License-Identifier: MIT
#include "bench_heap.hpp"

#include <stddef.h>
#include <stdint.h>

#include "console.hpp"
#include "guarded_cpu.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "quire/heap/heap.hpp"
#include "quire/heap/per_cpu_heap.hpp"
#include "quire/heap/region_page_source.hpp"
#include "random.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr unsigned rounds_shift = 12;      // as a power of two
constexpr unsigned long_rounds_shift = 6;  // of steps that touch many pages
constexpr size_t grown_bytes = size_t{256} << 10;
constexpr uint32_t window = 64;
constexpr uint32_t live_blocks = 1024;
constexpr size_t region_bytes = size_t{4} << 20;

class Panics final : public Platform {
  public:
    [[noreturn]] void panic(const Report& report) override { memory_.heap().panic(report); }
    explicit Panics(quire::KernelMemory& memory) : memory_(memory) {}

  private:
    quire::KernelMemory& memory_;
};

// Large, so not on the stack; one benchmark at a time.
constinit void* blocks[live_blocks] = {};

// Runs a step many times and prints its mean; it says whether it succeeded.
template <class Step>
void measure(const char* guard, const char* workload, Step step, unsigned shift = rounds_shift) {
    const uint32_t steps = 1u << shift;
    bool good = true;
    for (uint32_t i = 0; i < steps / 4; ++i)
        good = step(i) && good;
    const uint64_t start = machine::cycles();
    for (uint32_t i = 0; i < steps; ++i)
        good = step(i) && good;
    const uint64_t spent = machine::cycles() - start;
    print("  %-24s %-16s %8llu%s\n", guard, workload,
          static_cast<unsigned long long>(spent >> shift), good ? "" : "  FAILED");
}

// 16 to 1023 bytes, as many of 16 to 31 as of 512 to 1023.
size_t mixed_size(Random& random) {
    const size_t base = size_t{16} << random.below(6);
    return base + random.below(static_cast<uint32_t>(base));
}

template <class AnyHeap>
bool allocate(AnyHeap& heap, void*& block, size_t bytes) {
    const Result<void*> got = heap.allocate(bytes);
    block = got.ok() ? *got : nullptr;
    return got.ok();
}

template <class AnyHeap>
void run(const char* guard, AnyHeap& heap) {
    constexpr struct {
        const char* name;
        size_t bytes;
    } pairs[] = {{"pair 16", 16}, {"pair 64", 64}, {"pair 1024", 1024}, {"pair 65536", 65536}};
    for (const auto& pair : pairs) {
        measure(guard, pair.name, [&](uint32_t) {
            void* block = nullptr;
            return allocate(heap, block, pair.bytes) && heap.try_free(block).ok();
        });
    }
    const auto grow = [&](uint32_t) {
        void* block = nullptr;
        if (!allocate(heap, block, grown_bytes)) return false;
        const Result<void*> grown = heap.reallocate(block, 2 * grown_bytes);
        return heap.try_free(grown.value_or(block)).ok() && grown.ok();
    };
    measure(guard, "grow 262144", grow, long_rounds_shift);
    bool good = true;
    const auto replace = [&](void*& block, size_t bytes) {
        return heap.try_free(block).ok() && allocate(heap, block, bytes);
    };
    for (uint32_t i = 0; i < window; ++i)
        good = allocate(heap, blocks[i], 64) && good;
    measure(guard, "fifo 64", [&](uint32_t i) { return replace(blocks[i % window], 64); });
    for (uint32_t i = 0; i < window; ++i)
        heap.free(blocks[i]);
    Random random(1);
    for (void*& block : blocks)
        good = allocate(heap, block, mixed_size(random)) && good;
    measure(guard, "random 1024", [&](uint32_t) {
        return replace(blocks[random.below(live_blocks)], mixed_size(random)) && good;
    });
    for (void* block : blocks)
        heap.free(block);
}

// Uses a heap of its own, with that lock.
template <class Lock, class Use>
void with_heap(quire::KernelMemory& memory, OverrunCheck check, Use use) {
    const Result<void*> region = memory.heap().allocate_aligned(region_bytes, page_size);
    if (!region.ok()) {
        print("  too little memory\n");
        return;
    }
    static constinit BasicHeap<Lock> heap;
    RegionPageSource pages;
    Panics platform(memory);
    if (pages.start(*region, region_bytes).ok()) {
        HeapOptions options = pages.heap_options();
        options.overrun_check = check;
        if (heap.start(pages, platform, options).ok()) {
            use(heap);
            heap.stop();
        }
    }
    memory.heap().free(*region);
}

template <class Lock>
void run_with(quire::KernelMemory& memory, const char* guard) {
    with_heap<Lock>(memory, OverrunCheck::every_block,
                    [guard](BasicHeap<Lock>& heap) { run(guard, heap); });
}
// With blocks at hand, which need a heap that does not watch what lies behind blocks.
template <CpuPolicy Cpus>
void run_at_hand(quire::KernelMemory& memory, const char* guard) {
    with_heap<SpinLock>(memory, OverrunCheck::none, [guard](Heap& heap) {
        using Front = PerCpuHeap<Heap, Cpus>;
        static constinit typename Front::Slot slot;
        Front front(heap, Span<typename Front::Slot>(&slot, 1));
        run(guard, front);
        front.drain();
    });
}

}  // namespace

void bench_heap(quire::KernelMemory& memory) {
    if (machine::cycles() == 0) {
        print("this CPU has no cycle counter\n");
        return;
    }
    print("  a block allocated and one freed (mean)           cycles\n");
    run("the kernel's own", heap());
    run("nothing in front", memory.heap());
    run_at_hand<SingleCpu>(memory, "at hand");
    run_at_hand<GuardedCpu>(memory, "at hand, guarded");
    run_with<NoLock>(memory, "no guard");
    run_with<SpinLock>(memory, "spin lock");
    run_with<InterruptLock<Interrupts>>(memory, "interrupt guard");
}

}  // namespace kernel
