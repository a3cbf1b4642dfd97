// SPDX-License-Identifier: MIT
#include "cpus.hpp"

namespace kernel {

void run_on_all(machine::CpuFunction function, void* context) {
    const unsigned count = machine::cpu_count();
    for (unsigned cpu = 1; cpu < count; ++cpu)
        machine::run_on(cpu, function, context);
    machine::with_interrupts(function, context);
    for (unsigned cpu = 1; cpu < count; ++cpu)
        machine::wait_for(cpu);
}

}  // namespace kernel
