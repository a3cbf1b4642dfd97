// SPDX-License-Identifier: MIT
// The bitmap of one block: which of its frames are free. Everything is done a word at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire {

// The unit that the frame allocator keeps whole: 2 MiB of 4 KiB frames.
inline constexpr unsigned block_order = 9;
inline constexpr unsigned block_frames = 1u << block_order;

// A hole of 2^order free frames whose first frame's number is a multiple of 2^order, so that it is
// what a request for that order needs.
struct Hole {
    unsigned first;
    unsigned order;
};

// One bit a frame, set when the frame is free. Positions count from the start of the block; a run
// is `count` positions from `first`, and must lie inside the block and not be empty. Not
// synchronised. O(words) at most, 8 words.
class alignas(64) BlockBits {
  public:
    // What a search returns that found no position, and what has no hole says of its order.
    static constexpr unsigned nowhere = block_frames;
    static constexpr unsigned no_hole = block_order + 1;

    bool test(unsigned position) const {
        return (words_[position / word_bits] >> (position % word_bits) & 1) != 0;
    }
    bool all_set(unsigned first, unsigned count) const;
    void set(unsigned first, unsigned count);
    void clear(unsigned first, unsigned count);
    void set_all();
    void clear_all();
    unsigned count() const;

    // The lowest set (clear) position at or above `from`, or nowhere. `from` may be block_frames.
    unsigned next_set(unsigned from) const;
    unsigned next_clear(unsigned from) const;

    // Where the run of set positions begins that ends right below `end`; `end` when there is none.
    unsigned start_of_run_below(unsigned end) const;

    // The order of the largest hole, or no_hole. A caller who knows that it is at most `bound`
    // saves the search for more; no_hole stands for not knowing.
    unsigned largest_order(unsigned bound = no_hole) const;
    // The same right after the run was set, when it was `before` until then. O(count) at worst and
    // O(1) for a single frame that joins no larger hole.
    unsigned largest_order_after_set(unsigned before, unsigned first, unsigned count) const;
    // The smallest hole of at least `order`, the lowest of them: what is larger stays whole. There
    // must be one, that is, order <= largest_order().
    Hole smallest_hole(unsigned order) const;

    // True when no bit is set here that is clear in `other`.
    bool is_subset_of(const BlockBits& other) const;

  private:
    static constexpr unsigned word_bits = 64;
    static constexpr unsigned words = block_frames / word_bits;
    static constexpr unsigned word_order = 6;

    template <class Change>
    void change(unsigned first, unsigned count, Change change_word);
    uint64_t full_words() const;

    uint64_t words_[words];
};
static_assert(sizeof(BlockBits) == block_frames / 8);

}  // namespace quire
