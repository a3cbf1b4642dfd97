// SPDX-License-Identifier: MIT
// Page faults between the machine and the address space, and probing: asking the CPU itself.
#pragma once

#include <stdint.h>

#include "quire/kernel_memory.hpp"
#include "quire/space/fault.hpp"

namespace kernel {

// From now on faults go to the address space: it resolves them, or its report is printed and the
// machine stops. Call once; `space` must outlive the kernel.
void handle_faults_with(quire::AddressSpace& space);

// What the CPU does at an address, by trying: demand faults are not resolved.
struct Probe {
    bool loads;
    bool stores;
};
Probe probe(uintptr_t address);
// The half of it that writes nothing.
bool probe_load(uintptr_t address);
// Also says what was loaded. Any CPU.
bool probe_byte(uintptr_t address, uint8_t& value);
// Whether the CPU fetches from there; a machine::return_instruction must be what it finds.
bool probe_execute(uintptr_t address);

enum class Touch { load, store };
// Accesses one byte as any code would: demand faults are resolved. When the fault cannot be
// resolved, the report of the address space is returned and the kernel goes on.
struct TouchOutcome {
    bool done;
    quire::FaultReport report;  // when not done
};
TouchOutcome touch(uintptr_t address, Touch how);

// Prints a report, several lines.
void show_fault(const quire::FaultReport& report);

}  // namespace kernel
