// SPDX-License-Identifier: MIT
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// Prints the CPU cycles of the common operations. In an emulator they only compare with each other.
void bench(quire::KernelMemory& memory);

}  // namespace kernel
