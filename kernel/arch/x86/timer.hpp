// SPDX-License-Identifier: MIT
// The timer that every PC has, as a source of interrupts on the first CPU.
#pragma once

namespace kernel::timer {

// For the trap entry.
void serve_interrupt();

}  // namespace kernel::timer
