// SPDX-License-Identifier: MIT
// Joins the facade's heap to the kernel's CPUs: the heap that a kernel calls from every context.
//
//     constinit quire::KernelHeap<MyCpus, 16> kernel_heap;
//     kernel_heap.start(memory);                      // after KernelMemory's start, on one CPU
//     void* block = kernel_heap->allocate(100).value();
#pragma once

#include "quire/base/late.hpp"
#include "quire/heap/per_cpu_heap.hpp"
#include "quire/kernel_memory.hpp"

namespace quire {

// Room for `MostCpus` CPUs, a few KiB each, for static storage. `Cpus` is the policy of PerCpuHeap,
// which has the contexts too.
template <CpuPolicy Cpus, unsigned MostCpus>
class KernelHeap {
  public:
    using Type = PerCpuHeap<Heap, Cpus>;

    // Call it once. `memory` must be started, and outlive this object.
    void start(KernelMemory& memory) {
        heap_.make(memory.heap(), Span<typename Type::Slot>(slots_));
    }
    Type& operator*() { return *heap_; }
    Type* operator->() { return &*heap_; }

  private:
    typename Type::Slot slots_[MostCpus];
    Late<Type> heap_;
};

}  // namespace quire
