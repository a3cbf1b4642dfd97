// SPDX-License-Identifier: MIT
#include "page_race.hpp"

#include "cpus.hpp"
#include "faults.hpp"
#include "machine.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/lock.hpp"
#include "random.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t place_count = 6;
constexpr uint32_t looks_a_change = 6;

// A page's address, and what is there. The version is odd while it changes; of the even ones, every
// other stands for a mapped page.
struct Place {
    SpinLock lock;  // whoever changes it
    Atomic<uint32_t> version{0};
    Page page;
    Frame frame;
};

constexpr bool is_changing(uint32_t version) {
    return (version & 1) != 0;
}
constexpr bool is_mapped(uint32_t version) {
    return (version & 2) != 0;
}
// The mark of a mapped page: of no other place, and of none of its own last versions; never zero.
constexpr uint8_t mark_of(uint32_t place, uint32_t version) {
    return static_cast<uint8_t>(1 + place * 32 + (version >> 2) % 32);
}
static_assert(place_count * 32 < 255);

class Race {
  public:
    Race(KernelMemory& memory, uint32_t turns, uint32_t seed)
        : memory_(memory), turns_(turns), seed_(seed) {}

    bool prepare() {
        // A stretch of addresses that is free, and stays so but for the places. Each of them is
        // under a table of its own, which comes and goes with it.
        const PageCount apart(machine::pages_per_table());
        AllocateOptions options;
        options.placement.alignment = apart;
        const auto found = memory_.space().reserve(apart * place_count, options);
        if (!found.ok() || !memory_.space().unmap(*found).ok()) return false;
        for (uint32_t i = 0; i < place_count; ++i)
            places_[i].page = found->first() + apart * i;
        return true;
    }

    RaceOutcome run() {
        run_on_all([](void* race) { static_cast<Race*>(race)->take_turns(); }, this);
        for (Place& place : places_) {
            if (is_mapped(place.version.load())) unmap(place, outcome_);
        }
        return outcome_;
    }

  private:
    void take_turns() {
        RaceOutcome own;
        Random random(seed_ + 7919 * machine::this_cpu());
        for (uint32_t turn = 0; turn < turns_; ++turn) {
            const uint32_t index = random.below(place_count);
            if (random.below(looks_a_change + 1) == 0) {
                change(index, own);
            } else {
                look(index, own);
            }
        }
        const LockGuard guard(outcome_lock_);
        outcome_.maps += own.maps;
        outcome_.unmaps += own.unmaps;
        outcome_.looks_at_mapped += own.looks_at_mapped;
        outcome_.looks_at_unmapped += own.looks_at_unmapped;
        outcome_.looks_at_changing += own.looks_at_changing;
        outcome_.stale += own.stale;
        outcome_.refused += own.refused;
    }

    void change(uint32_t index, RaceOutcome& own) {
        Place& place = places_[index];
        const LockGuard guard(place.lock);
        if (is_mapped(place.version.load(MemoryOrder::relaxed))) {
            unmap(place, own);
        } else {
            map(place, index, own);
        }
    }

    void map(Place& place, uint32_t index, RaceOutcome& own) {
        const auto frame = memory_.frames().allocate();
        if (!frame.ok()) {
            ++own.refused;
            return;
        }
        const uint32_t version = place.version.fetch_add(1) + 2;
        MapOptions options;
        options.name = "race";
        options.placement.fixed = true;
        options.placement.at = place.page;
        const auto mapped = memory_.space().map(FrameRange(*frame, FrameCount(1)), options);
        if (!mapped.ok()) {
            ++own.refused;
            (void)memory_.frames().free(*frame);
            place.version.store(version - 2);
            return;
        }
        place.frame = *frame;
        *memory_.layout().view.pointer<volatile uint8_t>(address_of(place.page)) =
            mark_of(index, version);
        ++own.maps;
        place.version.store(version);
    }

    void unmap(Place& place, RaceOutcome& own) {
        const uint32_t version = place.version.fetch_add(1) + 2;
        const bool done = memory_.space().unmap(PageRange(place.page, PageCount(1))).ok() &&
                          memory_.frames().free(place.frame).ok();
        if (!done) ++own.refused;
        ++own.unmaps;
        place.version.store(version);
    }

    void look(uint32_t index, RaceOutcome& own) {
        const Place& place = places_[index];
        const uint32_t before = place.version.load();
        uint8_t mark = 0;
        const bool loaded = probe_byte(address_of(place.page).value(), mark);
        const uint32_t after = place.version.load();
        if (before != after || is_changing(before)) {
            ++own.looks_at_changing;
        } else if (is_mapped(before)) {
            ++own.looks_at_mapped;
            if (!loaded || mark != mark_of(index, before)) ++own.stale;
        } else {
            ++own.looks_at_unmapped;
            if (loaded) ++own.stale;
        }
    }

    KernelMemory& memory_;
    uint32_t turns_;
    uint32_t seed_;
    Place places_[place_count];
    SpinLock outcome_lock_;
    RaceOutcome outcome_;
};

}  // namespace

RaceOutcome race_for_pages(KernelMemory& memory, uint32_t turns, uint32_t seed) {
    Race race(memory, turns, seed);
    if (!race.prepare()) {
        RaceOutcome nothing;
        nothing.refused = 1;
        return nothing;
    }
    return race.run();
}

}  // namespace kernel
