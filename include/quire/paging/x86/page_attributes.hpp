// SPDX-License-Identifier: MIT
// Memory types on x86: the page attribute table and what entries say of it, in every paging mode.
// Intel SDM vol. 3A, 4.9.2 and 12.12.
#pragma once

#include <stdint.h>

#include "quire/paging/attributes.hpp"

namespace quire {

// PA0-PA3 as after reset (WB, WT, UC-, UC), PA4 write-combining, the rest as PA1-PA3.
inline constexpr uint64_t x86_page_attribute_table = 0x0007040100070406;

namespace x86 {

// Index into the page attribute table: an entry's PAT, PCD and PWT bits, from high to low.
constexpr unsigned page_attribute_index(MemoryType type) {
    constexpr unsigned indices = 0x32410;  // a digit for each type, in their order
    return (indices >> (4 * static_cast<unsigned>(type))) & 7;
}
constexpr MemoryType type_of_page_attribute(unsigned index) {
    if (index == 4) return MemoryType::write_combining;
    switch (index & 3) {
        case 1:
            return MemoryType::write_through;
        case 2:
            return MemoryType::uncached;
        case 3:
            return MemoryType::device;
        default:
            return MemoryType::write_back;
    }
}

}  // namespace x86

}  // namespace quire
