// SPDX-License-Identifier: MIT
// The terminal that plays the serial line.
#pragma once

namespace kernel {
class ConsoleSink;
}

namespace kernel::sim_machine::terminal {

// Takes single keys, when there is somebody to press them, until the process ends.
void open();
ConsoleSink& sink();
// One byte, or -1 when there is none now. The end of the input ends the machine.
int read();
void wait();

}  // namespace kernel::sim_machine::terminal
