// SPDX-License-Identifier: MIT
// C++'s new and delete, in all their forms. What they need of the C++ library is there when the
// program is a C++ program, and is looked for when memory has run out, not before.
#include <stddef.h>
#include <stdlib.h>

#include "process_heap.hpp"

#define QUIRE_EXPORT [[gnu::visibility("default")]]

namespace std {
enum class align_val_t : size_t;
struct nothrow_t;
using new_handler = void (*)();
[[gnu::weak, gnu::visibility("default")]] new_handler get_new_handler() noexcept;
[[gnu::weak, noreturn, gnu::visibility("default")]] void __throw_bad_alloc();
}  // namespace std

namespace {

namespace hosted = quire::hosted;

[[gnu::noinline]] void* new_slowly(size_t bytes, size_t alignment) {
    for (;;) {
        void* const block = alignment == 1 ? hosted::allocate_slowly(bytes)
                                           : hosted::allocate_aligned(bytes, alignment);
        if (block != nullptr) return block;
        const std::new_handler handler =
            std::get_new_handler != nullptr ? std::get_new_handler() : nullptr;
        if (handler == nullptr) break;
        handler();
    }
    if (std::__throw_bad_alloc != nullptr) std::__throw_bad_alloc();
    abort();
}

inline void* new_block(size_t bytes) {
    void* const block = hosted::blocks_at_hand.allocate(bytes);
    return block != nullptr ? block : new_slowly(bytes, 1);
}

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads)
QUIRE_EXPORT void* operator new(size_t bytes) {
    return new_block(bytes);
}
QUIRE_EXPORT void* operator new[](size_t bytes) {
    return new_block(bytes);
}
QUIRE_EXPORT void* operator new(size_t bytes, std::align_val_t alignment) {
    return new_slowly(bytes, static_cast<size_t>(alignment));
}
QUIRE_EXPORT void* operator new[](size_t bytes, std::align_val_t alignment) {
    return new_slowly(bytes, static_cast<size_t>(alignment));
}
QUIRE_EXPORT void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
    return hosted::allocate(bytes);
}
QUIRE_EXPORT void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
    return hosted::allocate(bytes);
}
QUIRE_EXPORT void* operator new(size_t bytes, std::align_val_t alignment,
                                const std::nothrow_t&) noexcept {
    return hosted::allocate_aligned(bytes, static_cast<size_t>(alignment));
}
QUIRE_EXPORT void* operator new[](size_t bytes, std::align_val_t alignment,
                                  const std::nothrow_t&) noexcept {
    return hosted::allocate_aligned(bytes, static_cast<size_t>(alignment));
}

QUIRE_EXPORT void operator delete(void* block) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete[](void* block) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete(void* block, size_t bytes) noexcept {
    hosted::free_sized(block, bytes);
}
QUIRE_EXPORT void operator delete[](void* block, size_t bytes) noexcept {
    hosted::free_sized(block, bytes);
}
QUIRE_EXPORT void operator delete(void* block, std::align_val_t) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete[](void* block, std::align_val_t) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete(void* block, size_t bytes, std::align_val_t alignment) noexcept {
    hosted::free_sized_slowly(block, bytes, static_cast<size_t>(alignment));
}
QUIRE_EXPORT void operator delete[](void* block, size_t bytes,
                                    std::align_val_t alignment) noexcept {
    hosted::free_sized_slowly(block, bytes, static_cast<size_t>(alignment));
}
QUIRE_EXPORT void operator delete(void* block, const std::nothrow_t&) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete[](void* block, const std::nothrow_t&) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    hosted::free(block);
}
QUIRE_EXPORT void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    hosted::free(block);
}
// NOLINTEND(misc-new-delete-overloads)
