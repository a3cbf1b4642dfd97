// SPDX-License-Identifier: MIT
#include "quire/paging/shootdown_core.hpp"

#include "quire/base/traits.hpp"

namespace quire {
namespace {
// Whether generation `a` is at least as new as `b`. They may run past the top of a word.
bool is_current(uintptr_t a, uintptr_t b) {
    return static_cast<intptr_t>(a - b) >= 0;
}
}  // namespace

TlbSpace::TlbSpace(ShootdownCore& shootdown, Frame root)
    : root_(root), number_(shootdown.new_number()) {}

TlbSpace::~TlbSpace() {
    if (!running_.empty()) trap();
}

PcidSlots::Choice PcidSlots::choose(Pcids pcids, uintptr_t space, uintptr_t generation) {
    kept_ = pcids;
    unsigned slot = 0;
    if (pcids == Pcids::used) {
        while (slot < slots && slots_[slot].space != space)
            ++slot;
    }
    const bool known = pcids == Pcids::used && slot < slots;
    if (slot == slots) {
        slot = next_;
        next_ = (next_ + 1) % slots;
    }
    const bool current = known && is_current(slots_[slot].generation, generation);
    if (!current) slots_[slot] = {space, generation};
    current_ = slot;
    return {pcid_of(slot, pcids), current ? Cached::keep : Cached::drop};
}

void PcidSlots::forget_others() {
    for (unsigned i = 0; i < slots; ++i) {
        if (i != current_) slots_[i].space = no_space;
    }
}

CpuMask ShootdownCore::send(unsigned self, const FlushRequest& request, TlbSpace* space) {
    ShootdownCpu& mine = cpus_[self];
    // Translations that are global serve every space, whichever they were made in.
    mine.space = request.global ? nullptr : space;
    mine.request = request;
    // Raised before the CPUs are read: see TlbSpace.
    Atomic<uintptr_t>& generation = space == nullptr ? common_generation_ : space->generation_;
    mine.generation = generation.fetch_add(1) + 1;
    CpuMask others = mine.space == nullptr ? started_.load() : mine.space->running_.load();
    others.clear(self);
    if (others.empty()) return others;
    mine.unanswered.store(others, MemoryOrder::relaxed);
    for (const unsigned cpu : others)
        cpus_[cpu].senders.set(self);
    return others;
}

FlushExtent ShootdownCore::extent_of(unsigned self, unsigned sender) {
    const ShootdownCpu& asked = cpus_[sender];
    ShootdownCpu& mine = cpus_[self];
    const bool all = asked.request.prefers_full_flush();
    if (asked.space == nullptr) {
        // Page by page, what other PCIDs have cached on the way to the pages would stay: SDM vol.
        // 3A 4.10.4.1, INVLPG.
        mine.pcids.forget_others();
        return all ? FlushExtent::everything : FlushExtent::pages;
    }
    if (asked.space != mine.loaded) return FlushExtent::nothing;
    if (is_current(mine.pcids.generation(), asked.generation)) return FlushExtent::nothing;
    if (!all && mine.pcids.generation() + 1 == asked.generation) {
        mine.pcids.set_generation(asked.generation);
        return FlushExtent::pages;
    }
    // Several changes at once: what is read here was raised by changes that are dropped with it.
    mine.pcids.set_generation(asked.space->generation_.load(MemoryOrder::acquire));
    return FlushExtent::space;
}

PcidSlots::Choice ShootdownCore::enter(unsigned self, TlbSpace& space, PcidSlots::Pcids pcids) {
    // Before the generation is read: see TlbSpace.
    space.running_.set(self);
    return cpus_[self].pcids.choose(pcids, space.number_, space.generation_.load());
}

void ShootdownCore::entered(unsigned self, TlbSpace& space) {
    TlbSpace* const old = exchange(cpus_[self].loaded, &space);
    if (old != nullptr) old->running_.clear(self, MemoryOrder::release);
}

}  // namespace quire
