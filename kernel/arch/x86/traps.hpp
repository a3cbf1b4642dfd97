// SPDX-License-Identifier: MIT
// Segments and gates, and what the CPU hands over when it takes a trap.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace kernel::traps {

// The interrupts that are let through, beyond the 32 exceptions: the timer's while it ticks, the
// serial line's, and what the two interrupt controllers send when a device withdraws its request.
inline constexpr uint32_t timer_vector = 32;
inline constexpr uint32_t serial_vector = 36;
inline constexpr uint32_t spurious_vector = 39;
inline constexpr uint32_t second_spurious_vector = 47;
// What CPUs send each other, and what a local APIC sends in place of an interrupt that is gone.
inline constexpr uint32_t ipi_vector = 240;
inline constexpr uint32_t apic_spurious_vector = 255;

// Loads flat segments, what a double fault needs to have a stack of its own, and gates for the 32
// exceptions and the interrupts above, on this CPU, which has that number from now on: this_cpu()
// works. Its stack is what backtraces keep to.
void initialize(unsigned cpu, uintptr_t stack_begin, uintptr_t stack_end);

// Where the CPU was when the double fault came.
struct InterruptedState {
    uintptr_t instruction_pointer;
    uintptr_t stack_pointer;
    uintptr_t frame_pointer;
};
// Says so, and of what cause, and stops the machine.
[[noreturn]] void report_double_fault(const InterruptedState& state);

}  // namespace kernel::traps
