// SPDX-License-Identifier: MIT
// A reference to a heap whose type the user need not know.
#pragma once

#include <stddef.h>

#include "quire/base/report.hpp"
#include "quire/base/result.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

// What a HeapRef can stand for: BasicHeap, PerCpuHeap, HeapOfTag.
template <class H>
concept AnyHeap = requires(H& heap, void* block, size_t bytes, const Report& report) {
    { heap.allocate_aligned(bytes, bytes) } -> same_as<Result<void*>>;
    heap.free(block);
    heap.free_sized(block, bytes, bytes);
    { heap.try_free_sized(block, bytes, bytes) } -> same_as<Status>;
    heap.panic(report);
};

// Two words; owns nothing. The functions are the heap's, with its errors and contexts.
class HeapRef {
  public:
    template <AnyHeap H>
        requires(!same_as<H, HeapRef>)
    constexpr HeapRef(H& heap) : heap_(&heap), calls_(&calls_of<H>) {}

    Result<void*> allocate_aligned(size_t bytes, size_t alignment) const {
        return calls_->allocate_aligned(heap_, bytes, alignment);
    }
    // Error::unsupported for a heap that knows no contexts (see per_cpu_heap.hpp).
    Result<void*> try_allocate_aligned(size_t bytes, size_t alignment) const {
        return calls_->try_allocate_aligned(heap_, bytes, alignment);
    }
    void free(void* block) const { calls_->free(heap_, block); }
    void free_sized(void* block, size_t bytes, size_t alignment = 1) const {
        calls_->free_sized(heap_, block, bytes, alignment);
    }
    Status try_free_sized(void* block, size_t bytes, size_t alignment = 1) const {
        return calls_->try_free_sized(heap_, block, bytes, alignment);
    }
    [[noreturn]] void panic(const Report& report) const {
        calls_->panic(heap_, report);
        trap();
    }

    // Whether both stand for the same heap.
    friend constexpr bool operator==(const HeapRef& a, const HeapRef& b) {
        return a.heap_ == b.heap_;
    }

  private:
    struct Calls {
        Result<void*> (*allocate_aligned)(void*, size_t, size_t);
        Result<void*> (*try_allocate_aligned)(void*, size_t, size_t);
        void (*free)(void*, void*);
        void (*free_sized)(void*, void*, size_t, size_t);
        Status (*try_free_sized)(void*, void*, size_t, size_t);
        void (*panic)(const void*, const Report&);
    };
    template <class H>
    static constexpr Calls calls_of = {
        [](void* heap, size_t bytes, size_t alignment) {
            return static_cast<H*>(heap)->allocate_aligned(bytes, alignment);
        },
        [](void* heap, size_t bytes, size_t alignment) -> Result<void*> {
            if constexpr (requires(H& any) { any.try_allocate_aligned(bytes, alignment); }) {
                return static_cast<H*>(heap)->try_allocate_aligned(bytes, alignment);
            }
            return Failure{Error::unsupported, bytes};
        },
        [](void* heap, void* block) { static_cast<H*>(heap)->free(block); },
        [](void* heap, void* block, size_t bytes, size_t alignment) {
            static_cast<H*>(heap)->free_sized(block, bytes, alignment);
        },
        [](void* heap, void* block, size_t bytes, size_t alignment) {
            return static_cast<H*>(heap)->try_free_sized(block, bytes, alignment);
        },
        [](const void* heap, const Report& report) { static_cast<const H*>(heap)->panic(report); },
    };

    void* heap_;
    const Calls* calls_;
};

}  // namespace quire
