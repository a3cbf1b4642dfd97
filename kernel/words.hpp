// SPDX-License-Identifier: MIT
// Text from people: command lines split into words, and numbers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"

namespace kernel {

bool same_text(const char* a, const char* b);
// True when `text` starts with `start`.
bool starts_with(const char* text, const char* start);

// Up to eight words of a line, in a copy of their own.
class Words {
  public:
    static constexpr size_t capacity = 8;

    // Splits at spaces and tabs. Words past the eighth, and characters past the 255th, are dropped.
    explicit Words(const char* line);

    size_t count() const { return count_; }
    // Null when there are not so many.
    const char* operator[](size_t index) const { return index < count_ ? words_[index] : nullptr; }

  private:
    char text_[256];
    const char* words_[capacity] = {};
    size_t count_ = 0;
};

// A number as people write it: decimal, 0x hexadecimal, or either with K, M or G behind.
// Errors: bad_argument (no number), overflow.
quire::Result<uint64_t> parse_number(const char* text);

}  // namespace kernel
