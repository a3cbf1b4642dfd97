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

// Samples are taken by time: a tick chooses the next block, so that nothing is counted.
inline constexpr quire::HeapOptions heap_options{.sample_interval = UINT32_MAX};

// Call it once, when the managers have started.
void start_heap(quire::KernelMemory& memory);
CpuHeap& heap();

// Has the timer sample a block of the first CPU's now and then, until machine::stop_ticks.
void start_heap_ticks();
// What the heap wants from a thread that has nothing to do: about once a second, by those ticks, it
// gives back what nobody has wanted since. By the first CPU.
void tend_heap();
// What the heap knows of a fault: an access to a sampled block that was freed, or beside a block.
// Error: foreign, when that is none; busy. Any context.
quire::Result<quire::Report> explain_heap_fault(uintptr_t address);

}  // namespace kernel
