// SPDX-License-Identifier: MIT
// Bit operations by their usual names. Pure, constant time, any context.
#pragma once

#include <stdint.h>

#include "quire/base/trap.hpp"

namespace quire {

// Not by <limits.h>: a host's GCC continues that with the C library's, which -m32 may not have.
template <class T>
inline constexpr unsigned bit_width_of = sizeof(T) * __CHAR_BIT__;

template <class T>
constexpr bool is_power_of_two(T value) {
    return value != 0 && (value & (value - 1)) == 0;
}
// Index of the lowest set bit; traps on zero. By halves where registers have 32 bits, since the
// builtin for 64 calls a library function there.
constexpr unsigned lowest_bit(uint64_t value) {
    if (value == 0) trap();
    if constexpr (sizeof(uintptr_t) >= sizeof(uint64_t)) {
        return static_cast<unsigned>(__builtin_ctzll(value));
    }
    const uint32_t low = static_cast<uint32_t>(value);
    const uint32_t high = static_cast<uint32_t>(value >> 32);
    return low != 0 ? static_cast<unsigned>(__builtin_ctz(low))
                    : 32 + static_cast<unsigned>(__builtin_ctz(high));
}
// Index of the highest set bit (the base-2 logarithm, rounded down); traps on zero.
constexpr unsigned highest_bit(uint64_t value) {
    if (value == 0) trap();
    if constexpr (sizeof(uintptr_t) >= sizeof(uint64_t)) {
        return 63 - static_cast<unsigned>(__builtin_clzll(value));
    }
    const uint32_t low = static_cast<uint32_t>(value);
    const uint32_t high = static_cast<uint32_t>(value >> 32);
    return high != 0 ? 63 - static_cast<unsigned>(__builtin_clz(high))
                     : 31 - static_cast<unsigned>(__builtin_clz(low));
}
// Base-2 logarithm, rounded up; 0 for 0 and 1.
constexpr unsigned log2_ceil(uint64_t value) {
    return value <= 1 ? 0 : highest_bit(value - 1) + 1;
}
// Set bits. Written out because the builtin may call a library function on machines without popcnt.
constexpr unsigned count_bits(uint64_t value) {
    value = value - ((value >> 1) & 0x5555555555555555u);
    value = (value & 0x3333333333333333u) + ((value >> 2) & 0x3333333333333333u);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    value += value >> 8;
    value += value >> 16;
    value += value >> 32;
    return static_cast<unsigned>(value & 0x7f);
}
// `count` set bits from bit `first` up; first + count must not exceed 64.
constexpr uint64_t bit_run(unsigned first, unsigned count) {
    if (first > 64 || count > 64 - first) trap();
    if (count == 0) return 0;
    return (~uint64_t{0} >> (64 - count)) << first;
}
// `unit` must be a power of two. round_up traps when the result does not fit.
constexpr uint64_t round_down(uint64_t value, uint64_t unit) {
    return value & ~(unit - 1);
}
constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
    if (value > UINT64_MAX - (unit - 1)) trap();
    return (value + unit - 1) & ~(unit - 1);
}

}  // namespace quire
