// SPDX-License-Identifier: MIT
// Joins the C face (quire.h) to a memory manager that C++ code has started.
#pragma once

#include "quire/kernel_memory.hpp"

namespace quire {

// From now on the functions of quire.h work on `memory`, which must outlive their use. Not
// synchronised: call it once, early.
void use_from_c(KernelMemory& memory);

// A status as quire.h says it: QUIRE_OK or the error's number.
int code_for_c(const Status& status);

// Protection and memory type from the numbers of quire.h. Error: bad_argument (bits or a type that
// quire.h does not have).
Result<Attributes> attributes_from_c(unsigned rights, unsigned type);

}  // namespace quire
