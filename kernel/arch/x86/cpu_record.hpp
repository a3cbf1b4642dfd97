// SPDX-License-Identifier: MIT
// What each CPU knows of itself; GS leads to it.
#pragma once

#include <stdint.h>

#include "../../machine.hpp"

namespace kernel {

inline constexpr unsigned most_cpus = machine::most_cpus;

struct CpuRecord {
    uintptr_t index = 0;  // first, where this_cpu() reads it
    uintptr_t stack_begin = 0;
    uintptr_t stack_end = 0;
    uint32_t apic = 0;      // its local APIC's number
    uint32_t handlers = 0;  // that it is in
};

// Any CPU's, and this CPU's.
CpuRecord& cpu_record(unsigned cpu);
inline CpuRecord& own_record() {
    return cpu_record(machine::this_cpu());
}

}  // namespace kernel
