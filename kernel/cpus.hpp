// SPDX-License-Identifier: MIT
// Work for all CPUs at once.
#pragma once

#include "machine.hpp"

namespace kernel {

// Calls the function on every CPU, this one among them, with interrupts on; returns when all have
// returned. By the first CPU.
void run_on_all(machine::CpuFunction function, void* context);

}  // namespace kernel
