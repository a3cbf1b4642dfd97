// SPDX-License-Identifier: MIT
// A scene on several CPUs: pages mapped by one, seen by another, unmapped by a third.
#include "machine.hpp"
#include "page_race.hpp"
#include "tour.hpp"

namespace kernel {
namespace {

// Of all CPUs together: what one waits for another grows with their number.
constexpr uint32_t turns = 1200;
constexpr uint32_t seed = 3;

}  // namespace

bool tour_cpus(quire::KernelMemory& memory) {
    const unsigned cpus = machine::cpu_count();
    tour_call("on each CPU: map, look at, unmap and reuse the same six pages");
    const RaceOutcome outcome = race_for_pages(memory, turns / cpus, seed);
    tour_note("%u CPUs: %u times mapped, %u times unmapped", cpus, outcome.maps, outcome.unmaps);
    tour_note("%u looks at mapped pages, %u at unmapped ones", outcome.looks_at_mapped,
              outcome.looks_at_unmapped);
    bool well =
        tour_check(outcome.maps > 0 && outcome.maps == outcome.unmaps && outcome.refused == 0,
                   "every request was met, and everything given back");
    return tour_check(outcome.stale == 0, "no CPU saw a page that was no longer there") && well;
}

}  // namespace kernel
