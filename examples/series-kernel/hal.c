/* SPDX-License-Identifier: MIT */
#include "hal.h"

#include "console.h"

/* From traps.S: one stub of 16 bytes for each exception. */
extern char trap_stubs[];
void trap_taken(struct trap* trap);

enum { EXCEPTIONS = 32, STUB_BYTES = 16, PAGE_FAULT = 14 };

static void (*page_fault_handler)(struct trap*, uint32_t);

void trap_taken(struct trap* trap) {
    if (trap->vector == PAGE_FAULT) {
        uint32_t address;
        __asm__ volatile("mov %%cr2, %0" : "=r"(address));
        page_fault_handler(trap, address);
        return;
    }
    print("\nexception %u, code 0x%x, at 0x%08x\n", trap->vector, trap->code, trap->eip);
    panic("an exception that nobody handles");
}

void traps_start(void (*page_fault)(struct trap*, uint32_t)) {
    /* Flat code and data segments, and interrupt gates: SDM 3A, 3.4.5 and 6.11. */
    static const uint64_t segments[3] = {0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF};
    static uint64_t gates[EXCEPTIONS];
    for (uint32_t i = 0; i < EXCEPTIONS; ++i) {
        const uint32_t entry = (uint32_t)trap_stubs + i * STUB_BYTES;
        gates[i] = (uint64_t)((entry & 0xFFFF0000) | 0x8E00) << 32 | 0x00080000 | (entry & 0xFFFF);
    }
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } gdt = {sizeof(segments) - 1, (uint32_t)segments}, idt = {sizeof(gates) - 1, (uint32_t)gates};
    page_fault_handler = page_fault;
    __asm__ volatile(
        "lgdt %0\n"
        "ljmp $8, $1f\n"
        "1: mov %2, %%ds\n"
        "mov %2, %%es\n"
        "mov %2, %%ss\n"
        "lidt %1"
        :
        : "m"(gdt), "m"(idt), "r"(0x10)
        : "memory");
}

void panic(const char* text) {
    set_color(BAD);
    print("\npanic: %s\n", text);
    set_color(PLAIN);
    stop(STOP_PANIC);
}

void stop(enum status status) {
    __asm__ volatile("outl %0, %1" : : "a"((uint32_t)status), "Nd"((uint16_t)0xF4));
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

/* The four functions that a compiler may call, and all that Quire wants. */
void* memcpy(void* to, const void* from, size_t count) {
    void* at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void* memmove(void* to, const void* from, size_t count) {
    if ((uintptr_t)to - (uintptr_t)from >= count) return memcpy(to, from, count);
    unsigned char* last = (unsigned char*)to + count - 1;
    const unsigned char* source = (const unsigned char*)from + count - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(last), "+S"(source), "+c"(count) : : "memory");
    return to;
}

void* memset(void* to, int value, size_t count) {
    void* at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
    return to;
}

int memcmp(const void* left, const void* right, size_t count) {
    const unsigned char *a = left, *b = right;
    for (size_t i = 0; i < count; ++i) {
        if (a[i] != b[i]) return a[i] - b[i];
    }
    return 0;
}
