// SPDX-License-Identifier: MIT
// The instructions that C++ has no words for: ports, control registers, the TLB, the clock.
#pragma once

#include <stdint.h>

namespace kernel::cpu {

// CR4: SDM 3A, 2.5.
inline constexpr uint32_t cr4_large_pages = 1u << 4;
inline constexpr uint32_t cr4_global_pages = 1u << 7;

inline void write_port_8(uint16_t port, uint8_t value) {
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

inline void write_port_16(uint16_t port, uint16_t value) {
    asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

inline void write_port_32(uint16_t port, uint32_t value) {
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

inline uint8_t read_port_8(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

inline uint32_t read_cr0() {
    uint32_t value;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

inline void write_cr0(uint32_t value) {
    asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

// The address that the last page fault was about.
inline uint32_t read_cr2() {
    uint32_t value;
    asm volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

inline uint32_t read_cr3() {
    uint32_t value;
    asm volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

// Loads a page directory; drops every TLB entry that is not global.
inline void write_cr3(uint32_t value) {
    asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

inline uint32_t read_cr4() {
    uint32_t value;
    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

inline void write_cr4(uint32_t value) {
    asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

// Drops the TLB's entries for the page of an address, global ones too.
inline void invalidate_page(uintptr_t address) {
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

// CPU cycles since reset. Needs CpuFeatures::time_stamp_counter.
inline uint64_t read_time_stamp() {
    uint64_t value;
    asm volatile("rdtsc" : "=A"(value));
    return value;
}

inline uint64_t read_model_specific_register(uint32_t index) {
    uint64_t value;
    asm volatile("rdmsr" : "=A"(value) : "c"(index));
    return value;
}

inline void write_model_specific_register(uint32_t index, uint64_t value) {
    asm volatile("wrmsr" : : "A"(value), "c"(index) : "memory");
}

inline void disable_interrupts() {
    asm volatile("cli" : : : "memory");
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
