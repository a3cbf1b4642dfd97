// SPDX-License-Identifier: MIT
// What probably went wrong, in words.
#pragma once

#include "quire/space/fault.hpp"

namespace quire {

// A string literal for a report whose other members are filled in. `bounds` are the space's.
const char* likely_cause(const FaultReport& report, const PageRange& bounds);

// Addresses below this are taken for members of an object at address zero.
inline constexpr uintptr_t null_reach = 64 * 1024;
// This near to a region, an access was probably meant for it.
inline constexpr PageCount near_pages = PageCount(16);

}  // namespace quire
