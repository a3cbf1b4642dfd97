// SPDX-License-Identifier: MIT
#include "page_race.hpp"

#include "cpus.hpp"
#include "faults.hpp"
#include "machine.hpp"
#include "platform.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/late.hpp"
#include "quire/base/lock.hpp"
#include "random.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t places_alone = 6;
constexpr uint32_t places_a_space = 3;
constexpr uint32_t most_areas = 1 + machine::most_spaces;
constexpr uint32_t most_places = most_areas * places_a_space;
static_assert(places_alone <= most_places);
constexpr uint32_t looks_a_change = 6;
constexpr uint32_t turns_a_switch = 32;

// A page's address, and what is there. The version is odd while it changes; of the even ones, every
// other stands for a mapped page.
struct Place {
    SpinLock lock;  // whoever changes it
    Atomic<uint32_t> version{0};
    uint32_t area = 0;
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
    return static_cast<uint8_t>(1 + place * 16 + (version >> 2) % 16);
}
static_assert(most_places * 16 < 255);

// Addresses of further spaces, below the kernel's on every machine.
constexpr PageRange own_pages{Page(0x40000), PageCount(0x20000)};
constinit Late<AddressSpace> own_spaces[machine::most_spaces];
alignas(Region) constinit unsigned char own_nodes[machine::most_spaces][16 * sizeof(Region)] = {};

class Race {
  public:
    Race(KernelMemory& memory, uint32_t turns, uint32_t seed)
        : memory_(memory), turns_(turns), seed_(seed) {}

    // Area 0 is the kernel's space; the others have these numbers less one.
    bool prepare(uint32_t places, AddressSpace& space) {
        // A stretch of addresses that is free, and stays so but for the places. Each of them is
        // under a table of its own, which comes and goes with it.
        const PageCount apart(machine::pages_per_table());
        AllocateOptions options;
        options.placement.alignment = apart;
        const auto found = space.reserve(apart * places, options);
        if (!found.ok() || !space.unmap(*found).ok()) return false;
        for (uint32_t i = 0; i < places; ++i) {
            places_[place_count_].area = area_count_;
            places_[place_count_++].page = found->first() + apart * i;
        }
        spaces_[area_count_++] = &space;
        return true;
    }

    RaceOutcome run() {
        run_on_all([](void* race) { static_cast<Race*>(race)->take_turns(); }, this);
        for (uint32_t i = 0; i < place_count_; ++i) {
            if (is_mapped(places_[i].version.load())) unmap(places_[i], outcome_);
        }
        return outcome_;
    }

  private:
    void take_turns() {
        RaceOutcome own;
        Random random(seed_ + 7919 * machine::this_cpu());
        uint32_t here = 0;
        for (uint32_t turn = 0; turn < turns_; ++turn) {
            if (area_count_ > 1 && random.below(turns_a_switch) == 0) {
                here = go_to(random.below(area_count_), here, own);
            }
            const uint32_t places = place_count_ / area_count_;
            const uint32_t area = random.below(2) == 0 ? here : random.below(area_count_);
            const uint32_t index = area * places + random.below(places);
            if (random.below(looks_a_change + 1) == 0) {
                here = change(index, here, own);
            } else if (area == 0 || area == here) {
                look(index, own);
            }
        }
        go_to(0, here, own);
        const LockGuard guard(outcome_lock_);
        outcome_.maps += own.maps;
        outcome_.unmaps += own.unmaps;
        outcome_.looks_at_mapped += own.looks_at_mapped;
        outcome_.looks_at_unmapped += own.looks_at_unmapped;
        outcome_.looks_at_changing += own.looks_at_changing;
        outcome_.stale += own.stale;
        outcome_.refused += own.refused;
        outcome_.switches += own.switches;
    }

    static uint32_t go_to(uint32_t area, uint32_t here, RaceOutcome& own) {
        if (area == here) return here;
        ++own.switches;
        if (area == 0) {
            machine::run_kernel_table();
        } else {
            machine::run_table(area - 1);
        }
        return area;
    }

    // Returns where the CPU is afterwards: a page is marked in its own space.
    uint32_t change(uint32_t index, uint32_t here, RaceOutcome& own) {
        Place& place = places_[index];
        const LockGuard guard(place.lock);
        if (is_mapped(place.version.load(MemoryOrder::relaxed))) {
            unmap(place, own);
            return here;
        }
        if (place.area != 0) here = go_to(place.area, here, own);
        map(place, index, own);
        return here;
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
        const auto mapped = spaces_[place.area]->map(FrameRange(*frame, FrameCount(1)), options);
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
        const bool done = spaces_[place.area]->unmap(PageRange(place.page, PageCount(1))).ok() &&
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
    AddressSpace* spaces_[most_areas] = {};
    uint32_t area_count_ = 0;
    Place places_[most_places];
    uint32_t place_count_ = 0;
    SpinLock outcome_lock_;
    RaceOutcome outcome_;
};

Result<AddressSpace*> make_space(unsigned number, KernelMemory& memory) {
    const auto table = machine::make_table(number, memory);
    if (!table.ok()) return table.failure();
    const SpaceParts parts{
        *table->table, FrameSource(memory.frames()), memory.zeroer(),    *table->tlb,
        platform(),    memory.layout().view,         memory.direct_map()};
    return &own_spaces[number].make(parts, own_pages, Span<unsigned char>(own_nodes[number]),
                                    NodeGrowth::none);
}

RaceOutcome refusal() {
    RaceOutcome nothing;
    nothing.refused = 1;
    return nothing;
}

}  // namespace

RaceOutcome race_for_pages(KernelMemory& memory, uint32_t turns, uint32_t seed) {
    Race race(memory, turns, seed);
    return race.prepare(places_alone, memory.space()) ? race.run() : refusal();
}

Result<RaceOutcome> race_in_spaces(KernelMemory& memory, uint32_t turns, uint32_t seed) {
    Race race(memory, turns, seed);
    Status ready = race.prepare(places_a_space, memory.space())
                       ? Status()
                       : Status(Failure{Error::out_of_memory, 0});
    unsigned made = 0;
    for (; ready.ok() && made < machine::most_spaces; ++made) {
        const auto space = make_space(made, memory);
        if (!space.ok()) {
            ready = space.failure();
            break;
        }
        if (!race.prepare(places_a_space, **space)) ready = Failure{Error::out_of_memory, made};
    }
    RaceOutcome outcome;
    if (ready.ok()) outcome = race.run();
    while (made-- > 0) {
        if (!own_spaces[made]->validate().ok() || own_spaces[made]->regions() > 0)
            ++outcome.refused;
        own_spaces[made].end();
        if (!machine::destroy_table(made).ok()) ++outcome.refused;
    }
    if (!ready.ok()) return ready.failure();
    return outcome;
}

}  // namespace kernel
