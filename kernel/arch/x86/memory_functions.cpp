// SPDX-License-Identifier: MIT
// The four functions that a compiler may call. The string instructions are fast on every x86 made
// since the i686, and short.
#include <stddef.h>
#include <stdint.h>

extern "C" {

void* memcpy(void* destination, const void* source, size_t count) {
    void* at = destination;
    size_t words = count / 4;
    asm volatile("rep movsl" : "+D"(at), "+S"(source), "+c"(words) : : "memory");
    size_t rest = count % 4;
    asm volatile("rep movsb" : "+D"(at), "+S"(source), "+c"(rest) : : "memory");
    return destination;
}

void* memmove(void* destination, const void* source, size_t count) {
    const uintptr_t to = reinterpret_cast<uintptr_t>(destination);
    const uintptr_t from = reinterpret_cast<uintptr_t>(source);
    if (to - from >= count) return memcpy(destination, source, count);
    // The destination starts inside the source: from the last byte down.
    void* at = reinterpret_cast<void*>(to + count - 1);
    const void* last = reinterpret_cast<const void*>(from + count - 1);
    asm volatile("std; rep movsb; cld" : "+D"(at), "+S"(last), "+c"(count) : : "memory");
    return destination;
}

void* memset(void* destination, int value, size_t count) {
    void* at = destination;
    size_t words = count / 4;
    size_t rest = count % 4;
    const uint32_t word = static_cast<uint8_t>(value) * 0x01010101u;
    asm volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(word) : "memory");
    asm volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(word) : "memory");
    return destination;
}

int memcmp(const void* left, const void* right, size_t count) {
    const uint8_t* a = static_cast<const uint8_t*>(left);
    const uint8_t* b = static_cast<const uint8_t*>(right);
    for (size_t i = 0; i < count; ++i) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

}  // extern "C"
