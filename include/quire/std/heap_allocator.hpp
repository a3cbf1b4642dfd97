// SPDX-License-Identifier: MIT
// An allocator for the C++ library's containers that takes from a heap:
//
//   std::vector<int, quire::HeapAllocator<int>> numbers{quire::HeapAllocator<int>(heap)};
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>

#include "quire/heap/heap_ref.hpp"
#include "quire/std/out_of_memory.hpp"

namespace quire {

// A container keeps the heap that it was made with, its copies have the same, and what is moved or
// swapped takes its heap along. Synchronised as the heap is, which must outlive it. Throws
// std::bad_alloc, or reports where there are no exceptions.
template <class T>
class HeapAllocator {
  public:
    using value_type = T;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    explicit HeapAllocator(HeapRef heap) noexcept : heap_(heap) {}
    template <class U>
    HeapAllocator(const HeapAllocator<U>& other) noexcept : heap_(other.heap()) {}

    T* allocate(std::size_t count) {
        const bool fits = count <= std::numeric_limits<std::size_t>::max() / sizeof(T);
        const Result<void*> block = fits ? heap_.allocate_aligned(count * sizeof(T), alignof(T))
                                         : Result<void*>(Failure{Error::out_of_memory, count});
        if (!block.ok()) detail::throw_out_of_memory(heap_, count, block.error());
        return static_cast<T*>(*block);
    }
    void deallocate(T* block, std::size_t count) noexcept {
        heap_.free_sized(block, count * sizeof(T), alignof(T));
    }
    HeapRef heap() const noexcept { return heap_; }

    template <class U>
    friend bool operator==(const HeapAllocator& a, const HeapAllocator<U>& b) noexcept {
        return a.heap() == b.heap();
    }

  private:
    HeapRef heap_;
};

}  // namespace quire
