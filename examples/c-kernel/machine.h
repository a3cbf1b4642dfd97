/* SPDX-License-Identifier: MIT */
/* The little that this example knows of a PC: the serial line, exceptions, the emulator's exit. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

/* %s, %u, %x; nothing else. */
void print(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Sends page faults to page_fault() below. */
void take_page_faults(void);
/* Yours to write. `code` is the CPU's error code (SDM 3A, 4.7). */
void page_fault(uintptr_t address, uint32_t code, uintptr_t instruction);

/* Ends QEMU with (status << 1) | 1; halts where there is no QEMU. */
void stop(uint32_t status) __attribute__((noreturn));
enum { STOP_WELL = 0x10, STOP_BADLY = 0x11 };

#endif
