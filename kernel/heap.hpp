// SPDX-License-Identifier: MIT
// The kernel's heap as all of its CPUs call it, handlers among them.
#pragma once

#include "machine.hpp"
#include "quire/kernel_heap.hpp"

namespace kernel {

// Handlers allocate and free, so interrupts stay away while a CPU's blocks are touched.
struct HeapCpus {
    class Pin {
      public:
        Pin() : state_(machine::disable_interrupts()) {}
        ~Pin() { machine::restore_interrupts(state_); }
        Pin(const Pin&) = delete;
        Pin& operator=(const Pin&) = delete;
        bool may_wait() const { return !machine::in_handler(); }

      private:
        uint32_t state_;
    };
    static unsigned index() { return machine::this_cpu(); }
};
using CpuHeap = quire::PerCpuHeap<quire::Heap, HeapCpus>;

// Call it once, when the managers have started.
void start_heap(quire::KernelMemory& memory);
CpuHeap& heap();

}  // namespace kernel
