// SPDX-License-Identifier: MIT
// The choices of one step, all from its random word.
#pragma once

#include <cstdint>

#include "../driver.hpp"

namespace quire::model {

enum class StepOutcome { done, refused };

class Random {
  public:
    // `phase` turns the preference between growing and shrinking around, now and then.
    Random(uint64_t word, uint64_t phase) : state_(word), growing_((phase & 1) == 0) {}

    uint64_t next() {
        state_ = word_of(state_, 1);
        return state_;
    }
    // 0 to limit - 1; limit > 0.
    unsigned below(unsigned limit) { return static_cast<unsigned>((next() >> 16) % limit); }
    uint64_t below64(uint64_t limit) { return next() % limit; }
    bool chance(unsigned percent) { return below(100) < percent; }
    // Small numbers often, large ones seldom: 1 to limit.
    unsigned skewed(unsigned limit) { return 1 + below(1 + below(limit)); }
    bool growing() const { return growing_; }

  private:
    uint64_t state_;
    bool growing_;
};

}  // namespace quire::model
