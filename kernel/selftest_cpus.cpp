// SPDX-License-Identifier: MIT
// Self-tests of what several CPUs share. On one CPU they hold as well.
#include "console.hpp"
#include "cpus.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "page_race.hpp"
#include "quire/base/atomic.hpp"
#include "selftest.hpp"

namespace kernel {
namespace {

using namespace quire;

// Of all CPUs together: what one waits for another grows with their number.
constexpr uint32_t turns = 1200;
constexpr uint32_t space_turns = 2400;
constexpr uint32_t seed = 11;

// Each CPU says its number and its own page table's root.
bool every_cpu_answers(KernelMemory& memory) {
    struct Answers {
        KernelMemory& memory;
        Atomic<uint32_t> cpus{0};
        Atomic<uint32_t> heaps{0};
    };
    Answers answers{memory};
    run_on_all(
        [](void* context) {
            Answers& told = *static_cast<Answers*>(context);
            told.cpus.fetch_or(1u << machine::this_cpu());
            const auto block = heap().allocate(100);
            if (!block.ok()) return;
            __builtin_memset(*block, 0x5A, 100);
            if (heap().try_free(*block).ok()) told.heaps.fetch_add(1);
        },
        &answers);
    const unsigned count = machine::cpu_count();
    return answers.cpus.load() == (1u << count) - 1 && answers.heaps.load() == count;
}

bool no_cpu_sees_a_stale_page(KernelMemory& memory) {
    const RaceOutcome outcome = race_for_pages(memory, turns / machine::cpu_count(), seed);
    print("# %u CPUs: %u maps, %u looks at mapped pages, %u at unmapped ones, %u stale\n",
          machine::cpu_count(), outcome.maps, outcome.looks_at_mapped, outcome.looks_at_unmapped,
          outcome.stale);
    return outcome.all_well() && outcome.maps > 0 && outcome.maps == outcome.unmaps;
}

// CPUs that go from space to space; every page table sees what the kernel maps.
bool no_cpu_sees_another_space(KernelMemory& memory) {
    const auto outcome = race_in_spaces(memory, space_turns / machine::cpu_count(), seed);
    if (!outcome.ok()) return outcome.error() == Error::unsupported;
    print("# %u switches of spaces, %s PCIDs: %u maps, %u + %u looks, %u stale\n",
          outcome->switches, machine::has_pcids() ? "with" : "no", outcome->maps,
          outcome->looks_at_mapped, outcome->looks_at_unmapped, outcome->stale);
    return outcome->all_well() && outcome->maps > 0 && outcome->maps == outcome->unmaps &&
           outcome->switches > 0;
}

constexpr SelfTest tests[] = {
    {"every CPU runs the kernel's table and its heap", every_cpu_answers},
    {"no CPU sees a page that is no longer there", no_cpu_sees_a_stale_page},
    {"nor one of a space that it has left", no_cpu_sees_another_space},
};

}  // namespace

Span<const SelfTest> cpu_tests() {
    return tests;
}

}  // namespace kernel
