// SPDX-License-Identifier: MIT
// What trap_entry.S leaves on the stack of 32-bit x86.
#pragma once

#include <stdint.h>

namespace kernel::traps {

// Lowest address first.
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

    uintptr_t instruction_pointer() const { return eip; }
    void continue_at(uintptr_t instruction) { eip = static_cast<uint32_t>(instruction); }
    uintptr_t frame_pointer() const { return ebp; }
    uintptr_t flags() const { return eflags; }
    // A trap from the kernel pushes no stack pointer, so it is where the frame ends.
    uintptr_t stack_pointer() const { return reinterpret_cast<uintptr_t>(this + 1); }
};

// The registers, several lines.
void print_registers(const TrapFrame& frame);

}  // namespace kernel::traps
