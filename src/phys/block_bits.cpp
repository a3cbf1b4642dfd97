// SPDX-License-Identifier: MIT
#include "quire/phys/block_bits.hpp"

#include "quire/base/bits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

namespace {

// Positions that are multiples of 2^order, for orders 0 to 6.
constexpr uint64_t multiples[] = {
    0xffffffffffffffff, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
    0x0001000100010001, 0x0000000100000001, 0x0000000000000001,
};

// From the first positions of holes of `order` in a word, those of holes of order + 1.
constexpr uint64_t paired(uint64_t holes, unsigned order) {
    return holes & (holes >> (1u << order)) & multiples[order + 1];
}
// The first positions of holes of `order`, at most 6, in a word of bits.
constexpr uint64_t holes_in(uint64_t word, unsigned order) {
    for (unsigned i = 0; i < order; ++i)
        word = paired(word, i);
    return word;
}
// Of the holes of `order` in a word, those that are not half of a larger one in it.
constexpr uint64_t unpaired(uint64_t holes, unsigned order) {
    const uint64_t larger = paired(holes, order);
    return holes & ~(larger | larger << (1u << order));
}

// Order of the largest hole in a word that has a bit set, at most 6.
constexpr unsigned largest_in(uint64_t word) {
    unsigned order = 0;
    while (order < 6) {
        word = paired(word, order);
        if (word == 0) break;
        ++order;
    }
    return order;
}

// The smallest hole of at least `order` in `word`, seen as `orders` doublings of one bit; order is
// `orders` + 1 when there is none.
constexpr Hole smallest_in(uint64_t word, unsigned order, unsigned orders) {
    uint64_t holes = holes_in(word, order);
    for (unsigned found = order; holes != 0; ++found) {
        const uint64_t alone = found == orders ? holes : unpaired(holes, found);
        if (alone != 0) return {lowest_bit(alone), found};
        holes = paired(holes, found);
    }
    return {0, orders + 1};
}

}  // namespace

template <class Change>
void BlockBits::change(unsigned first, unsigned count, Change change_word) {
    if (first > block_frames || count > block_frames - first) trap();
    while (count > 0) {
        const unsigned bit = first % word_bits;
        const unsigned here = count < word_bits - bit ? count : word_bits - bit;
        const unsigned index = first / word_bits;
        put(index, change_word(words_[index], bit_run(bit, here)));
        first += here;
        count -= here;
    }
}

void BlockBits::set(unsigned first, unsigned count) {
    change(first, count, [](uint64_t word, uint64_t run) { return word | run; });
}

void BlockBits::clear(unsigned first, unsigned count) {
    change(first, count, [](uint64_t word, uint64_t run) { return word & ~run; });
}

bool BlockBits::all_set(unsigned first, unsigned count) const {
    return next_clear(first) >= first + count;
}

unsigned BlockBits::count() const {
    unsigned sum = 0;
    for (const uint64_t word : words_)
        sum += count_bits(word);
    return sum;
}

unsigned BlockBits::next_set(unsigned from) const {
    if (from >= block_frames) return nowhere;
    unsigned index = from / word_bits;
    uint64_t word = words_[index] & (~uint64_t{0} << (from % word_bits));
    while (word == 0) {
        if (++index == words) return nowhere;
        word = words_[index];
    }
    return index * word_bits + lowest_bit(word);
}

unsigned BlockBits::next_clear(unsigned from) const {
    if (from >= block_frames) return nowhere;
    unsigned index = from / word_bits;
    uint64_t word = ~words_[index] & (~uint64_t{0} << (from % word_bits));
    while (word == 0) {
        if (++index == words) return nowhere;
        word = ~words_[index];
    }
    return index * word_bits + lowest_bit(word);
}

unsigned BlockBits::start_of_run_below(unsigned end) const {
    while (end > 0) {
        // The word that holds the position below `end`, without what lies above it.
        const unsigned index = (end - 1) / word_bits;
        const unsigned above = word_bits - 1 - (end - 1) % word_bits;
        const uint64_t clear = ~words_[index] << above;
        if (clear != 0) return end - (word_bits - 1 - highest_bit(clear));
        end = index * word_bits;
    }
    return 0;
}

// One bit a word, set when all of the word's frames are free: a bitmap of holes of order 6.
uint64_t BlockBits::full_words() const {
    uint64_t full = 0;
    for (unsigned i = 0; i < words; ++i)
        if (words_[i] == ~uint64_t{0}) full |= uint64_t{1} << i;
    return full;
}

unsigned BlockBits::largest_order(unsigned bound) const {
    if (bound >= word_order) {
        const uint64_t full = full_words();
        if (full != 0) return word_order + largest_in(full);
    }
    unsigned largest = no_hole;
    for (const uint64_t word : words_) {
        if (word == 0) continue;
        const unsigned here = largest_in(word);
        if (largest == no_hole || here > largest) largest = here;
        if (largest == bound) break;
    }
    return largest;
}

