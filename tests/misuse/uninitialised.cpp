// SPDX-License-Identifier: MIT
// A new block is read before it is written. That has an effect when it shows what a former owner
// left in memory.
#include <malloc.h>

#include <new>

#include "misuse.hpp"

namespace misuse {
namespace {

void* secret_block(size_t bytes) {
    unsigned char* block = get(bytes);
    fill_with_secret(block, bytes);
    return block;
}
void leave_secrets(size_t bytes, int count) {
    constexpr int most = 64;
    void* blocks[most];
    for (int i = 0; i < count; ++i)
        blocks[i] = secret_block(bytes);
    for (int i = 0; i < count; ++i)
        free(blocks[i]);
}

// Whether any of many new blocks shows it.
template <class Allocate>
Effect look_in_new_blocks(size_t bytes, Allocate allocate) {
    for (int i = 0; i < 64; ++i) {
        const void* block = hide(allocate(bytes));
        require(block != nullptr, "no memory");
        if (shows_secret(block, bytes)) return Effect::done;
    }
    return Effect::none;
}

Effect same_size(size_t bytes) {
    leave_secrets(bytes, 1);
    return look_in_new_blocks(bytes, malloc);
}
Effect same_size_among_many(size_t bytes) {
    leave_secrets(bytes, 64);
    return look_in_new_blocks(bytes, malloc);
}
Effect smaller(size_t bytes) {
    leave_secrets(bytes, 8);
    return look_in_new_blocks(bytes / 10, malloc);
}
Effect larger(size_t bytes) {
    leave_secrets(bytes, 64);
    return look_in_new_blocks(bytes * 16, malloc);
}
Effect freed_by_a_thread(size_t bytes) {
    free_in_thread(secret_block(bytes));
    return look_in_new_blocks(bytes, malloc);
}
Effect left_by_a_thread(size_t bytes) {
    in_thread([](void* size) { leave_secrets(*static_cast<size_t*>(size), 64); }, &bytes);
    return look_in_new_blocks(bytes, malloc);
}
Effect aligned(size_t bytes) {
    leave_secrets(bytes, 64);
    return look_in_new_blocks(bytes, [](size_t size) { return memalign(256, size); });
}
Effect by_new(size_t bytes) {
    ::operator delete(secret_block(bytes));
    return look_in_new_blocks(bytes, [](size_t size) { return ::operator new(size); });
}
Effect reallocated(size_t bytes) {
    leave_secrets(bytes, 64);
    return look_in_new_blocks(bytes, [](size_t size) { return realloc(get(size / 4), size); });
}
// What a block lost when it shrank is no part of it when it grows again.
Effect shrunk_and_grown(size_t bytes) {
    void* block = hide(realloc(secret_block(bytes), bytes / 2));
    block = hide(realloc(block, bytes));
    require(block != nullptr, "no memory");
    const size_t kept = (bytes / 2 + 7) & ~size_t{7};
    return shows_secret(moved(block, static_cast<ptrdiff_t>(kept)), bytes - kept) ? Effect::done
                                                                                  : Effect::none;
}

constexpr Row rows[] = {
    {"same-size", same_size, {small, medium, large}},
    {"same-size-among-many", same_size_among_many, {small, medium, large}},
    {"smaller", smaller, {medium, large}},
    {"larger", larger, {small, medium, large}},
    {"freed-by-a-thread", freed_by_a_thread, {small, medium, large}},
    {"left-by-a-thread", left_by_a_thread, {small, medium}},
    {"aligned", aligned, {small, medium}},
    {"by-new", by_new, {small}},
    {"reallocated", reallocated, {small, medium, large}},
    {"shrunk-and-grown", shrunk_and_grown, {medium, large}},
};

// Zeroed blocks are zero, whatever was there, and a block keeps what its owner wrote.
void control() {
    for (const size_t bytes : {small, medium, large}) {
        leave_secrets(bytes, 64);
        require(
            look_in_new_blocks(bytes, [](size_t size) { return calloc(1, size); }) == Effect::none,
            "a zeroed block is not zero");
        void* block = hide(realloc(secret_block(bytes), bytes / 2));
        block = hide(realloc(block, bytes));
        require(shows_secret(block, bytes / 2), "reallocate lost the contents");
        free(block);
    }
}

}  // namespace

extern const Class uninitialised;
const Class uninitialised{"uninitialised", rows, control};

}  // namespace misuse
