// SPDX-License-Identifier: MIT
// The live page table as people want to read it.
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel {

// Every page that is mapped, pages with equal attributes and the same purpose joined in one line,
// with the name of what they are; those that can be both written and executed in red. Then how many
// of these there are, where the CPU could deny it.
void show_walk(quire::KernelMemory& memory);

// How many mapped pages can be both written and executed.
uint64_t writable_and_executable_pages(const quire::PageTable& table);

}  // namespace kernel
