// SPDX-License-Identifier: MIT
// Self-tests of the heap in handlers: one interrupts the first CPU again and again, and allocates
// and frees, while threads do the same on every CPU.
#include <stddef.h>
#include <stdint.h>

#include "console.hpp"
#include "cpus.hpp"
#include "faults.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "platform.hpp"
#include "quire/base/atomic.hpp"
#include "quire/heap/region_page_source.hpp"
#include "random.hpp"
#include "selftest.hpp"
#include "words.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr unsigned hertz = 5000;
constexpr uint32_t rounds = 6000;  // of all CPUs together
constexpr unsigned held_blocks = 24;
constexpr size_t large_bytes = 10 * page_size;

struct Held {
    unsigned char* bytes = nullptr;
    size_t size = 0;
};

// Frees the block if there is one; false when it does not hold what it was filled with.
bool put_back(Held& held, unsigned char value) {
    if (held.bytes == nullptr) return true;
    bool right = true;
    for (size_t i = 0; i < held.size; ++i)
        right = right && held.bytes[i] == value;
    right = heap().try_free(held.bytes).ok() && right;
    held = Held{};
    return right;
}

void keep(Held& held, const Result<void*>& block, size_t size, unsigned char value) {
    if (!block.ok()) return;
    __builtin_memset(*block, value, size);
    held = Held{static_cast<unsigned char*>(*block), size};
}

// What the handler works with, on the first CPU alone.
struct InHandler {
    Random random{5};
    Held held[held_blocks];
    uint32_t ticks = 0;
    uint32_t served = 0;
    uint32_t large_freed = 0;
    bool right = true;
};

struct Work {
    InHandler handler;
    // A large block for the handler to free: no thread frees it.
    Atomic<void*> for_handler{nullptr};
    Atomic<uint32_t> wrong{0};
};
constinit Work work;

void tick(void*) {
    InHandler& here = work.handler;
    ++here.ticks;
    heap().sample_next();
    // What may have to wait is refused here.
    const auto refused = heap().allocate(64);
    here.right = here.right && !refused.ok() && refused.error() == Error::busy;
    for (int i = 0; i < 4; ++i) {
        Held& held = here.held[here.random.below(held_blocks)];
        here.right = put_back(held, 0xB7) && here.right;
        const size_t size = 1 + here.random.below(1000);
        keep(held, heap().try_allocate(size), size, 0xB7);
        here.served += held.bytes != nullptr ? 1 : 0;
    }
    void* const large = work.for_handler.exchange(nullptr);
    if (large == nullptr) return;
    here.right = heap().try_free(large).ok() && here.right;
    ++here.large_freed;
}

void run_thread(void*) {
    Random random(machine::this_cpu() + 1);
    Held held[held_blocks];
    const uint32_t own_rounds = rounds / machine::cpu_count();
    const auto value = static_cast<unsigned char>(0x10 + machine::this_cpu());
    for (uint32_t i = 0; i < own_rounds; ++i) {
        Held& one = held[random.below(held_blocks)];
        if (!put_back(one, value)) work.wrong.fetch_add(1);
        const size_t size = 1 + random.below(random.below(64) == 0 ? 20000 : 1000);
        keep(one, heap().allocate(size), size, value);
        if (one.bytes == nullptr) work.wrong.fetch_add(1);
        if (machine::this_cpu() != 0 || i % 64 != 0 || work.for_handler.load() != nullptr) continue;
        const auto large = heap().allocate(large_bytes);
        if (large.ok()) work.for_handler.store(*large);
    }
    for (Held& one : held) {
        if (!put_back(one, value)) work.wrong.fetch_add(1);
    }
}

bool handlers_share_the_heap(KernelMemory&) {
    const size_t before = heap().counters().live_blocks;
    InHandler& handler = work.handler;
    machine::start_ticks(hertz, tick, nullptr);
    run_on_all(run_thread, nullptr);
    machine::stop_ticks();
    for (Held& held : handler.held)
        handler.right = put_back(held, 0xB7) && handler.right;
    heap().free(work.for_handler.exchange(nullptr));
    // Whatever waited is done now.
    heap().drain();
    const size_t after = heap().counters().live_blocks;
    print("# %u ticks, in which %u blocks were had and %u large ones freed\n", handler.ticks,
          handler.served, handler.large_freed);
    const bool right = handler.right && work.wrong.load() == 0 && after == before;
    handler.ticks = handler.served = handler.large_freed = 0;
    return right && heap().validate().ok();
}

// What the fault handler does: everything that is legal there, and something that is not.
struct InFault {
    void* large;
    bool ran = false;
    bool right = false;
};

machine::Verdict on_fault(void* context, const machine::PageFault&) {
    auto& here = *static_cast<InFault*>(context);
    here.ran = true;
    const auto refused = machine::in_handler() ? heap().allocate(64) : Error::busy;
    const auto block = heap().try_allocate(64);
    here.right = !refused.ok() && refused.error() == Error::busy && block.ok() &&
                 heap().try_free(*block).ok() && heap().try_free(here.large).ok() &&
                 !heap().try_free(*block).ok();
    return machine::Verdict::unresolved;
}

