// SPDX-License-Identifier: MIT
#include "heap.hpp"

namespace kernel {
namespace {

constexpr unsigned heap_hertz = 20;
constinit quire::Atomic<uint32_t> ticks{0};

// In the timer's handler, where nothing may wait.
void tick(void*) {
    heap().sample_next();
    ticks.fetch_add(1, quire::MemoryOrder::relaxed);
}

constinit quire::KernelHeap<HeapCpus, machine::most_cpus> kernel_heap;

}  // namespace

void start_heap(quire::KernelMemory& memory) {
    kernel_heap.start(memory);
}

CpuHeap& heap() {
    return *kernel_heap;
}

void start_heap_ticks() {
    machine::start_ticks(heap_hertz, tick, nullptr);
}

void tend_heap() {
    if (ticks.load(quire::MemoryOrder::relaxed) < heap_hertz) return;
    ticks.store(0, quire::MemoryOrder::relaxed);
    heap().age();
}

quire::Result<quire::Report> explain_heap_fault(uintptr_t address) {
    return heap().heap().explain_fault(address);
}

}  // namespace kernel
