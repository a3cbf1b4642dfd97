// SPDX-License-Identifier: MIT
// Joins the C face (quire.h) to a memory manager that C++ code has started.
#pragma once

#include "quire/kernel_memory.hpp"

namespace quire {

// From now on the functions of quire.h work on `memory`, which must outlive their use. Not
// synchronised: call it once, early.
void use_from_c(KernelMemory& memory);

}  // namespace quire
