// SPDX-License-Identifier: MIT
#include "quire/heap/slot_bits.hpp"

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

namespace {

constexpr size_t word_bits = bit_width_of<size_t>;

// Calls visit(word, mask) for each word that the run has a part of.
template <class Visit>
void for_each_word(size_t slot, size_t slots, Visit visit) {
    while (slots != 0) {
        const auto first = static_cast<unsigned>(slot % word_bits);
        const size_t here = min(slots, word_bits - first);
        visit(slot / word_bits, ~static_cast<size_t>(0) >> (word_bits - here) << first);
        slot += here;
        slots -= here;
    }
}

// The lowest bits of all aligned runs of 2^order set bits.
constexpr size_t aligned_runs(size_t bits, unsigned order) {
    if (order >= 1) bits &= bits >> 1 & static_cast<size_t>(-1) / 3;
    if (order >= 2) bits &= bits >> 2 & static_cast<size_t>(-1) / 15;
    return bits;
}
static_assert(span_orders <= 3);

}  // namespace

void SlotBits::start(size_t* words, size_t slots) {
    words_ = words;
    taken_ = 0;
    for (size_t& first : first_word_)
        first = 0;
    word_count_ = (slots + word_bits - 1) / word_bits;
    // Slots beyond the last one are never free.
    const size_t rest = slots % word_bits;
    if (rest != 0) words_[word_count_ - 1] = ~static_cast<size_t>(0) << rest;
}

size_t SlotBits::find(unsigned slots) {
    return slots <= aligned_slots && is_power_of_two(slots) ? find_aligned(log2_ceil(slots))
                                                            : find_long(slots);
}

size_t SlotBits::find_aligned(unsigned order) {
    for (size_t word = first_word_[order]; word < word_count_; ++word) {
        const size_t runs = aligned_runs(~words_[word], order);
        first_word_[order] = word;
        if (runs != 0) return word * word_bits + lowest_bit(runs);
    }
    first_word_[order] = word_count_;
    return none;
}

// The first slot of [from, end) that is taken, or that is free; `end` when none is.
size_t SlotBits::next(size_t from, size_t end, bool wanted_taken) const {
    while (from < end) {
        const size_t word = words_[from / word_bits];
        const size_t found = (wanted_taken ? word : ~word) >> (from % word_bits);
        if (found != 0) return min(from + lowest_bit(found), end);
        from = (from / word_bits + 1) * word_bits;
    }
    return end;
}

size_t SlotBits::find_long(unsigned slots) {
    const size_t end = word_count_ * word_bits;
    // Words before have no free slot at all.
    size_t from = next(min(first_word_[0] * word_bits, end), end, false);
    while (end - from >= slots) {
        const size_t taken = next(from, from + slots, true);
        if (taken == from + slots) return from;
        from = next(taken, end, false);
    }
    return none;
}

bool SlotBits::free_at(size_t slot, unsigned slots) const {
    const size_t end = slot + slots;
    return end <= word_count_ * word_bits && next(slot, end, true) == end;
}

void SlotBits::take(size_t slot, unsigned slots) {
    for_each_word(slot, slots, [&](size_t word, size_t mask) { words_[word] |= mask; });
    taken_ += slots;
}

void SlotBits::put_back(size_t slot, unsigned slots) {
    for_each_word(slot, slots, [&](size_t word, size_t mask) { words_[word] &= ~mask; });
    taken_ -= slots;
    for (size_t& first : first_word_)
        if (slot / word_bits < first) first = slot / word_bits;
}

bool SlotBits::taken(size_t slot) const {
    return (words_[slot / word_bits] >> (slot % word_bits) & 1) != 0;
}

}  // namespace quire::heap_internal
