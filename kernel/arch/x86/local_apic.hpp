// SPDX-License-Identifier: MIT
// The local APIC of each CPU: interrupts from one CPU to another.
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel::local_apic {

// Whether this CPU has one.
bool is_there();
// Maps the registers, which are at the same addresses on every CPU. Call once, before all else.
quire::Status map(quire::AddressSpace& space);
// Lets this CPU's take and send interrupts; device interrupts come through it to the first CPU.
// Returns its number.
uint32_t enable();
// The interrupt in service is over.
void end_of_interrupt();

// Interrupts the CPU whose APIC has that number, with traps::ipi_vector.
void interrupt(uint32_t apic);
// Resets all CPUs but this one, and starts them in real mode at a frame below 1 MiB (SDM 3A,
// 9.4.4.1). Takes some 11 milliseconds.
void start_all_others(quire::Frame trampoline);

// Waits; by the timer that every PC has.
void wait_microseconds(uint32_t microseconds);

}  // namespace kernel::local_apic
