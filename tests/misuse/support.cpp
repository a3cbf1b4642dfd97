// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "misuse.hpp"

namespace misuse {

extern const Class double_free, foreign_free, interior_free, misaligned_free, wrong_size_free;
extern const Class overflow, underflow, read_after_free, write_after_free, uninitialised;
extern const Class metadata, bad_reallocate;

std::span<const Class* const> all_classes() {
    static constexpr const Class* classes[] = {
        &double_free,      &foreign_free,  &interior_free, &misaligned_free,
        &wrong_size_free,  &overflow,      &underflow,     &read_after_free,
        &write_after_free, &uninitialised, &metadata,      &bad_reallocate,
    };
    return classes;
}

const char* name_of_size(size_t bytes) {
    switch (bytes) {
        case small:
            return "small";
        case power:
            return "power";
        case medium:
            return "medium";
        case page:
            return "page";
        case large:
            return "large";
        default:
            broken("a size without a name");
    }
}

void broken(const char* what) {
    fprintf(stderr, "the case is at fault: %s\n", what);
    _exit(2);
}

unsigned char* get(size_t bytes) {
    auto* block = static_cast<unsigned char*>(malloc(bytes));
    require(block != nullptr, "no memory");
    memset(block, 0x2e, bytes);
    return hide(block);
}

void in_thread(void (*run)(void*), void* argument) {
    struct Task {
        void (*run)(void*);
        void* argument;
    } task{run, argument};
    pthread_t thread;
    const int status = pthread_create(
        &thread, nullptr,
        [](void* given) -> void* {
            const auto* todo = static_cast<Task*>(given);
            todo->run(todo->argument);
            return nullptr;
        },
        &task);
    require(status == 0, "no thread");
    pthread_join(thread, nullptr);
}

void free_in_thread(void* block) {
    in_thread([](void* given) { free(given); }, block);
}

void churn(size_t bytes) {
    constexpr size_t batch = 16;
    const size_t rounds = std::clamp<size_t>((size_t{64} << 20) / bytes, 256, 16384) / batch;
    for (size_t round = 0; round < rounds; ++round) {
        void* blocks[batch];
        for (void*& block : blocks) {
            block = hide(malloc(bytes));
            require(block != nullptr, "no memory");
        }
        for (void* block : blocks)
            free(block);
    }
}

void fill_with_secret(void* block, size_t bytes) {
    auto* at = static_cast<unsigned char*>(block);
    for (size_t done = 0; done + sizeof secret <= bytes; done += sizeof secret)
        memcpy(at + done, &secret, sizeof secret);
    hide(block);
}

bool shows_secret(const void* block, size_t bytes) {
    const auto* at = hide(static_cast<const unsigned char*>(block));
    for (size_t done = 0; done + sizeof secret <= bytes; done += sizeof secret)
        if (memcmp(at + done, &secret, sizeof secret) == 0) return true;
    return false;
}

}  // namespace misuse
