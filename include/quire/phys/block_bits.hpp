// SPDX-License-Identifier: MIT
// The bitmap of one block: which of its frames are free. Everything is done a word at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/bits.hpp"

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
// synchronised, but `peek` may be asked while somebody else changes bits. O(words) at most, 8
// words.
class alignas(64) BlockBits {
  public:
    // What a search returns that found no position, and what has no hole says of its order.
    static constexpr unsigned nowhere = block_frames;
    static constexpr unsigned no_hole = UINT8_MAX;

    bool test(unsigned position) const {
        return (words_[position / word_bits] >> (position % word_bits) & 1) != 0;
    }
    // The same, by whoever does not hold the lock: what it was a moment ago.
    bool peek(unsigned position) const {
        return (peek_word(words_[position / word_bits]) >> (position % word_bits) & 1) != 0;
    }
    // Of many bitmaps that follow one another, the word that a position lies in, and whether the
    // position is clear.
    static uint64_t peek_word_of(const BlockBits* bitmaps, uint64_t position) {
        return peek_word(bitmaps->words_[position / word_bits]);
    }
    static bool peek_is_clear(const BlockBits* bitmaps, uint64_t position) {
        return (peek_word_of(bitmaps, position) >> (position % word_bits) & 1) == 0;
    }
    bool all_set(unsigned first, unsigned count) const;
    void set(unsigned first, unsigned count);
    void clear(unsigned first, unsigned count);
    void set_all() { fill(~uint64_t{0}); }
    void clear_all() { fill(0); }
    // Sets clear positions of one word, the bits of `run` from `position` / word_bits * word_bits
    // on. The order of the largest hole after that, when it was `before` (not an unknown one) until
    // then.
    unsigned set_in_word(unsigned position, uint64_t run, unsigned before) {
        const unsigned index = position / word_bits;
        const uint64_t word = words_[index] | run;
        put(index, word);
        if (word == ~uint64_t{0}) return largest_of_full_words(before);
        if (before == no_hole) return largest_in_part(word, 0);
        if (before >= word_order - 1) return before;
        // A single frame makes a larger hole only where all others of that hole are free.
        const unsigned size = 2u << before;
        const uint64_t hole = ((uint64_t{1} << size) - 1) << (lowest_bit(run) & ~(size - 1));
        if ((run & (run - 1)) == 0 && (word & hole) != hole) return before;
        return largest_in_part(word, before);
    }
    // Of the word that a position lies in: its bits.
    uint64_t word_at(unsigned position) const { return words_[position / word_bits]; }
    bool any_set(unsigned first, unsigned count) const { return next_set(first) < first + count; }
    struct Taken {
        unsigned count;
        unsigned order;  // of the largest hole that was broken into
    };
    // Clears `count` set positions, or all when there are fewer: those in the smallest holes first,
    // and of these the lowest. Writes base + position of each to `out`.
    Taken take_smallest(unsigned count, uint64_t base, Frame* out);
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
    Hole smallest_hole(unsigned order) const {
        const uint32_t hole = packed_smallest_hole(order);
        return {hole & 0xffff, hole >> 16};
    }

    // Adds to holes[order] how many holes of that order are part of no larger one.
    void count_holes(uint64_t* holes) const;

    // True when no bit is set here that is clear in `other`.
    bool is_subset_of(const BlockBits& other) const;

    static constexpr unsigned word_bits = 64;

  private:
    static constexpr unsigned words = block_frames / word_bits;
    static constexpr unsigned word_order = 6;

    template <class Change>
    void change(unsigned first, unsigned count, Change change_word);
    void fill(uint64_t word) {
        for (unsigned i = 0; i < words; ++i)
            put(i, word);
    }
    static unsigned largest_in_part(uint64_t word, unsigned least);
    uint64_t full_words() const;
    unsigned largest_of_full_words(unsigned before) const;
    // In one register, so that the search for one can be jumped to.
    static uint32_t packed(unsigned first, unsigned order) { return first | order << 16; }
    uint32_t packed_smallest_hole(unsigned order) const;
    uint32_t smallest_of_full_words(unsigned order) const;
    // Words are read and written whole where the machine does that at once; elsewhere each bit is
    // in one of two halves that are.
    template <class Word>
    static Word peek_word(const Word& word) {
        if constexpr (is_lock_free<Word>) return atomic::load(word);
        return word;
    }
    template <class Word>
    static void put_word(Word& word, Word value) {
        if constexpr (is_lock_free<Word>) {
            atomic::store(word, value);
        } else {
            word = value;
        }
    }
    void put(unsigned index, uint64_t word) { put_word(words_[index], word); }

    uint64_t words_[words];
};
static_assert(sizeof(BlockBits) == block_frames / 8);

}  // namespace quire
