// SPDX-License-Identifier: MIT
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// Prints the CPU cycles of allocating and freeing a block, under different guards, on heaps of
// their own in a fixed region. Under `qemu -icount shift=0` a cycle is an instruction.
void bench_heap(quire::KernelMemory& memory);

}  // namespace kernel
