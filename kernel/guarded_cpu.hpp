// SPDX-License-Identifier: MIT
// What benchmarks guard their managers with, on one CPU whose interrupt handlers allocate as well.
#pragma once

#include <stdint.h>

#include "machine.hpp"
#include "quire/base/cpu_local.hpp"

namespace kernel {

struct Interrupts {
    static uint32_t disable() { return machine::disable_interrupts(); }
    static void restore(uint32_t state) { machine::restore_interrupts(state); }
};
struct FirstCpu {
    static constexpr unsigned index() { return 0; }
};
using GuardedCpu = quire::PinnedCpu<FirstCpu, Interrupts>;

}  // namespace kernel
