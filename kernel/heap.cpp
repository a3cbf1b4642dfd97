// SPDX-License-Identifier: MIT
#include "heap.hpp"

namespace kernel {
namespace {

constinit quire::KernelHeap<HeapCpus, machine::most_cpus> kernel_heap;

}  // namespace

void start_heap(quire::KernelMemory& memory) {
    kernel_heap.start(memory);
}

CpuHeap& heap() {
    return *kernel_heap;
}

}  // namespace kernel
