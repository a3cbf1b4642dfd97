// SPDX-License-Identifier: MIT
// Numbers that look random and are the same in every run.
#pragma once

#include <stdint.h>

namespace kernel {

// Marsaglia's xorshift with 32 bits of state.
class Random {
  public:
    constexpr explicit Random(uint32_t seed) : state_(seed == 0 ? 1 : seed) {}
    constexpr uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    // From 0 to bound - 1.
    constexpr uint32_t below(uint32_t bound) { return next() % bound; }

  private:
    uint32_t state_;
};

}  // namespace kernel
