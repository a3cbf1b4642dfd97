// SPDX-License-Identifier: MIT
#include "quire/heap/slot_bits.hpp"

namespace quire::heap_internal {

namespace {

constexpr size_t word_bits = bit_width_of<size_t>;

constexpr size_t run_mask(size_t slot, unsigned order) {
    return static_cast<size_t>(bit_run(0, 1u << order)) << (slot % word_bits);
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

size_t SlotBits::find(unsigned order) {
    for (size_t word = first_word_[order]; word < word_count_; ++word) {
        const size_t runs = aligned_runs(~words_[word], order);
        first_word_[order] = word;
        if (runs != 0) return word * word_bits + lowest_bit(runs);
    }
    first_word_[order] = word_count_;
    return none;
}

void SlotBits::take(size_t slot, unsigned order) {
    words_[slot / word_bits] |= run_mask(slot, order);
    taken_ += size_t{1} << order;
}

void SlotBits::put_back(size_t slot, unsigned order) {
    const size_t word = slot / word_bits;
    words_[word] &= ~run_mask(slot, order);
    taken_ -= size_t{1} << order;
    for (size_t& first : first_word_)
        if (word < first) first = word;
}

bool SlotBits::taken(size_t slot) const {
    return (words_[slot / word_bits] >> (slot % word_bits) & 1) != 0;
}

}  // namespace quire::heap_internal
