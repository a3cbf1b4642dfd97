// SPDX-License-Identifier: MIT
// Whether the library and the CPU read a page table alike.
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel {

// Changes mappings at random, `layouts` times: maps, protects, unmaps, large pages among them. Each
// time the pages at the change's edges and some others are looked up by the library and loaded
// from, stored to and executed by the CPU, faults caught. Says where the two disagree and returns
// false then. The seed makes a run repeatable. Leaves nothing behind.
bool library_and_cpu_agree(quire::KernelMemory& memory, uint32_t layouts, uint32_t seed);

}  // namespace kernel
