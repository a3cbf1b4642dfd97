// SPDX-License-Identifier: MIT
// What is known of a table without a look into it, where the frame source has a word for each.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire::detail {

// How many of a table's entries are live, and whether leaves among them may be global. Where the
// source has no word for the table, nothing is known and changes are not recorded. A copyable view
// of the word, which the owner of the page table locks with it.
class TableCount {
  public:
    constexpr TableCount() = default;
    constexpr explicit TableCount(uint16_t* word) : word_(word) {}

    constexpr bool known() const { return word_ != nullptr; }
    // Of a known one.
    constexpr size_t live() const { return *word_ & bits_live; }
    constexpr bool may_be_global() const { return (*word_ & bit_global) != 0; }

    // For a table that is new.
    constexpr void set(size_t live, bool global) const {
        if (known()) *word_ = static_cast<uint16_t>(live | (global ? bit_global : 0));
    }
    constexpr void add(size_t live, bool global) const {
        if (known()) *word_ = static_cast<uint16_t>((*word_ + live) | (global ? bit_global : 0));
    }
    constexpr void remove(size_t live) const {
        if (known()) *word_ = static_cast<uint16_t>(*word_ - live);
    }
    // Of a known one: false, and no change, when that is all it has.
    constexpr bool remove_but_last(size_t live) const {
        const uint16_t word = *word_;
        if ((word & bits_live) <= live) return false;
        *word_ = static_cast<uint16_t>(word - live);
        return true;
    }

  private:
    static constexpr uint16_t bit_global = 0x8000;
    static constexpr uint16_t bits_live = 0x7fff;

    uint16_t* word_ = nullptr;
};

}  // namespace quire::detail
