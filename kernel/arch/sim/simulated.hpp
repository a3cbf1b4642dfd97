// SPDX-License-Identifier: MIT
// The one simulated machine of this process.
#pragma once

#include <cstdint>

#include "arguments.hpp"

namespace kernel::sim_machine {

// Makes it, with boot information in its memory, and returns the physical address of that. Once.
uint32_t make_machine(const Arguments& arguments);

}  // namespace kernel::sim_machine
