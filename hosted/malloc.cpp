// SPDX-License-Identifier: MIT
// The names that C programs know the heap by.
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "process_heap.hpp"
#include "quire/base/bits.hpp"

#define QUIRE_EXPORT extern "C" [[gnu::visibility("default")]]

namespace hosted = quire::hosted;

QUIRE_EXPORT void* malloc(size_t bytes) noexcept {
    return hosted::allocate(bytes);
}

QUIRE_EXPORT void free(void* block) noexcept {
    hosted::free(block);
}

QUIRE_EXPORT void* calloc(size_t count, size_t bytes) noexcept {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return nullptr;
    }
    return hosted::allocate_zeroed(total);
}

// A size of zero frees, as the host's C library has it.
QUIRE_EXPORT void* realloc(void* block, size_t bytes) noexcept {
    if (bytes == 0 && block != nullptr) [[unlikely]] {
        hosted::free_slowly(block);
        return nullptr;
    }
    return hosted::reallocate(block, bytes);
}

QUIRE_EXPORT void* reallocarray(void* block, size_t count, size_t bytes) noexcept {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return nullptr;
    }
    return realloc(block, total);
}

QUIRE_EXPORT void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
    return hosted::allocate_aligned(bytes, alignment);
}

// Any alignment, rounded up to a power of two.
QUIRE_EXPORT void* memalign(size_t alignment, size_t bytes) noexcept {
    if (alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return nullptr;
    }
    return hosted::allocate_aligned(bytes, size_t{1} << quire::log2_ceil(alignment));
}

// What is not at hand. errno stays what it is.
[[gnu::noinline]] static int posix_memalign_slowly(void** block, size_t alignment, size_t bytes) {
    const int before = errno;
    void* const found = hosted::allocate_aligned_slowly(bytes, alignment);
    errno = before;
    if (found == nullptr) return ENOMEM;
    *block = found;
    return 0;
}

QUIRE_EXPORT int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
    if (!quire::is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
    void* const found = hosted::blocks_at_hand.allocate_aligned(bytes, alignment);
    if (found == nullptr) [[unlikely]]
        return posix_memalign_slowly(block, alignment, bytes);
    *block = found;
    return 0;
}

QUIRE_EXPORT void* valloc(size_t bytes) noexcept {
    return hosted::allocate_aligned(bytes, quire::page_size);
}

QUIRE_EXPORT void* pvalloc(size_t bytes) noexcept {
    if (bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return nullptr;
    }
    return hosted::allocate_aligned(quire::round_up(bytes, quire::page_size), quire::page_size);
}

QUIRE_EXPORT size_t malloc_usable_size(void* block) noexcept {
    return hosted::usable_size(block);
}

QUIRE_EXPORT int malloc_trim(size_t) noexcept {
    return hosted::trim() ? 1 : 0;
}

QUIRE_EXPORT struct mallinfo2 mallinfo2() noexcept {
    const hosted::Usage usage = hosted::usage();
    struct mallinfo2 info{};
    info.arena = usage.committed_bytes;
    info.uordblks = usage.live_bytes;
    info.fordblks = usage.free_bytes;
    info.hblks = usage.large_blocks;
    return info;
}

// The same in the figures of 32 bits that it had before; larger ones are cut there.
QUIRE_EXPORT struct mallinfo mallinfo() noexcept {
    const struct mallinfo2 wide = mallinfo2();
    struct mallinfo info{};
    info.arena = static_cast<int>(wide.arena);
    info.uordblks = static_cast<int>(wide.uordblks);
    info.fordblks = static_cast<int>(wide.fordblks);
    info.hblks = static_cast<int>(wide.hblks);
    return info;
}

// Nothing can be set: 0, which says so.
QUIRE_EXPORT int mallopt(int, int) noexcept {
    return 0;
}

QUIRE_EXPORT int malloc_info(int options, FILE* to) noexcept {
    if (options != 0) return EINVAL;
    const struct mallinfo2 info = mallinfo2();
    fprintf(to,
            "<malloc version=\"quire\">\n<system type=\"current\" size=\"%zu\"/>\n"
            "<used size=\"%zu\"/>\n<free size=\"%zu\"/>\n<large count=\"%zu\"/>\n</malloc>\n",
            info.arena, info.uordblks, info.fordblks, info.hblks);
    return 0;
}

QUIRE_EXPORT void malloc_stats() noexcept {
    const struct mallinfo2 info = mallinfo2();
    fprintf(stderr, "quire: %zu bytes taken, %zu in use, %zu free, %zu large blocks\n", info.arena,
            info.uordblks, info.fordblks, info.hblks);
}

QUIRE_EXPORT void free_sized(void* block, size_t bytes) noexcept {
    hosted::free_sized_slowly(block, bytes, 1);
}

QUIRE_EXPORT void free_aligned_sized(void* block, size_t alignment, size_t bytes) noexcept {
    hosted::free_sized_slowly(block, bytes, alignment);
}
