// SPDX-License-Identifier: MIT
// Self-tests of the heap on pages of the kernel's own space.
#include <stddef.h>
#include <stdint.h>

#include "faults.hpp"
#include "heap.hpp"
#include "selftest.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr size_t sizes[] = {1, 8, 24, 100, 500, 1000, 3000, 4096, 5000, 20000, 100000};
constexpr size_t size_count = sizeof(sizes) / sizeof(sizes[0]);

bool filled_with(const unsigned char* bytes, size_t count, int value) {
    for (size_t i = 0; i < count; ++i) {
        if (bytes[i] != static_cast<unsigned char>(value)) return false;
    }
    return true;
}

bool blocks_keep_apart(KernelMemory&) {
    void* blocks[size_count];
    for (size_t i = 0; i < size_count; ++i) {
        const auto block = heap().allocate(sizes[i]);
        if (!block.ok()) return false;
        blocks[i] = *block;
        __builtin_memset(blocks[i], static_cast<int>(i), sizes[i]);
    }
    bool right = true;
    for (size_t i = 0; i < size_count; ++i) {
        right = right &&
                filled_with(static_cast<unsigned char*>(blocks[i]), sizes[i], static_cast<int>(i));
        right = heap().try_free(blocks[i]).ok() && right;
    }
    return right;
}

bool blocks_are_aligned(KernelMemory&) {
    for (size_t alignment = 1; alignment <= 4 * page_size; alignment *= 2) {
        const auto block = heap().allocate_aligned(40, alignment);
        if (!block.ok()) return false;
        const bool right = reinterpret_cast<uintptr_t>(*block) % alignment == 0;
        if (!heap().try_free(*block).ok() || !right) return false;
    }
    return heap().allocate_aligned(40, 3).ok() == false;
}

bool zeroed_blocks_are_zero(KernelMemory&) {
    for (const size_t size : sizes) {
        const auto dirty = heap().allocate(size);
        if (!dirty.ok()) return false;
        __builtin_memset(*dirty, 0xFF, size);
        if (!heap().try_free(*dirty).ok()) return false;
        const auto clean = heap().allocate_zeroed(size);
        if (!clean.ok()) return false;
        const bool zero = filled_with(static_cast<unsigned char*>(*clean), size, 0);
        if (!heap().try_free(*clean).ok() || !zero) return false;
    }
    return true;
}

bool reallocation_keeps_contents(KernelMemory&) {
    auto block = heap().allocate(10);
    if (!block.ok()) return false;
    __builtin_memset(*block, 0x42, 10);
    bool right = true;
    constexpr size_t stations[] = {200, 50000, 30};
    for (const size_t size : stations) {
        const auto moved = heap().reallocate(*block, size);
        if (!moved.ok()) return heap().try_free(*block).ok() && false;
        block = *moved;
        right = right && filled_with(static_cast<unsigned char*>(*block), 10, 0x42);
    }
    return heap().try_free(*block).ok() && right;
}

PhysicalAddress behind(KernelMemory& memory, const unsigned char* byte) {
    const VirtualAddress address(reinterpret_cast<uintptr_t>(byte));
    return memory.table().translate(address).value_or(PhysicalAddress(0));
}

bool reallocation_moves_pages(KernelMemory& memory) {
    constexpr size_t bytes = 40 * page_size;
    const auto block = heap().allocate(bytes);
    if (!block.ok()) return false;
    const auto* at = static_cast<const unsigned char*>(*block);
    __builtin_memset(*block, 0x42, bytes);
    PhysicalAddress frames[bytes / page_size];
    for (size_t i = 0; i < bytes; i += page_size)
        frames[i / page_size] = behind(memory, at + i);
    const auto moved = heap().reallocate(*block, 2 * bytes);
    if (!moved.ok()) return heap().try_free(*block).ok() && false;
    const auto* const now = static_cast<const unsigned char*>(*moved);
    bool right = now != at && !probe_load(reinterpret_cast<uintptr_t>(at));
    for (size_t i = 0; i < bytes; i += page_size)
        right = right && behind(memory, now + i) == frames[i / page_size];
    right = right && filled_with(now, bytes, 0x42) && filled_with(now + bytes, bytes, 0);
    return heap().try_free(*moved).ok() && right;
}

bool absurd_requests_are_refused(KernelMemory&) {
    const HeapCounters before = heap().counters();
    const auto half = heap().allocate(SIZE_MAX / 2);
    const auto all = heap().allocate(SIZE_MAX);
    const auto zero = heap().allocate(0);
    const bool right = !half.ok() && !all.ok() && zero.ok();
    if (zero.ok() && !heap().try_free(*zero).ok()) return false;
    return right && heap().counters().live_blocks == before.live_blocks;
}

bool misuse_is_caught(KernelMemory&) {
    CpuHeap& heap = kernel::heap();
    const auto block = heap.allocate(64);
    if (!block.ok()) return false;
    auto* const bytes = static_cast<unsigned char*>(*block);
    const Status inside = heap.try_free(bytes + 8);
    int on_the_stack = 0;
    const Status foreign = heap.try_free(&on_the_stack);
    const Status good = heap.try_free(bytes);
    const Status twice = heap.try_free(bytes);
    return !inside.ok() && !foreign.ok() && good.ok() && !twice.ok() &&
           twice.failure().error == Error::already_free;
}

bool overruns_are_found(KernelMemory&) {
    CpuHeap& heap = kernel::heap();
    const auto block = heap.allocate(61);
    if (!block.ok()) return false;
    const auto usable = heap.usable_size(*block);
    auto* const bytes = static_cast<volatile unsigned char*>(*block);
    const unsigned char kept = bytes[61];
    bytes[61] = static_cast<unsigned char>(~kept);
    const Status found = heap.try_free(*block);
    if (found.ok()) return false;
    bytes[61] = kept;
    return usable.ok() && found.failure().error == Error::corrupted && heap.try_free(*block).ok();
}

constexpr SelfTest tests[] = {
    {"blocks of many sizes keep apart", blocks_keep_apart},
    {"blocks are aligned as asked, up to four pages", blocks_are_aligned},
    {"zeroed blocks are zero after dirty ones", zeroed_blocks_are_zero},
    {"reallocation keeps contents", reallocation_keeps_contents},
    {"a large block that grows takes its frames along", reallocation_moves_pages},
    {"half the address space and more are refused, nothing is not", absurd_requests_are_refused},
    {"double, foreign and interior frees are caught", misuse_is_caught},
    {"an overrun is found at free", overruns_are_found},
};

}  // namespace

Span<const SelfTest> heap_tests() {
    return tests;
}

}  // namespace kernel
