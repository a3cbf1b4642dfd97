// SPDX-License-Identifier: MIT
// The instructions that C++ has no words for: ports, control registers, the TLB, the clock.
#pragma once

#include <stdint.h>

#include "quire/paging/x86/cpu.hpp"

namespace kernel::cpu {

inline void write_port_8(uint16_t port, uint8_t value) {
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

inline void write_port_32(uint16_t port, uint32_t value) {
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

inline uint8_t read_port_8(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

inline uintptr_t read_cr0() {
    uintptr_t value;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

// The address that the last page fault was about.
inline uintptr_t read_cr2() {
    uintptr_t value;
    asm volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

// Drops the TLB's entries for the page of an address, global ones too.
inline void invalidate_page(uintptr_t address) {
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

// CPUID leaf 1, EDX bit 4 (SDM 2A, CPUID).
inline bool has_time_stamp_counter() {
    return (quire::x86::cpuid(1).edx & (1u << 4)) != 0;
}

// CPU cycles since reset. Needs has_time_stamp_counter().
inline uint64_t read_time_stamp() {
    uint32_t low;
    uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t{high} << 32) | low;
}

inline void disable_interrupts() {
    asm volatile("cli" : : : "memory");
}
inline void enable_interrupts() {
    asm volatile("sti" : : : "memory");
}
// The flags register, which says whether interrupts are enabled, and back.
inline uintptr_t read_flags() {
    uintptr_t flags;
    asm volatile("pushf\n\tpop %0" : "=r"(flags));
    return flags;
}
inline void write_flags(uintptr_t flags) {
    asm volatile("push %0\n\tpopf" : : "r"(flags) : "memory", "cc");
}
inline void halt() {
    asm volatile("hlt" : : : "memory");
}
inline void relax() {
    asm volatile("pause" : : : "memory");
}

// Sleeps until an interrupt has been served, and returns with interrupts off. `sti` takes effect
// after the next instruction, so no interrupt can slip in between it and `hlt` (SDM 2B, STI).
inline void wait_for_interrupt() {
    asm volatile("sti; hlt; cli" : : : "memory");
}

}  // namespace kernel::cpu
