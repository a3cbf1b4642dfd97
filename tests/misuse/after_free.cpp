// SPDX-License-Identifier: MIT
// A block is read or written after it was freed.
//
// A read has an effect when it finds what its owner left there. A pointer left there is followed:
// where the heap put something else, that ends in a fault.
#include "misuse.hpp"

namespace misuse {
namespace {

Effect effect_of_read(const void* block, size_t bytes) {
    return shows_secret(block, bytes) ? Effect::done : Effect::none;
}

Effect read_at_once(size_t bytes) {
    unsigned char* block = get(bytes);
    fill_with_secret(block, bytes);
    free(block);
    return effect_of_read(hide(block), bytes);
}
Effect read_after_churn(size_t bytes) {
    unsigned char* block = get(bytes);
    fill_with_secret(block, bytes);
    free(block);
    churn(bytes);
    return effect_of_read(hide(block), bytes);
}
Effect read_after_a_thread_freed_it(size_t bytes) {
    unsigned char* block = get(bytes);
    fill_with_secret(block, bytes);
    free_in_thread(block);
    return effect_of_read(hide(block), bytes);
}
Effect read_after_reallocate(size_t bytes) {
    unsigned char* block = get(bytes);
    fill_with_secret(block, bytes);
    void* other = get(bytes);
    unsigned char* now = hide(static_cast<unsigned char*>(realloc(block, bytes * 100)));
    if (now == block) return Effect::none;
    const Effect effect = effect_of_read(hide(block), bytes);
    free(other);
    return effect;
}

// A pointer in the last word.
uint64_t** last_word(unsigned char* block, size_t bytes) {
    return reinterpret_cast<uint64_t**>(hide(block + bytes - sizeof(void*)));
}
Effect follow_a_pointer(size_t bytes) {
    static uint64_t target = secret;
    unsigned char* block = get(bytes);
    *last_word(block, bytes) = &target;
    free(block);
    return **hide(last_word(block, bytes)) == secret ? Effect::done : Effect::none;
}

constexpr Row read_rows[] = {
    {"at-once", read_at_once, {small, medium, large}},
    {"after-churn", read_after_churn, {small, medium, large}},
    {"after-a-thread-freed-it", read_after_a_thread_freed_it, {small, medium, large}},
    {"after-reallocate", read_after_reallocate, {small, medium, large}},
    {"follow-a-pointer", follow_a_pointer, {small, medium, large}},
};

void read_control() {
    for (const size_t bytes : {small, medium, large}) {
        unsigned char* block = get(bytes);
        fill_with_secret(block, bytes);
        block = hide(static_cast<unsigned char*>(realloc(block, bytes * 100)));
        require(block != nullptr && shows_secret(block, bytes), "reallocate lost the contents");
        free(block);
        churn(bytes);
    }
}

// ---- written
// -------------------------------------------------------------------------------------

enum class Where { start, middle, end };
enum class Then { churn, end };

template <Where where, Then then>
Effect write(size_t bytes) {
    Neighbours blocks(bytes);
    unsigned char* block = blocks.in_the_middle();
    free(block);
    const size_t word = sizeof(uint64_t);
    const size_t offset = where == Where::start    ? 0
                          : where == Where::middle ? bytes / 2 & ~(word - 1)
                                                   : bytes - word;
    memset(hide(block) + offset, 0x41, word);
    hide(block);
    if constexpr (then == Then::churn) {
        churn(bytes);
        blocks.free_others();
        churn(bytes);
    }
    return Effect::done;
}
// An owner that does not know goes on writing while the next one uses the block.
Effect one_byte_after_churn(size_t bytes) {
    unsigned char* block = get(bytes);
    free(block);
    churn(bytes);
    hide(block)[bytes / 2] ^= 1;
    hide(block);
    churn(bytes);
    return Effect::done;
}

constexpr Row write_rows[] = {
    {"start-then-churn", write<Where::start, Then::churn>, {small, medium, large}},
    {"middle-then-churn", write<Where::middle, Then::churn>, {small, medium, large}},
    {"end-then-churn", write<Where::end, Then::churn>, {small, medium, large}},
    {"start-then-end", write<Where::start, Then::end>, {small, medium, large}},
    {"middle-then-end", write<Where::middle, Then::end>, {small, medium, large}},
    {"end-then-end", write<Where::end, Then::end>, {small, medium, large}},
    {"one-byte-after-churn", one_byte_after_churn, {small, medium, large}},
};

void write_control() {
    for (const size_t bytes : {small, medium, large}) {
        Neighbours blocks(bytes);
        memset(blocks.in_the_middle(), 0x41, bytes);
        churn(bytes);
        blocks.free_all();
        churn(bytes);
    }
}

}  // namespace

extern const Class read_after_free, write_after_free;
const Class read_after_free{"read-after-free", read_rows, read_control};
const Class write_after_free{"write-after-free", write_rows, write_control};

}  // namespace misuse
