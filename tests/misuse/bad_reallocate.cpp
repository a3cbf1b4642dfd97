// SPDX-License-Identifier: MIT
// What is reallocated is no block, or one with an overrun. To return null, with nothing done, is to
// refuse.
#include <sys/mman.h>

#include "misuse.hpp"

namespace misuse {
namespace {

alignas(64) unsigned char static_data[8192] = {1};

Effect reallocate(void* pointer, size_t bytes) {
    return hide(realloc(hide(pointer), bytes)) != nullptr ? Effect::done : Effect::none;
}

Effect freed(size_t bytes) {
    unsigned char* block = get(bytes);
    free(block);
    return reallocate(block, bytes * 2);
}
Effect freed_and_smaller(size_t bytes) {
    unsigned char* block = get(bytes);
    free(block);
    return reallocate(block, bytes / 2);
}
Effect freed_by_a_thread(size_t bytes) {
    unsigned char* block = get(bytes);
    free_in_thread(block);
    return reallocate(block, bytes * 2);
}
Effect freed_and_churned(size_t bytes) {
    unsigned char* block = get(bytes);
    free(block);
    for (int i = 0; i < 100; ++i)
        free(get(bytes * 3));
    return reallocate(block, bytes * 2);
}
Effect twice(size_t bytes) {
    unsigned char* block = get(bytes);
    void* now = hide(realloc(block, bytes * 100));
    if (now == block) return Effect::none;
    return reallocate(block, bytes * 100);
}
Effect interior(size_t bytes) {
    return reallocate(moved(get(bytes), 16), bytes * 2);
}
Effect misaligned(size_t bytes) {
    return reallocate(moved(get(bytes), 1), bytes * 2);
}
Effect overflowed(size_t bytes) {
    Neighbours blocks(bytes);
    memset(blocks.in_the_middle() + bytes, 0xa5, 8);
    return reallocate(blocks.in_the_middle(), bytes * 2);
}
Effect stack(size_t bytes) {
    alignas(16) unsigned char array[256] = {};
    return reallocate(array + 64, bytes);
}
Effect of_static_data(size_t bytes) {
    return reallocate(static_data + 64, bytes);
}
Effect mapped_page(size_t bytes) {
    void* page = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(page != MAP_FAILED, "no memory");
    return reallocate(page, bytes);
}
Effect wild(size_t bytes) {
    return reallocate(hide(uintptr_t{0x123456789ab0}), bytes);
}

constexpr Row rows[] = {
    {"freed", freed, {small, medium, large}},
    {"freed-and-smaller", freed_and_smaller, {small, medium, large}},
    {"freed-by-a-thread", freed_by_a_thread, {small, medium}},
    {"freed-and-churned", freed_and_churned, {small, medium}},
    {"twice", twice, {small, medium}},
    {"interior", interior, {small, medium, large}},
    {"misaligned", misaligned, {small}},
    {"overflowed", overflowed, {small, medium, large}},
    {"stack", stack, {}},
    {"static-data", of_static_data, {}},
    {"mapped-page", mapped_page, {}},
    {"wild", wild, {}},
};

// Up and down through the sizes, with the contents kept.
void control() {
    unsigned char* block = nullptr;
    size_t bytes = 0;
    for (size_t next = 1; next < 4'000'000; next += 1 + next / 3) {
        block = hide(static_cast<unsigned char*>(realloc(block, next)));
        require(block != nullptr, "no memory");
        for (size_t i = 0; i < bytes; ++i)
            require(block[i] == static_cast<unsigned char>(i * 7), "the contents changed");
        for (size_t i = 0; i < next; ++i)
            block[i] = static_cast<unsigned char>(i * 7);
        bytes = next;
    }
    for (; bytes > 1; bytes -= 1 + bytes / 3) {
        block = hide(static_cast<unsigned char*>(realloc(block, bytes)));
        require(block != nullptr && block[bytes - 1] == static_cast<unsigned char>((bytes - 1) * 7),
                "the contents changed");
    }
    free(block);
}

}  // namespace

extern const Class bad_reallocate;
const Class bad_reallocate{"bad-reallocate", rows, control};

}  // namespace misuse