unsigned BlockBits::largest_order_after_set(unsigned before, unsigned first, unsigned count) const {
    // A hole larger than all that were there before contains frames of the run.
    unsigned largest = before == no_hole ? 0 : before;
    bool full = false;
    for (unsigned i = first / word_bits; i <= (first + count - 1) / word_bits; ++i) {
        full = full || words_[i] == ~uint64_t{0};
        if (largest < word_order - 1) largest = largest_in_part(words_[i], largest);
    }
    return full ? largest_of_full_words(largest) : largest;
}

// The order of the largest hole in a word that is not full, or `least` when that is more.
unsigned BlockBits::largest_in_part(uint64_t word, unsigned least) {
    for (unsigned order = 0; order < least; ++order)
        word = paired(word, order);
    for (;; ++least) {
        word = paired(word, least);
        if (word == 0 || least == word_order - 1) return least;
    }
}

uint32_t BlockBits::packed_smallest_hole(unsigned order) const {
    if (order >= word_order) return smallest_of_full_words(order);
    // Of each order from the one asked for up. Full words are left for last, where their neighbours
    // are known.
    for (unsigned larger = order; larger < word_order; ++larger) {
        for (unsigned i = 0; i < words; ++i) {
            const uint64_t word = words_[i];
            if (word == 0 || word == ~uint64_t{0}) continue;
            const uint64_t alone = unpaired(holes_in(word, larger), larger);
            if (alone != 0) return packed(i * word_bits + lowest_bit(alone), larger);
        }
    }
    return smallest_of_full_words(word_order);
}

// After a word became full: the larger of what was the largest hole and the largest of full words.
unsigned BlockBits::largest_of_full_words(unsigned before) const {
    const unsigned now = word_order + largest_in(full_words());
    return before == no_hole || now > before ? now : before;
}

uint32_t BlockBits::smallest_of_full_words(unsigned order) const {
    const Hole hole = smallest_in(full_words(), order - word_order, block_order - word_order);
    if (hole.order > block_order - word_order) trap();
    return packed(hole.first * word_bits, hole.order + word_order);
}

namespace {

// The number of a frame that is known to exist.
Frame known_frame(uint64_t number) {
    if (number > Frame::highest) __builtin_unreachable();
    return Frame(number);
}

// Writes base + position for each set bit until `next` is `end`. What is left of the bits.
uint64_t write_numbers(uint64_t bits, uint64_t base, Frame*& next, const Frame* end) {
    Frame* at = next;
    for (; bits != 0 && at != end; bits &= bits - 1)
        *at++ = known_frame(base + lowest_bit(bits));
    next = at;
    return bits;
}

}  // namespace

BlockBits::Taken BlockBits::take_smallest(unsigned count, uint64_t base, Frame* out) {
    const Frame* const end = out + count;
    Frame* next = out;
    unsigned last_order = 0;
    for (unsigned order = 0; order < word_order && next != end; ++order) {
        for (unsigned i = 0; i < words && next != end; ++i) {
            const uint64_t word = words_[i];
            // Full words are left for the second step, which knows their neighbours.
            if (word == 0 || word == ~uint64_t{0}) continue;
            const uint64_t holes = unpaired(holes_in(word, order), order);
            if (holes == 0) continue;
            last_order = order;
            // All frames of these holes.
            uint64_t rest = holes;
            for (unsigned size = 1; size < 1u << order; size *= 2)
                rest |= rest << size;
            put(i, (word & ~rest) | write_numbers(rest, base + uint64_t{i} * word_bits, next, end));
        }
    }
    Taken taken{static_cast<unsigned>(next - out), last_order};
    while (taken.count < count) {
        const uint64_t full = full_words();
        if (full == 0) break;
        const Hole hole = smallest_in(full, 0, block_order - word_order);
        if (hole.order + word_order > taken.order) taken.order = hole.order + word_order;
        unsigned bit = 0;
        for (; bit < word_bits && taken.count < count; ++bit)
            out[taken.count++] = known_frame(base + uint64_t{hole.first} * word_bits + bit);
        put(hole.first, bit == word_bits ? 0 : ~uint64_t{0} << bit);
    }
    return taken;
}

void BlockBits::count_holes(uint64_t* holes) const {
    for (const uint64_t word : words_) {
        if (word == ~uint64_t{0}) continue;
        for (unsigned order = 0; order < word_order; ++order)
            holes[order] += count_bits(unpaired(holes_in(word, order), order));
    }
    const uint64_t full = full_words();
    for (unsigned order = 0; order + word_order <= block_order; ++order)
        holes[order + word_order] += count_bits(unpaired(holes_in(full, order), order));
}

bool BlockBits::is_subset_of(const BlockBits& other) const {
    uint64_t outside = 0;
    for (unsigned i = 0; i < words; ++i)
        outside |= words_[i] & ~other.words_[i];
    return outside == 0;
}

}  // namespace quire
