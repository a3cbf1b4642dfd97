// SPDX-License-Identifier: MIT
// All subjects, in the order in which tables show them.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "buddy.hpp"
#include "quire_subject.hpp"
#include "subject.hpp"
#include "tutorial_bitmap.hpp"

namespace quire::bench {

// What the loops around the calls cost: a subject that does nothing.
class Nothing {
  public:
    static constexpr const char* name = "empty";
    static constexpr bool is_slow = false;
    static constexpr bool is_shared = false;

    explicit Nothing(uint64_t frames) : frames_(static_cast<Token>(frames)) {}
    Token get(unsigned order) {
        if (next_ >= frames_) return no_frames;
        return std::exchange(next_, next_ + (1u << order));
    }
    void put(Token token, unsigned order) {
        next_ -= 1u << order;
        __asm__ __volatile__("" : : "r"(token) : "memory");  // or the loop would go as well
    }
    void drain() {}
    uint64_t whole_blocks() const { return 0; }
    uint64_t metadata_bytes() const { return 0; }

  private:
    Token frames_;
    Token next_ = 0;
};

// The floor of whole blocks: one of many headers is taken and given back by a compare-and-exchange
// each, which one is known without a search, and nothing else is kept. Order 9 only.
class Floor {
  public:
    static constexpr const char* name = "floor";
    static constexpr bool is_slow = false;
    static constexpr bool is_shared = false;

    explicit Floor(uint64_t frames) : headers_(frames / frames_of_block) {}
    void take_first(uint64_t frames) {
        while (next_ < frames / frames_of_block)
            get(block_frames_order);
    }
    Token get(unsigned) {
        uint64_t expected = 0;
        if (!headers_[next_].compare_exchange_strong(expected, 1)) return no_frames;
        return next_++ << block_frames_order;
    }
    void put(Token first, unsigned) {
        uint64_t expected = 1;
        next_ = first >> block_frames_order;
        if (!headers_[next_].compare_exchange_strong(expected, 0)) std::abort();
    }
    void drain() {}
    uint64_t whole_blocks() const { return headers_.size() - next_; }
    uint64_t metadata_bytes() const { return headers_.size() * sizeof(headers_[0]); }

  private:
    std::vector<std::atomic<uint64_t>> headers_;
    Token next_ = 0;
};

// Calls `visit.template operator()<S>()` for each subject.
template <class Visit>
void for_each_subject(Visit visit) {
    visit.template operator()<QuireDefault>();
    visit.template operator()<QuireLifo>();
    visit.template operator()<QuireHomes>();
    visit.template operator()<QuireAlone>();
    visit.template operator()<QuireLocked>();
    visit.template operator()<BuddyWithLock>();
    visit.template operator()<BuddyWithMagazine>();
    visit.template operator()<TutorialBitmap>();
    visit.template operator()<Nothing>();
}
static_assert(Subject<QuireDefault> && Subject<QuireLifo> && Subject<QuireAlone>);
static_assert(Subject<QuireHomes> && Subject<QuireLocked> && Subject<Nothing>);
static_assert(Subject<Floor>);
static_assert(Subject<BuddyWithLock> && Subject<BuddyWithMagazine> && Subject<TutorialBitmap>);

}  // namespace quire::bench
