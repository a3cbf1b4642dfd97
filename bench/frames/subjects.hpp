// SPDX-License-Identifier: MIT
// All subjects, in the order in which tables show them.
#pragma once

#include <utility>

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
static_assert(Subject<BuddyWithLock> && Subject<BuddyWithMagazine> && Subject<TutorialBitmap>);

}  // namespace quire::bench
