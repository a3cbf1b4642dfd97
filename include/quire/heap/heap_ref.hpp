// SPDX-License-Identifier: MIT
// A reference to a heap whose lock type the user need not know.
#pragma once

#include <stddef.h>

#include "quire/base/report.hpp"
#include "quire/base/result.hpp"
#include "quire/heap/heap.hpp"

namespace quire {

// Two words; owns nothing. The functions are BasicHeap's.
class HeapRef {
  public:
    template <Lockable L>
    constexpr HeapRef(BasicHeap<L>& heap) : heap_(&heap), calls_(&calls_of<L>) {}

    Result<void*> allocate_aligned(size_t bytes, size_t alignment) const {
        return calls_->allocate_aligned(heap_, bytes, alignment);
    }
    void free(void* block) const { calls_->free(heap_, block); }
    void free_sized(void* block, size_t bytes, size_t alignment = 1) const {
        calls_->free_sized(heap_, block, bytes, alignment);
    }
    [[noreturn]] void panic(const Report& report) const {
        calls_->panic(heap_, report);
        trap();
    }

  private:
    struct Calls {
        Result<void*> (*allocate_aligned)(void*, size_t, size_t);
        void (*free)(void*, void*);
        void (*free_sized)(void*, void*, size_t, size_t);
        void (*panic)(const void*, const Report&);
    };
    template <Lockable L>
    static constexpr Calls calls_of = {
        [](void* heap, size_t bytes, size_t alignment) {
            return static_cast<BasicHeap<L>*>(heap)->allocate_aligned(bytes, alignment);
        },
        [](void* heap, void* block) { static_cast<BasicHeap<L>*>(heap)->free(block); },
        [](void* heap, void* block, size_t bytes, size_t alignment) {
            static_cast<BasicHeap<L>*>(heap)->free_sized(block, bytes, alignment);
        },
        [](const void* heap, const Report& report) {
            static_cast<const BasicHeap<L>*>(heap)->panic(report);
        },
    };

    void* heap_;
    const Calls* calls_;
};

}  // namespace quire
