// SPDX-License-Identifier: MIT
// The monitor: a prompt on the serial line at which the memory managers can be looked into.
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// Reads and carries out commands until `quit`.
void run_monitor(quire::KernelMemory& memory);

}  // namespace kernel
