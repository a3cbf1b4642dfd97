// SPDX-License-Identifier: MIT
// Keeping away what else runs on this CPU, as policy types. Together with a spin lock, which keeps
// other CPUs away, these are all the exclusion that Quire's managers know:
//
//   what may touch the state besides            policy               with a lock
//   nothing: one CPU, no interrupts, one thread NoExclusion          NoLock
//   other CPUs                                  NoExclusion          SpinLock
//   other threads of this CPU                   the kernel's, that   ExcludingLock<P, NoLock>,
//                                               keeps preemption off or <P> with other CPUs
//   interrupt handlers                          the kernel's, that   likewise
//                                               masks interrupts
//
// A kernel writes a few lines for each of the latter two:
//
//   struct Interrupts {
//       static uintptr_t disable();          // masks them, and says what was before
//       static void restore(uintptr_t);      // brings that back
//   };
#pragma once

namespace quire {

// `disable` keeps something away from this CPU and returns the state that `restore` brings back.
// The two nest. Both order memory operations: what stands between them stays between them.
template <class P>
concept ExclusionPolicy = requires { P::restore(P::disable()); };

// Keeps nothing away.
struct NoExclusion {
    struct State {};
    static constexpr State disable() { return {}; }
    static constexpr void restore(State) {}
};

// Keeps it away for as long as this lives, which must end on the same CPU.
template <ExclusionPolicy Exclusion>
class [[nodiscard]] Excluding {
  public:
    Excluding() : before_(Exclusion::disable()) {}
    ~Excluding() { Exclusion::restore(before_); }
    Excluding(const Excluding&) = delete;
    Excluding& operator=(const Excluding&) = delete;

  private:
    decltype(Exclusion::disable()) before_;
};

}  // namespace quire
