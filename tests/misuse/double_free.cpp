// SPDX-License-Identifier: MIT
// A block is freed twice.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <new>

#include "misuse.hpp"

namespace misuse {
namespace {

Effect at_once(size_t bytes) {
    void* block = get(bytes);
    free(block);
    free(hide(block));
    return Effect::done;
}

// `others` blocks of the same size are freed in between: more than a heap's front end keeps.
template <int others>
Effect after_other_frees(size_t bytes) {
    void* between[others];
    for (void*& other : between)
        other = get(bytes);
    void* block = get(bytes);
    free(block);
    for (void* other : between)
        free(other);
    free(hide(block));
    return Effect::done;
}

Effect after_neighbours_were_reused(size_t bytes) {
    Neighbours blocks(bytes);
    free(blocks.in_the_middle());
    for (int i = 0; i < Neighbours::count; ++i) {
        if (i == Neighbours::middle) continue;
        free(blocks.block[i]);
        blocks.block[i] = get(bytes * 2);  // of another size, so that the block itself stays free
    }
    free(blocks.in_the_middle());
    return Effect::done;
}

// The second free takes the block from its next owner, whose own free is the one too many.
Effect after_the_block_was_reused(size_t bytes) {
    void* block = get(bytes);
    free(block);
    void* owners[64];
    for (void*& owner : owners)
        owner = get(bytes);
    free(hide(block));
    for (void* owner : owners)
        free(hide(owner));
    return Effect::done;
}

Effect first_here_then_in_a_thread(size_t bytes) {
    void* block = get(bytes);
    free(block);
    free_in_thread(hide(block));
    return Effect::done;
}

Effect first_in_a_thread_then_here(size_t bytes) {
    void* block = get(bytes);
    free_in_thread(block);
    free(hide(block));
    return Effect::done;
}

Effect in_two_threads(size_t bytes) {
    void* block = get(bytes);
    free_in_thread(block);
    free_in_thread(hide(block));
    return Effect::done;
}

// What marks a free block in its own bytes is written over in between.
Effect after_a_write_to_it(size_t bytes) {
    unsigned char* block = get(bytes);
    free(block);
    memset(hide(block), 0, bytes < 32 ? bytes : 32);
    free(hide(block));
    return Effect::done;
}

Effect after_reallocate_moved_it(size_t bytes) {
    void* block = get(bytes);
    void* other = get(bytes);
    void* now = hide(realloc(block, bytes * 1000));
    require(now != nullptr, "no memory");
    if (now == block) return Effect::none;
    free(hide(block));
    free(other);
    free(now);
    return Effect::done;
}

Effect after_a_trim(size_t bytes) {
    void* block = get(bytes);
    free(block);
    malloc_trim(0);
    free(hide(block));
    return Effect::done;
}

Effect in_the_child_of_a_fork(size_t bytes) {
    void* block = get(bytes);
    free(block);
    const pid_t child = fork();
    require(child >= 0, "no process");
    if (child == 0) {
        free(hide(block));
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
    return Effect::done;
}

Effect of_an_aligned_block(size_t bytes) {
    void* block = nullptr;
    require(posix_memalign(&block, 256, bytes) == 0, "no memory");
    free(hide(block));
    free(hide(block));
    return Effect::done;
}

Effect of_a_zeroed_block(size_t bytes) {
    void* block = hide(calloc(1, bytes));
    free(block);
    free(hide(block));
    return Effect::done;
}

Effect by_delete(size_t bytes) {
    void* block = hide(::operator new(bytes));
    ::operator delete(block);
    ::operator delete(hide(block));
    return Effect::done;
}

Effect by_sized_delete(size_t bytes) {
    void* block = hide(::operator new(bytes));
    ::operator delete(block, bytes);
    ::operator delete(hide(block), bytes);
    return Effect::done;
}

Effect by_delete_of_an_array(size_t bytes) {
    void* block = hide(::operator new[](bytes));
    ::operator delete[](block);
    ::operator delete[](hide(block));
    return Effect::done;
}

constexpr Row rows[] = {
    {"at-once", at_once, {small, medium, large}},
    {"after-one-other", after_other_frees<1>, {small, medium, large}},
    {"after-200-others", after_other_frees<200>, {small, medium}},
    {"after-neighbours-were-reused", after_neighbours_were_reused, {small, medium, large}},
    {"after-it-was-reused", after_the_block_was_reused, {small, medium, large}},
    {"first-here-then-in-a-thread", first_here_then_in_a_thread, {small, medium, large}},
    {"first-in-a-thread-then-here", first_in_a_thread_then_here, {small, medium, large}},
    {"in-two-threads", in_two_threads, {small, medium, large}},
    {"after-a-write-to-it", after_a_write_to_it, {small, medium}},
    {"after-reallocate-moved-it", after_reallocate_moved_it, {small, medium}},
    {"after-a-trim", after_a_trim, {small, medium, large}},
    {"in-the-child-of-a-fork", in_the_child_of_a_fork, {small}},
    {"of-an-aligned-block", of_an_aligned_block, {small, medium}},
    {"of-a-zeroed-block", of_a_zeroed_block, {small, large}},
    {"by-delete", by_delete, {small, medium}},
    {"by-sized-delete", by_sized_delete, {small, medium}},
    {"by-delete-of-an-array", by_delete_of_an_array, {small}},
};

// Addresses come back, threads free each other's blocks, and each is freed once.
void control() {
    for (const size_t bytes : {small, medium, large}) {
        for (int round = 0; round < 100; ++round) {
            Neighbours blocks(bytes);
            blocks.free_others();
            if (round % 10 == 0) {
                free_in_thread(blocks.in_the_middle());
            } else {
                free(blocks.in_the_middle());
            }
        }
        void* block = hide(realloc(get(bytes), bytes * 1000));
        free(block);
        require(posix_memalign(&block, 256, bytes) == 0, "no memory");
        free(block);
        ::operator delete(hide(::operator new(bytes)), bytes);
        ::operator delete[](hide(::operator new[](bytes)));
    }
    malloc_trim(0);
}

}  // namespace

extern const Class double_free;
const Class double_free{"double-free", rows, control};

}  // namespace misuse
