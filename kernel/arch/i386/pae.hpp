// SPDX-License-Identifier: MIT
// From the boot mapping of 32-bit paging to one of PAE paging.
#pragma once

#include <stdint.h>

namespace kernel::pae {

// Turns PAE paging on, with the image where it is linked and the boot window where it was, which
// shows nothing yet. Identity is mapped no more. The CPU must have PAE, and use the boot mapping.
void enter();

// The same for another CPU, which comes in on the boot mapping, where the first one has called
// `enter`; nothing otherwise.
void follow();

// The entries of the boot window's building pages, from then on.
uint64_t* building_entries();

}  // namespace kernel::pae
