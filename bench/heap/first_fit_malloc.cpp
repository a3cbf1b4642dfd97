// SPDX-License-Identifier: MIT
// A baseline: the heap of the tutorials, as a library for LD_PRELOAD. A list of all blocks in order
// of address, each behind its header; a request takes the first free block that is large enough and
// splits it; a freed block is joined with its free neighbours. One lock.
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

namespace {

struct Block {
    size_t bytes;  // behind the header
    bool is_free;
    Block* next;
    Block* previous;

    char* start() { return reinterpret_cast<char*>(this + 1); }
    static Block* of(void* start) { return static_cast<Block*>(start) - 1; }
};
constexpr size_t granule = 16;
constexpr size_t growth = size_t{1} << 20;
static_assert(sizeof(Block) % granule == 0);

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
Block* first = nullptr;
Block* last = nullptr;
Block* first_free = nullptr;  // no block before this one is free

void link_behind(Block* block, Block* added) {
    added->previous = block;
    added->next = block->next;
    (block->next != nullptr ? block->next->previous : last) = added;
    block->next = added;
}

// Makes the rest of a block, behind its first `bytes`, a free one, if it is worth while.
void split(Block* block, size_t bytes) {
    if (block->bytes < bytes + sizeof(Block) + granule) return;
    auto* rest = reinterpret_cast<Block*>(block->start() + bytes);
    rest->bytes = block->bytes - bytes - sizeof(Block);
    rest->is_free = true;
    link_behind(block, rest);
    block->bytes = bytes;
}
bool touch(Block* block) {
    return block->start() + block->bytes == reinterpret_cast<char*>(block->next);
}
void join_with_next(Block* block) {
    Block* next = block->next;
    if (next == nullptr || !next->is_free || !touch(block)) return;
    block->bytes += sizeof(Block) + next->bytes;
    block->next = next->next;
    (next->next != nullptr ? next->next->previous : last) = block;
    if (first_free == next) first_free = block;
}

Block* grow(size_t bytes) {
    const size_t wanted = (bytes + sizeof(Block) + growth - 1) & ~(growth - 1);
    void* memory = sbrk(static_cast<intptr_t>(wanted));
    if (memory == reinterpret_cast<void*>(-1)) return nullptr;
    auto* block = static_cast<Block*>(memory);
    *block = {wanted - sizeof(Block), true, nullptr, nullptr};
    if (last == nullptr) {
        first = last = first_free = block;
        return block;
    }
    Block* before = last;
    link_behind(before, block);
    if (before->is_free && touch(before)) {
        join_with_next(before);
        return before;
    }
    return block;
}

void* take(size_t bytes, size_t alignment) {
    bytes = bytes == 0 ? granule : (bytes + granule - 1) & ~(granule - 1);
    // Room to begin further on, behind a header of its own.
    const size_t wanted = alignment > granule ? bytes + alignment + sizeof(Block) : bytes;
    if (wanted < bytes || wanted > PTRDIFF_MAX - growth) return nullptr;
    Block* block = first_free;
    while (block != nullptr && (!block->is_free || block->bytes < wanted))
        block = block->next;
    if (block == nullptr) block = grow(wanted);
    if (block == nullptr) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(block->start());
    if ((start & (alignment - 1)) != 0) {
        const uintptr_t aligned =
            (start + sizeof(Block) + granule + alignment - 1) & ~(alignment - 1);
        split(block, aligned - start - sizeof(Block));
        block = block->next;
    }
    split(block, bytes);
    block->is_free = false;
    while (first_free != nullptr && !first_free->is_free)
        first_free = first_free->next;
    return block->start();
}
void give(void* start) {
    Block* block = Block::of(start);
    block->is_free = true;
    if (first_free == nullptr || block < first_free) first_free = block;
    join_with_next(block);
    if (block->previous != nullptr && block->previous->is_free) join_with_next(block->previous);
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void* memalign(size_t alignment, size_t bytes) {
    pthread_mutex_lock(&lock);
    void* start = take(bytes, alignment < granule ? granule : alignment);
    pthread_mutex_unlock(&lock);
    if (start == nullptr) errno = ENOMEM;
    return start;
}
EXPORT void* malloc(size_t bytes) {
    return memalign(granule, bytes);
}
EXPORT void* aligned_alloc(size_t alignment, size_t bytes) {
    return memalign(alignment, bytes);
}
EXPORT int posix_memalign(void** out, size_t alignment, size_t bytes) {
    void* start = memalign(alignment, bytes);
    if (start == nullptr) return ENOMEM;
    *out = start;
    return 0;
}
EXPORT void free(void* start) {
    if (start == nullptr) return;
    pthread_mutex_lock(&lock);
    give(start);
    pthread_mutex_unlock(&lock);
}
EXPORT size_t malloc_usable_size(void* start) {
    return start == nullptr ? 0 : Block::of(start)->bytes;
}
EXPORT void* calloc(size_t count, size_t each) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, each, &bytes)) return nullptr;
    void* start = malloc(bytes);
    return start == nullptr ? nullptr : memset(start, 0, bytes);
}
EXPORT void* realloc(void* start, size_t bytes) {
    const size_t had = malloc_usable_size(start);
    if (start != nullptr && bytes <= had) return start;
    void* now = malloc(bytes);
    if (now == nullptr || start == nullptr) return now;
    memcpy(now, start, had);
    free(start);
    return now;
}
EXPORT int malloc_trim(size_t) {
    return 0;
}
EXPORT void* valloc(size_t bytes) {
    return memalign(4096, bytes);
}
EXPORT void* pvalloc(size_t bytes) {
    return memalign(4096, (bytes + 4095) & ~size_t{4095});
}
