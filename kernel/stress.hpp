// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel {

// `rounds` random operations on the heap and the address space, each block's contents checked, and
// every manager validated at the end. Says what it did; true when all was well. Leaves nothing
// behind.
bool stress(quire::KernelMemory& memory, uint32_t rounds);

}  // namespace kernel
