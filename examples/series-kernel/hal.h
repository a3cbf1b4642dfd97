/* SPDX-License-Identifier: MIT */
/* What a kernel needs of a PC beside its memory: segments, exceptions, the emulator's exit. */
#ifndef HAL_H
#define HAL_H

#include <stddef.h>
#include <stdint.h>

/* The registers when an exception came, as traps.S stores them; a handler may change them. */
struct trap {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, code, eip, cs, eflags;
};

/* Loads flat segments and 32 exception gates. Page faults go to `page_fault`, and the instruction
   runs again when that returns; any other exception is printed and ends the machine. */
void traps_start(void (*page_fault)(struct trap* trap, uint32_t address));

/* Prints what went wrong and ends the machine. */
void panic(const char* text) __attribute__((noreturn));

/* Ends QEMU with (status << 1) | 1; halts where there is no QEMU. */
enum status { STOP_WELL = 0x10, STOP_BADLY = 0x11, STOP_PANIC = 0x12 };
void stop(enum status status) __attribute__((noreturn));

/* And memmove, memset, memcmp, for the compiler and for Quire. */
void* memcpy(void* to, const void* from, size_t count);

static inline void write_port(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t read_port(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#endif
