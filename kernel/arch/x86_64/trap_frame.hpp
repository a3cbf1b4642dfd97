// SPDX-License-Identifier: MIT
// What trap_entry.S leaves on the stack of 64-bit x86.
#pragma once

#include <stdint.h>

namespace kernel::traps {

// Lowest address first.
struct TrapFrame {
    uint64_t r15;
    uint64_t r14;
    uint64_t r13;
    uint64_t r12;
    uint64_t r11;
    uint64_t r10;
    uint64_t r9;
    uint64_t r8;
    uint64_t rdi;
    uint64_t rsi;
    uint64_t rbp;
    uint64_t rbx;
    uint64_t rdx;
    uint64_t rcx;
    uint64_t rax;
    // the entry
    uint64_t vector;
    uint64_t error_code;
    // the CPU, in this mode always all five
    uint64_t rip;
    uint64_t cs;
    uint64_t rflags;
    uint64_t rsp;
    uint64_t ss;

    uintptr_t instruction_pointer() const { return rip; }
    void continue_at(uintptr_t instruction) { rip = instruction; }
    uintptr_t frame_pointer() const { return rbp; }
    uintptr_t flags() const { return rflags; }
    uintptr_t stack_pointer() const { return rsp; }
};

// The registers, several lines.
void print_registers(const TrapFrame& frame);

}  // namespace kernel::traps
