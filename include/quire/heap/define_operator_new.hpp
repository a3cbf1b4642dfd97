// SPDX-License-Identifier: MIT
// Global operator new and delete, in all their forms, over a Quire heap. Opt in by including this
// in exactly one source of the kernel, which also says which heap it is:
//
//     #include "quire/heap/define_operator_new.hpp"  // and the heap's own header
//     quire::HeapRef quire_operator_new_heap() { return my_heap; }
//
// The forms that must not return null hand a report to the heap's platform when memory runs out;
// those with std::nothrow return null. Sized deletes check the size.
#pragma once

#include <stddef.h>

#include "quire/heap/heap_ref.hpp"

// The kernel defines it. Called by each new and delete.
quire::HeapRef quire_operator_new_heap();

// What <new> declares, for compilers that come without a C++ library.
namespace std {
enum class align_val_t : size_t;
#if __has_include(<new>)
struct nothrow_t;
#else
struct nothrow_t {
    explicit nothrow_t() = default;
};
inline constexpr nothrow_t nothrow{};
#endif
}  // namespace std

namespace quire::heap_internal {

inline void* new_or_null(size_t bytes, size_t alignment) {
    const Result<void*> block = quire_operator_new_heap().allocate_aligned(bytes, alignment);
    return block.ok() ? *block : nullptr;
}

inline void* new_or_panic(size_t bytes, size_t alignment) {
    const HeapRef heap = quire_operator_new_heap();
    const Result<void*> block = heap.allocate_aligned(bytes, alignment);
    if (block.ok()) return *block;
    heap.panic(Report{
        .what = "operator new: no memory",
        .error = block.error(),
        .address = 0,
        .has_values = true,
        .expected = bytes,
        .found = 0,
        .likely_cause =
            "more is live than there are pages for; new (std::nothrow) would return null",
    });
}

inline size_t value_of(std::align_val_t alignment) {
    return static_cast<size_t>(alignment);
}

}  // namespace quire::heap_internal

void* operator new(size_t bytes) {
    return quire::heap_internal::new_or_panic(bytes, 1);
}
void* operator new[](size_t bytes) {
    return quire::heap_internal::new_or_panic(bytes, 1);
}
void* operator new(size_t bytes, std::align_val_t alignment) {
    return quire::heap_internal::new_or_panic(bytes, quire::heap_internal::value_of(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
    return quire::heap_internal::new_or_panic(bytes, quire::heap_internal::value_of(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
    return quire::heap_internal::new_or_null(bytes, 1);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
    return quire::heap_internal::new_or_null(bytes, 1);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return quire::heap_internal::new_or_null(bytes, quire::heap_internal::value_of(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return quire::heap_internal::new_or_null(bytes, quire::heap_internal::value_of(alignment));
}

void operator delete(void* block) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete[](void* block) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete(void* block, size_t bytes) noexcept {
    quire_operator_new_heap().free_sized(block, bytes);
}
void operator delete[](void* block, size_t bytes) noexcept {
    quire_operator_new_heap().free_sized(block, bytes);
}
void operator delete(void* block, std::align_val_t) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete(void* block, size_t bytes, std::align_val_t alignment) noexcept {
    quire_operator_new_heap().free_sized(block, bytes, quire::heap_internal::value_of(alignment));
}
void operator delete[](void* block, size_t bytes, std::align_val_t alignment) noexcept {
    quire_operator_new_heap().free_sized(block, bytes, quire::heap_internal::value_of(alignment));
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    quire_operator_new_heap().free(block);
}
void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    quire_operator_new_heap().free(block);
}
