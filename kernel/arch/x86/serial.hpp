// SPDX-License-Identifier: MIT
// The first serial line (16550 at 0x3f8): output by polling, input by polling or by sleeping until
// its interrupt.
#pragma once

#include "../../console.hpp"

namespace kernel::serial {

// Programs the UART (115200 baud, 8n1, FIFOs) and lets its receive interrupt, and no other, through
// the interrupt controllers, moved clear of the exceptions' vectors. Interrupts stay off in the
// CPU.
void initialize();
ConsoleSink& sink();
// The next byte, or -1 when none has arrived.
int read();
// Sleeps until a byte may have arrived.
void wait();
// For the trap entry.
void acknowledge_interrupt();

}  // namespace kernel::serial