bool fault_handlers_use_the_heap(KernelMemory& memory) {
    const auto at_hand = heap().allocate(64);
    const auto large = heap().allocate(large_bytes);
    if (!at_hand.ok() || !large.ok() || !heap().try_free(*at_hand).ok()) return false;
    const HeapCounters before = heap().counters();
    InFault fault{*large};
    uint8_t byte = 0;
    machine::set_page_fault_handler(on_fault, &fault);
    const bool loaded = machine::try_load(machine::image().stack_guard, byte);
    handle_faults_with(memory.space());
    // The large block is free, and its pages go back with the next call of a thread.
    const HeapCounters after = heap().counters();
    heap().drain();
    return fault.ran && fault.right && !loaded && after.live_blocks == before.live_blocks - 1 &&
           heap().counters().committed_bytes <= before.committed_bytes - large_bytes;
}

// Pages of one block of the kernel's heap, by way of which its own heap is called again.
class CallingBack final : public PageSource {
  public:
    Result<void*> reserve(size_t bytes, size_t alignment) override {
        call_back();
        return pages.reserve(bytes, alignment);
    }
    Status commit(void* address, size_t bytes) override {
        call_back();
        return pages.commit(address, bytes);
    }
    Status decommit(void* address, size_t bytes) override {
        call_back();
        return pages.decommit(address, bytes);
    }
    Status release(void* address, size_t bytes) override {
        call_back();
        return pages.release(address, bytes);
    }

    RegionPageSource pages;
    Heap heap;
    unsigned calls = 0;
    unsigned refusals = 0;

  private:
    void call_back() {
        const auto again = heap.allocate(40);
        ++calls;
        refusals += !again.ok() && again.error() == Error::busy ? 1 : 0;
    }
};
constinit CallingBack calling_back;

bool page_sources_do_not_come_back(KernelMemory&) {
    constexpr size_t bytes = 64 * page_size;
    CallingBack& source = calling_back;
    const auto region = heap().allocate_aligned(bytes, page_size);
    if (!region.ok() || !source.pages.start(*region, bytes).ok()) return false;
    if (!source.heap.start(source, platform(), source.pages.heap_options()).ok()) return false;
    const unsigned at_start = source.calls;
    const auto block = source.heap.allocate(5 * page_size);
    bool right = block.ok() && source.calls > at_start && source.heap.try_free(*block).ok();
    source.heap.stop();
    right = right && source.refusals == source.calls;
    return heap().try_free(*region).ok() && right;
}

void note_tick(void* ticked) {
    heap().sample_next();
    static_cast<Atomic<bool>*>(ticked)->store(true);
}

// Where there is a timer, its handler chooses the next block.
void wait_for_tick(void* ticked) {
    for (int i = 0; i < 10000000 && !static_cast<Atomic<bool>*>(ticked)->load(); ++i)
        cpu_relax();
}

bool says(const Result<Report>& report, const char* what, const unsigned char* block) {
    return report.ok() && same_text(report->what, what) &&
           report->block == reinterpret_cast<uintptr_t>(block);
}

bool ticks_sample_blocks(KernelMemory&) {
    Atomic<bool> ticked{false};
    machine::start_ticks(hertz, note_tick, &ticked);
    machine::with_interrupts(wait_for_tick, &ticked);
    machine::stop_ticks();
    if (!ticked.load()) heap().sample_next();
    const auto block = heap().allocate(100);
    if (!block.ok()) return false;
    auto* const bytes = static_cast<unsigned char*>(*block);
    __builtin_memset(bytes, 0x5A, 100);
    const auto inside = reinterpret_cast<uintptr_t>(bytes);
    const uintptr_t behind = (inside & ~uintptr_t{page_size - 1}) + page_size;
    bool right = !touch(behind, Touch::load).done &&
                 says(explain_heap_fault(behind), "heap: memory behind a block was used", bytes);
    right = heap().try_free(bytes).ok() && right && !touch(inside, Touch::store).done;
    const Result<Report> after = explain_heap_fault(inside);
    right = right && says(after, "heap: a block was used after it was freed", bytes);
    if (after.ok()) {
        print("# %s; it was of %u bytes\n", after->what, static_cast<unsigned>(after->block_bytes));
    }
    return right;
}

constexpr SelfTest tests[] = {
    {"a block that a tick had sampled is caught beside and after its life", ticks_sample_blocks},
    {"a fault handler allocates and frees what needs no pages", fault_handlers_use_the_heap},
    {"a page source that calls its heap back is refused", page_sources_do_not_come_back},
    {"handlers allocate and free while threads do", handlers_share_the_heap},
};

}  // namespace

Span<const SelfTest> context_tests() {
    return tests;
}

}  // namespace kernel
