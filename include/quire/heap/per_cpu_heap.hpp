// SPDX-License-Identifier: MIT
// A heap with blocks at hand for each CPU: small blocks come and go without a lock, in some twenty
// instructions each.
//
//   Heap heap;                                     // started as usual, with OverrunCheck::none
//   PerCpuHeap<Heap, MyCpus>::Slot slots[16];      // one a CPU, in memory of the kernel's
//   PerCpuHeap<Heap, MyCpus> per_cpu(heap, slots);
//
// May be put in front of a heap at any time, and the heap can still be used directly: each takes
// back what the other gave. What lies with CPUs counts as live there.
#pragma once

#include <stddef.h>

#include "quire/base/cpu_local.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/heap/cpu_blocks.hpp"
#include "quire/heap/heap.hpp"

namespace quire {

// A BasicHeap behind, and a policy that says which CPU this is. The policy's Pin keeps away
// whatever else allocates on this CPU: preemption, and interrupts when handlers allocate.
//
// Every bad free is refused at once, with the same errors as the heap's: the state of each cell is
// written by whoever frees or allocates it. Only when two CPUs free the same block at the same
// moment may both succeed; that is noticed when it goes back to its span (late_refusals).
//
// A heap that watches what lies behind blocks (OverrunCheck other than none) is served by its slow
// path throughout.
template <class BackHeap, CpuPolicy Cpus>
class PerCpuHeap {
  public:
    using Slot = typename CpuLocal<heap_internal::CpuBlocks, Cpus>::Slot;

    // One slot for each CPU; they and the heap must outlive this object. `slots` belongs to it:
    // drain all of them before the heap stops.
    PerCpuHeap(BackHeap& heap, Span<Slot> slots) : heap_(heap), slots_(slots) {}
    PerCpuHeap(const PerCpuHeap&) = delete;
    PerCpuHeap& operator=(const PerCpuHeap&) = delete;

    // All of these as BasicHeap's, with the same errors. O(1), and now and then what it takes to
    // move a batch of cells.
    Result<void*> allocate(size_t bytes) {
        const typename Cpus::Pin pin;
        CpuBlocks& mine = blocks(pin);
        void* const block = mine.allocate(bytes);
        if (block != nullptr) return block;
        return heap_.allocate_for(mine, bytes, Fill::none);
    }
    Result<void*> allocate_aligned(size_t bytes, size_t alignment) {
        const typename Cpus::Pin pin;
        return heap_.allocate_aligned_for(blocks(pin), bytes, alignment, Fill::none);
    }
    Result<void*> allocate_zeroed(size_t bytes) {
        const typename Cpus::Pin pin;
        CpuBlocks& mine = blocks(pin);
        void* const block = mine.allocate(bytes);
        if (block == nullptr) return heap_.allocate_for(mine, bytes, Fill::zero);
        __builtin_memset(block, 0, bytes);
        return block;
    }
    Result<void*> reallocate(void* block, size_t bytes) {
        if (block == nullptr) return allocate(bytes);
        return heap_.reallocate(block, bytes);
    }
    void free(void* block) {
        const typename Cpus::Pin pin;
        CpuBlocks& mine = blocks(pin);
        if (!mine.free(block)) heap_.free_for(mine, block);
    }
    Status try_free(void* block) {
        const typename Cpus::Pin pin;
        CpuBlocks& mine = blocks(pin);
        if (mine.free(block)) return {};
        return heap_.try_free_for(mine, block);
    }
    void free_sized(void* block, size_t bytes) { heap_.free_sized(block, bytes); }
    Status try_free_sized(void* block, size_t bytes) { return heap_.try_free_sized(block, bytes); }
    Result<size_t> usable_size(const void* block) const { return heap_.usable_size(block); }

    // Gives back all that this CPU keeps: before it goes to sleep, or is taken off line. O(what it
    // keeps).
    void drain() {
        const typename Cpus::Pin pin;
        heap_.drain(blocks(pin));
    }
    // Gives back what this CPU keeps and what waits between CPUs, and then as BasicHeap's.
    size_t trim() {
        const typename Cpus::Pin pin;
        return heap_.trim_for(blocks(pin));
    }
    // The heap's, less what lies with CPUs. Exact while no other CPU allocates or frees.
    HeapCounters counters() const {
        HeapCounters counters = heap_.counters();
        for (const Slot& slot : slots_)
            heap_.discount(slot.value, counters);
        return counters;
    }
    BackHeap& heap() { return heap_; }

  private:
    using CpuBlocks = heap_internal::CpuBlocks;
    using Fill = heap_internal::Fill;

    CpuBlocks& blocks(const typename Cpus::Pin&) const {
        const unsigned cpu = Cpus::index();
        if constexpr (debug_checks) return slots_[cpu].value;
        return slots_.data()[cpu].value;
    }

    BackHeap& heap_;
    Span<Slot> slots_;
};

}  // namespace quire
