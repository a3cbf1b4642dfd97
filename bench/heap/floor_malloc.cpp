// SPDX-License-Identifier: MIT
// A floor: the least that any heap does for a block, as a library for LD_PRELOAD. An array of free
// blocks for each class and thread, and address space of its own for each class, so that a block's
// class is a shift of its address. A thread that has freed very many leaves some to the others;
// apart from that nothing is checked, shared, kept together or given back. What a row takes here is
// what its calls and its memory take, whatever the heap.
//
// With QUIRE_FLOOR_FILLS, the floor of a hardened heap: small blocks have a byte behind them, and
// free ones are filled, and looked at before they are given out again.
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

#include "quire/base/bits.hpp"
#include "quire/heap/poison.hpp"
#include "quire/heap/size_class.hpp"

namespace {

using quire::heap_internal::class_for;
using quire::heap_internal::largest_medium;

#ifdef QUIRE_FLOOR_FILLS
constexpr size_t filled_limit = 256;
#else
constexpr size_t filled_limit = 0;
#endif
constexpr size_t quick_limit = 1024;
constexpr unsigned first_doubling = class_for(largest_medium) + 1;  // from there by powers of two
constexpr unsigned class_count = first_doubling + 14;
constexpr unsigned range_shift = 36;  // of a class's address space
constexpr size_t array_blocks = size_t{1} << 16;
constexpr size_t batch_blocks = 512;      // that threads leave to each other at once
constexpr size_t most_batches = 1 << 14;  // of a class
// Classes do not begin alike, or they would want the same lines of a CPU's caches.
constexpr size_t apart = 33 * quire::page_size + 64;
constexpr size_t array_offset(unsigned index) {
    return index * apart / sizeof(void*);
}
constexpr size_t range_offset(unsigned index) {
    return (size_t{index} << range_shift) + index * (apart & ~(quire::page_size - 1));
}

constexpr unsigned any_class_for(size_t bytes) {
    return bytes <= largest_medium
               ? class_for(bytes)
               : first_doubling + quire::log2_ceil(bytes) - quire::log2_ceil(largest_medium) - 1;
}
constexpr size_t cell_bytes_of(unsigned index) {
    if (index >= first_doubling) return largest_medium << (index - first_doubling + 1);
    return quire::heap_internal::cell_bytes_of(index < quire::heap_internal::ordinary_classes
                                                   ? index
                                                   : index + quire::heap_internal::guarded_classes);
}
struct QuickClasses {
    uint8_t of_granules[quick_limit / 16 + 1];
};
constexpr QuickClasses quick_classes = [] {
    QuickClasses table{};
    for (size_t i = 0; i <= quick_limit / 16; ++i)
        table.of_granules[i] = static_cast<uint8_t>(class_for(i * 16));
    return table;
}();

struct Array {
    void** top;
    void** begin;
    void** end;
};
// What threads have left to the others.
struct Batch {
    void* blocks[batch_blocks];
};
struct Shared {
    std::atomic_flag locked;
    size_t count;
    Batch* batches;

    void lock() {
        while (locked.test_and_set(std::memory_order_acquire)) {
        }
    }
    void unlock() { locked.clear(std::memory_order_release); }
};
thread_local Array arrays[class_count];
Shared shared[class_count];
std::atomic<char*> space{nullptr};
std::atomic<size_t> given_out[class_count];

void* map(size_t bytes) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) __builtin_trap();
    return memory;
}
// Where the classes' address space begins: the first caller's mapping.
char* start_of_space() {
    if (char* const start = space.load()) return start;
    constexpr size_t bytes = size_t{class_count} << range_shift;
    auto* const mine = static_cast<char*>(map(bytes));
    char* first = nullptr;
    if (space.compare_exchange_strong(first, mine)) return mine;
    munmap(mine, bytes);
    return first;
}
void begin(Array& array, unsigned index) {
    const size_t bytes = (array_blocks + array_offset(class_count)) * sizeof(void*);
    array.top = array.begin = static_cast<void**>(map(bytes)) + array_offset(index);
    array.end = array.begin + array_blocks;
}
// An array that is full leaves a batch to the others.
Array& with_room(unsigned index) {
    Array& array = arrays[index];
    if (array.begin == nullptr) {
        begin(array, index);
        return array;
    }
    Shared& others = shared[index];
    others.lock();
    if (others.batches == nullptr)
        others.batches = static_cast<Batch*>(map(most_batches * sizeof(Batch)));
    if (others.count == most_batches) __builtin_trap();
    array.top -= batch_blocks;
    memcpy(&others.batches[others.count++], array.top, sizeof(Batch));
    others.unlock();
    return array;
}
// A block for an array that is empty: one that others have left, or a new one.
[[gnu::noinline]] void* refill(unsigned index) {
    Array& array = arrays[index];
    if (array.begin == nullptr) begin(array, index);
    Shared& others = shared[index];
    others.lock();
    if (others.count != 0) {
        memcpy(array.top, &others.batches[--others.count], sizeof(Batch));
        array.top += batch_blocks;
    }
    others.unlock();
    if (array.top != array.begin) return *--array.top;
    const size_t cell = cell_bytes_of(index);
    return start_of_space() + range_offset(index) + given_out[index].fetch_add(cell);
}

inline void* take(unsigned index) {
    Array& array = arrays[index];
    if (array.top == array.begin) return refill(index);
    void* const block = *--array.top;
    const size_t cell = cell_bytes_of(index);
    if (cell <= filled_limit &&
        !quire::heap_internal::is_poisoned(static_cast<unsigned char*>(block), cell))
        __builtin_trap();
    return block;
}
inline unsigned class_of(const void* block) {
    return static_cast<unsigned>(
        (static_cast<const char*>(block) - space.load(std::memory_order_relaxed)) >> range_shift);
}

}  // namespace

extern "C" {

void* malloc(size_t bytes) noexcept {
    if (bytes < filled_limit) ++bytes;
    if (bytes <= quick_limit) return take(quick_classes.of_granules[(bytes + 15) / 16]);
    return take(any_class_for(bytes));
}
void free(void* block) noexcept {
    if (block == nullptr) return;
    const unsigned index = class_of(block);
    Array* array = &arrays[index];
    if (array->top == array->end) array = &with_room(index);
    *array->top++ = block;
    const size_t cell = cell_bytes_of(index);
    if (cell <= filled_limit)
        quire::heap_internal::poison_granules(static_cast<unsigned char*>(block), cell);
}
void* calloc(size_t count, size_t bytes) noexcept {
    return memset(malloc(count * bytes), 0, count * bytes);
}
void* realloc(void* block, size_t bytes) noexcept {
    if (block == nullptr) return malloc(bytes);
    const unsigned index = class_of(block);
    if (any_class_for(bytes) == index) return block;
    void* const moved = malloc(bytes);
    const size_t before = cell_bytes_of(index);
    memcpy(moved, block, bytes < before ? bytes : before);
    free(block);
    return moved;
}
// Up to a page: cells of whole multiples of a power of two lie at such.
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
    return malloc((bytes + alignment - 1) / alignment * alignment);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
    *block = aligned_alloc(alignment, bytes);
    return 0;
}
}
