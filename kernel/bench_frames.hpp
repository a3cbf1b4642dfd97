// SPDX-License-Identifier: MIT
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// Prints the CPU cycles of allocating and freeing a frame under different guards, on simulated
// memory of 1 GiB, half full and fragmented at random. Under `qemu -icount shift=0` a cycle is an
// instruction.
void bench_frames(quire::KernelMemory& memory);

}  // namespace kernel
