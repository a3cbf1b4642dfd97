// SPDX-License-Identifier: MIT
// What the kernel supplies to the library at run time.
#pragma once

#include "quire/platform.hpp"

namespace kernel {

quire::Platform& platform();

}  // namespace kernel
