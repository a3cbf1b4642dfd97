// SPDX-License-Identifier: MIT
// Random numbers of the benchmarks' own: the same on every host and library, so that a seed says it
// all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace quire::bench {

// xorshift64*: a few instructions, so that it is lost beside what is measured.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u) {}

    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1du;
    }
    // 0 to limit - 1, by multiplication in place of a division; limit at most 2^32.
    uint64_t below(uint64_t limit) { return (next() >> 32) * limit >> 32; }
    bool chance(unsigned percent) { return below(100) < percent; }

  private:
    uint64_t state_;
};

template <class T>
void shuffle(std::vector<T>& values, Random& random) {
    for (size_t left = values.size(); left > 1; --left)
        std::swap(values[left - 1], values[random.below(left)]);
}

}  // namespace quire::bench
