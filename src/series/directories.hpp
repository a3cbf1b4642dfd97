// SPDX-License-Identifier: MIT
// The directories that Quire knows: where each is in physical memory and where the kernel sees it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"

namespace quire::series {

// Two words each. Not synchronised. Every function is O(capacity).
template <size_t capacity>
class Directories {
  public:
    static constexpr size_t none = capacity;

    // Where `frame` stands; none when it does not.
    size_t find(Frame frame) const { return find_word(number(frame)); }
    // The directory that the kernel sees at an address.
    size_t find_shown(uint32_t address) const {
        for (size_t i = 0; i < capacity; ++i)
            if (used(i) && shown_[i] == address && address != 0) return i;
        return none;
    }
    // A place that is not in use.
    size_t vacant() const { return find_word(0); }
    bool used(size_t at) const { return words_[at] != 0; }

    // `made`: Quire took the frame for it. `shown`: 0 for nowhere.
    void put(size_t at, Frame frame, uint32_t shown, bool made) {
        words_[at] = number(frame) | (made ? 1U : 0U);
        shown_[at] = shown;
    }
    void show(size_t at, uint32_t shown) { shown_[at] = shown; }
    void remove(size_t at) { words_[at] = shown_[at] = 0; }

    Frame frame(size_t at) const { return Frame(words_[at] >> page_shift); }
    uint32_t shown(size_t at) const { return shown_[at]; }
    bool made(size_t at) const { return (words_[at] & 1U) != 0; }

  private:
    // Frame zero is never a directory's.
    static uint32_t number(Frame frame) {
        return static_cast<uint32_t>(frame.value() << page_shift);
    }
    size_t find_word(uint32_t number) const {
        for (size_t i = 0; i < capacity; ++i)
            if ((words_[i] & ~1U) == number) return i;
        return none;
    }

    uint32_t words_[capacity] = {};
    uint32_t shown_[capacity] = {};
};

}  // namespace quire::series
