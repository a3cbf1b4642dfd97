/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <stdarg.h>
#include <stddef.h>

static void write_port(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t read_port(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void put(char character) {
    if (character == '\n') put('\r');
    while ((read_port(0x3FD) & 0x20) == 0) {
    }
    write_port(0x3F8, (uint8_t)character);
}

static void put_number(uint32_t value, uint32_t base) {
    char digits[10];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        put(digits[--count]);
    }
}

void print(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format != '\0'; ++format) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
            case 's':
                for (const char* text = va_arg(arguments, const char*); *text != '\0'; ++text) {
                    put(*text);
                }
                break;
            case 'u':
                put_number(va_arg(arguments, unsigned), 10);
                break;
            case 'x':
                put_number(va_arg(arguments, unsigned), 16);
                break;
            default:
                put(*format);
                break;
        }
    }
    va_end(arguments);
}

extern void page_fault_entry(void);

void take_page_faults(void) {
    /* Flat code and data segments, and one gate: SDM 3A, 3.4.5 and 6.11. */
    static uint64_t segments[3] = {0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF};
    static uint64_t gates[15];
    const uintptr_t entry = (uintptr_t)page_fault_entry;
    gates[14] =
        (entry & 0xFFFF) | (0x08 << 16) | ((uint64_t)0x8E << 40) | ((uint64_t)(entry >> 16) << 48);
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } gdt = {sizeof(segments) - 1, (uintptr_t)segments},
      idt = {sizeof(gates) - 1, (uintptr_t)gates};
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

void stop(uint32_t status) {
    __asm__ volatile("outl %0, %1" : : "a"(status), "Nd"((uint16_t)0xF4));
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
