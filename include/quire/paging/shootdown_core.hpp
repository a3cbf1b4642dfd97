// SPDX-License-Identifier: MIT
// The part of Shootdown that does not depend on the machine: who asks whom to drop what, and who
// has answered. Kernels use Shootdown.
#pragma once

#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/cpu_mask.hpp"
#include "quire/base/span.hpp"
#include "quire/config.hpp"
#include "quire/paging/pcid_slots.hpp"
#include "quire/paging/tlb.hpp"
#include "quire/paging/tlb_space.hpp"

namespace quire {

// How much a CPU has to drop for a request.
enum class FlushExtent : uint8_t {
    nothing,
    pages,       // the request's
    space,       // all of the current space that is not global
    everything,  // of all spaces, global or not
};

// What a CPU needs for shootdowns: the request that it has sent and that is not answered by all,
// and who waits for its own answer. One request at a time, since its sender waits; so no storage
// grows.
struct alignas(cache_line) ShootdownCpu {
    // Written by others: whose requests this CPU has not taken up yet.
    AtomicCpuMask senders;
    // Written by the others, too: who has not answered yet.
    AtomicCpuMask unanswered;
    // Written by the CPU while nobody has to answer, and read by those that have.
    FlushRequest request;
    TlbSpace* space = nullptr;  // null: of what all spaces have in common
    uintptr_t generation = 0;   // of the space, after the change
    // The CPU's alone.
    alignas(cache_line) TlbSpace* loaded = nullptr;
    PcidSlots pcids;
};

class ShootdownCore {
  public:
    // One record for each CPU, that outlives this object.
    explicit ShootdownCore(Span<ShootdownCpu> cpus) : cpus_(cpus) {}
    ShootdownCore(const ShootdownCore&) = delete;
    ShootdownCore& operator=(const ShootdownCore&) = delete;

    // The CPUs that take part.
    CpuMask cpus() const { return started_.load(MemoryOrder::acquire); }
    // The space that a CPU runs, as that CPU knows it; null before its first.
    TlbSpace* loaded(unsigned cpu) const { return cpus_[cpu].loaded; }

  protected:
    // All of these are called by the CPU `self`, which nothing interrupts meanwhile.

    // Before the CPU drops all that it has cached: what is read here was raised by changes of which
    // it does not hear.
    void start(unsigned self) {
        started_.set(self);
        static_cast<void>(common_generation_.load());
    }
    // Whether the CPU's last request is answered by all, so that it can send another.
    bool is_answered(unsigned self) const {
        return cpus_[self].unanswered.empty(MemoryOrder::acquire);
    }
    // Writes a request down for every CPU that has to know of it; returns those others, and keeps
    // what this CPU has to drop for `extent_of(self, self)`. `space` as in ShootdownCpu.
    CpuMask send(unsigned self, const FlushRequest& request, TlbSpace* space);
    // How much `self` has to drop for the request of `sender`; notes that it is dropped.
    FlushExtent extent_of(unsigned self, unsigned sender);
    const FlushRequest& request_of(unsigned sender) const { return cpus_[sender].request; }
    // Whose requests wait for this CPU. Each is to be answered once.
    bool is_wanted(unsigned self) const { return !cpus_[self].senders.empty(MemoryOrder::relaxed); }
    CpuMask take_senders(unsigned self) { return cpus_[self].senders.take(MemoryOrder::acquire); }
    void answer(unsigned self, unsigned sender) {
        cpus_[sender].unanswered.clear(self, MemoryOrder::release);
    }

    // Before the root is loaded, and after.
    PcidSlots::Choice enter(unsigned self, TlbSpace& space, PcidSlots::Pcids pcids);
    void entered(unsigned self, TlbSpace& space);

    ShootdownCpu& record(unsigned cpu) { return cpus_[cpu]; }

  private:
    friend class TlbSpace;
    uintptr_t new_number() { return spaces_.fetch_add(1, MemoryOrder::relaxed) + 1; }

    Span<ShootdownCpu> cpus_;
    AtomicCpuMask started_;
    Atomic<uintptr_t> common_generation_{0};  // of what all spaces have in common
    Atomic<uintptr_t> spaces_{0};
};

}  // namespace quire
