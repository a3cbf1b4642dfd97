// SPDX-License-Identifier: MIT
// Data of which every CPU has its own copy, and the policy that says which CPU this is.
#pragma once

#include "quire/base/exclusion.hpp"
#include "quire/base/span.hpp"
#include "quire/config.hpp"

namespace quire {

// `Pin` keeps the running code on its CPU while it lives (preemption off, or interrupts off, or
// nothing where neither can happen); `index` is that CPU's number, from 0 without gaps.
template <class P>
concept CpuPolicy = requires {
    typename P::Pin;
    { P::index() };
};

// One CPU, whose code is never interrupted by code that touches the same data.
struct SingleCpu {
    struct Pin {};
    static constexpr unsigned index() { return 0; }
};

// The policy made of its two halves: `Who::index()` reads this CPU's number (a register, a word of
// a segment), and the exclusion keeps the code there meanwhile: preemption, or interrupts where
// handlers touch the same data.
template <class Who, ExclusionPolicy Exclusion>
struct PinnedCpu {
    using Pin = Excluding<Exclusion>;
    static unsigned index() { return Who::index(); }
};

// One T a CPU, each on cache lines of its own, in storage that the caller supplies.
template <class T, CpuPolicy Policy>
class CpuLocal {
  public:
    struct alignas(cache_line) Slot {
        T value{};
    };

    // `slots` holds one element for each CPU and must outlive this object.
    explicit constexpr CpuLocal(Span<Slot> slots) : slots_(slots) {}

    // This CPU's copy, for as long as the caller holds a Pin. Traps when there is no slot for it.
    T& mine(const typename Policy::Pin&) const { return slots_[Policy::index()].value; }
    // Another CPU's copy: whoever asks must know that its owner does not touch it meanwhile.
    T& of(unsigned cpu) const { return slots_[cpu].value; }
    unsigned cpus() const { return static_cast<unsigned>(slots_.size()); }

  private:
    Span<Slot> slots_;
};

}  // namespace quire
