// SPDX-License-Identifier: MIT
// Whether what a page table grants is what a region asked for.
#pragma once

#include "quire/paging/attributes.hpp"

namespace quire {

// See Protection: everything exactly, but that a format may be unable to withhold `execute`, and a
// CPU without global pages has none.
constexpr bool agrees(const Attributes& granted, const Attributes& asked) {
    constexpr Protection exact = Protection::read | Protection::write | Protection::user;
    return (granted.protection & exact) == (asked.protection & exact) &&
           has(granted.protection, asked.protection & Protection::execute) &&
           has(asked.protection, granted.protection & Protection::global) &&
           granted.type == asked.type;
}

}  // namespace quire
