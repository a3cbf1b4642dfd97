// SPDX-License-Identifier: MIT
// Sets of CPUs: a bit for each of at most max_cpus, in a fixed number of words.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/trap.hpp"
#include "quire/config.hpp"

namespace quire {

// A set of CPUs, as a value. All functions trap for CPUs of numbers from max_cpus. O(words).
class CpuMask {
  public:
    static constexpr unsigned word_bits = sizeof(uintptr_t) * 8;
    static constexpr unsigned words = (max_cpus + word_bits - 1) / word_bits;

    constexpr CpuMask() = default;
    static constexpr CpuMask of(unsigned cpu) {
        CpuMask mask;
        mask.set(cpu);
        return mask;
    }
    // CPUs 0 to count - 1.
    static constexpr CpuMask first(unsigned count) {
        CpuMask mask;
        for (unsigned cpu = 0; cpu < count; ++cpu)
            mask.set(cpu);
        return mask;
    }

    constexpr void set(unsigned cpu) { words_[word_of(cpu)] |= bit_of(cpu); }
    constexpr void clear(unsigned cpu) { words_[word_of(cpu)] &= ~bit_of(cpu); }
    constexpr bool has(unsigned cpu) const { return (words_[word_of(cpu)] & bit_of(cpu)) != 0; }
    constexpr bool empty() const {
        uintptr_t all = 0;
        for (const uintptr_t word : words_)
            all |= word;
        return all == 0;
    }
    constexpr unsigned count() const {
        unsigned sum = 0;
        for (uintptr_t word : words_) {
            for (; word != 0; word &= word - 1)
                ++sum;
        }
        return sum;
    }

    friend constexpr bool operator==(const CpuMask&, const CpuMask&) = default;

    // Over its CPUs, ascending.
    class Iterator {
      public:
        constexpr Iterator(const CpuMask& mask, unsigned word) : mask_(&mask), word_(word) {
            if (word_ < words) rest_ = mask_->words_[word_];
            skip();
        }
        constexpr unsigned operator*() const {
            return word_ * word_bits + static_cast<unsigned>(__builtin_ctzl(rest_));
        }
        constexpr Iterator& operator++() {
            rest_ &= rest_ - 1;
            skip();
            return *this;
        }
        constexpr bool operator==(const Iterator& other) const {
            return word_ == other.word_ && rest_ == other.rest_;
        }

      private:
        constexpr void skip() {
            while (rest_ == 0 && word_ < words) {
                if (++word_ < words) rest_ = mask_->words_[word_];
            }
        }

        const CpuMask* mask_;
        unsigned word_;
        uintptr_t rest_ = 0;
    };
    constexpr Iterator begin() const { return {*this, 0}; }
    constexpr Iterator end() const { return {*this, words}; }

  private:
    friend class AtomicCpuMask;
    static constexpr unsigned word_of(unsigned cpu) {
        if (cpu >= max_cpus) trap();
        return cpu / word_bits;
    }
    static constexpr uintptr_t bit_of(unsigned cpu) { return uintptr_t{1} << cpu % word_bits; }

    uintptr_t words_[words] = {};
};
static_assert(sizeof(long) == sizeof(uintptr_t));

// A set of CPUs that several of them change at once. Each word is read and changed atomically; of
// several words, other CPUs may see some changed before others.
class AtomicCpuMask {
  public:
    void set(unsigned cpu, MemoryOrder order = MemoryOrder::sequential) {
        words_[CpuMask::word_of(cpu)].fetch_or(CpuMask::bit_of(cpu), order);
    }
    void clear(unsigned cpu, MemoryOrder order = MemoryOrder::sequential) {
        words_[CpuMask::word_of(cpu)].fetch_and(~CpuMask::bit_of(cpu), order);
    }
    bool has(unsigned cpu, MemoryOrder order = MemoryOrder::sequential) const {
        return (words_[CpuMask::word_of(cpu)].load(order) & CpuMask::bit_of(cpu)) != 0;
    }
    CpuMask load(MemoryOrder order = MemoryOrder::sequential) const {
        CpuMask mask;
        for (unsigned i = 0; i < CpuMask::words; ++i)
            mask.words_[i] = words_[i].load(order);
        return mask;
    }
    void store(const CpuMask& mask, MemoryOrder order = MemoryOrder::sequential) {
        for (unsigned i = 0; i < CpuMask::words; ++i)
            words_[i].store(mask.words_[i], order);
    }
    // Empties it, and returns what was in it.
    CpuMask take(MemoryOrder order = MemoryOrder::sequential) {
        CpuMask mask;
        for (unsigned i = 0; i < CpuMask::words; ++i)
            mask.words_[i] = words_[i].exchange(0, order);
        return mask;
    }
    bool empty(MemoryOrder order = MemoryOrder::sequential) const {
        uintptr_t all = 0;
        for (const Atomic<uintptr_t>& word : words_)
            all |= word.load(order);
        return all == 0;
    }

  private:
    Atomic<uintptr_t> words_[CpuMask::words];
};

}  // namespace quire
