// SPDX-License-Identifier: MIT
// The steady workloads: each is a state made once, and a step that gives back a block and gets one,
// or the other way round, for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "subject.hpp"
#include "support/random.hpp"

namespace quire::bench {

// All memory in single frames, in the order in which they were got.
template <Subject S>
std::vector<Token> take_all_frames(S& subject, uint64_t frames) {
    std::vector<Token> taken;
    taken.reserve(frames);
    if constexpr (requires { subject.take_first(frames); }) {
        subject.take_first(frames);
        for (Token frame = 0; frame < frames; ++frame)
            taken.push_back(frame);
    } else {
        for (Token frame = subject.get(0); frame != no_frames; frame = subject.get(0))
            taken.push_back(frame);
        if (taken.size() != frames) std::abort();
    }
    return taken;
}

// Half full, and fragmented as badly as can be: all memory taken in single frames, and a random
// half of them given back in random order. Returns what is still taken, in random order.
template <Subject S>
std::vector<Token> leave_random_half(S& subject, uint64_t frames, uint64_t seed) {
    std::vector<Token> taken = take_all_frames(subject, frames);
    Random random(seed);
    shuffle(taken, random);
    while (taken.size() > frames / 2) {
        subject.put(taken.back(), 0);
        taken.pop_back();
    }
    return taken;
}

// Filled to a percentage with single frames, got one after the other: what is free is whole.
template <Subject S>
void fill(S& subject, uint64_t frames, unsigned percent) {
    for (uint64_t left = frames / 100 * percent; left > 0; --left)
        if (subject.get(0) == no_frames) std::abort();
}

// Gets a block and gives it back. The order is known when this is compiled, as it is to most
// callers of an allocator.
template <unsigned order>
struct Pairs {
    template <Subject S>
    [[gnu::always_inline]] Token step(S& subject) const {
        const Token block = subject.get(order);
        subject.put(block, order);
        return block;
    }
};

// Gives back what was got `size` steps before, and gets another.
class Window {
  public:
    static constexpr size_t size = 1024;

    template <Subject S>
    explicit Window(S& subject) {
        for (Token& frame : frames_)
            frame = subject.get(0);
    }
    template <Subject S>
    [[gnu::always_inline]] Token step(S& subject) {
        Token& oldest = frames_[next_++ % size];
        subject.put(oldest, 0);
        return oldest = subject.get(0);
    }

  private:
    Token frames_[size];
    size_t next_ = 0;
};

// Gives back any of what is taken, and gets another.
class Replacement {
  public:
    Replacement(std::vector<Token> taken, uint64_t seed)
        : taken_(std::move(taken)), random_(seed) {}

    template <Subject S>
    [[gnu::always_inline]] Token step(S& subject) {
        Token& any = taken_[random_.below(taken_.size())];
        subject.put(any, 0);
        return any = subject.get(0);
    }

  private:
    std::vector<Token> taken_;
    Random random_;
};

}  // namespace quire::bench
