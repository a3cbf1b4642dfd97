// SPDX-License-Identifier: MIT
// A heap as a std::pmr::memory_resource, for programs and kernels that have a C++ library:
//
//   quire::HeapResource resource(heap);
//   std::pmr::vector<int> numbers(&resource);
#pragma once

#include <cstddef>
#include <memory_resource>

#include "quire/heap/heap_ref.hpp"
#include "quire/std/out_of_memory.hpp"

namespace quire {

// Two of the same heap are equal. Synchronised as the heap is, which must outlive it. Throws
// std::bad_alloc, or reports where there are no exceptions; a deallocation of another size or
// alignment than the allocation's is misuse, which the heap reports.
class HeapResource final : public std::pmr::memory_resource {
  public:
    explicit HeapResource(HeapRef heap) : heap_(heap) {}

  private:
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
        const Result<void*> block = heap_.allocate_aligned(bytes, alignment);
        if (!block.ok()) detail::throw_out_of_memory(heap_, bytes, block.error());
        return *block;
    }
    void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
        heap_.free_sized(block, bytes, alignment);
    }
    // Without RTTI there is no telling whose the other is.
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
#if defined(__cpp_rtti)
        const auto* const resource = dynamic_cast<const HeapResource*>(&other);
        return resource != nullptr && resource->heap_ == heap_;
#else
        return this == &other;
#endif
    }

    HeapRef heap_;
};

}  // namespace quire
