// SPDX-License-Identifier: MIT
// The double fault of 32-bit x86 is a task, which loads CR3 from its task state.
#pragma once

#include <stdint.h>

namespace kernel::traps {

// Call on each CPU after every change of the table that it uses.
void set_double_fault_table(uint32_t cr3);

}  // namespace kernel::traps
