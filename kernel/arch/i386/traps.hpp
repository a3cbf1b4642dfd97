// SPDX-License-Identifier: MIT
// Segments, gates and the trap frame of 32-bit x86.
#pragma once

#include <stdint.h>

namespace kernel::traps {

// The interrupts that are let through, beyond the 32 exceptions: the serial line's, and what the
// two interrupt controllers send when a device withdraws its request.
inline constexpr uint32_t serial_vector = 36;
inline constexpr uint32_t spurious_vector = 39;
inline constexpr uint32_t second_spurious_vector = 47;

// What trap_entry.S leaves on the stack, lowest address first.
struct TrapFrame {
    // pushal
    uint32_t edi;
    uint32_t esi;
    uint32_t ebp;
    uint32_t esp_in_handler;
    uint32_t ebx;
    uint32_t edx;
    uint32_t ecx;
    uint32_t eax;
    // the entry
    uint32_t vector;
    uint32_t error_code;
    // the CPU
    uint32_t eip;
    uint32_t cs;
    uint32_t eflags;

    // The stack pointer of the interrupted code: a trap from the kernel pushes none, so it is where
    // the frame ends.
    uintptr_t interrupted_esp() const { return reinterpret_cast<uintptr_t>(this + 1); }
};

// Loads flat segments, the task state for double faults, and gates for the 32 exceptions and the
// serial line's interrupt.
void initialize();

// The double fault task loads CR3 from its task state: call after every change of the table in use.
void set_double_fault_table(uint32_t cr3);

// Where the CPU was when the double fault came, as the task switch saved it.
struct InterruptedState {
    uint32_t eip;
    uint32_t esp;
    uint32_t ebp;
};
InterruptedState interrupted_by_double_fault();

}  // namespace kernel::traps
