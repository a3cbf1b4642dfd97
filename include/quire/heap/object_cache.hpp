// SPDX-License-Identifier: MIT
// Objects of one type on a heap.
//
//   constinit quire::ObjectCache<Process> processes(kernel_heap);
//   Process* process = processes.create(parent, name).value();
//   processes.destroy(process);
#pragma once

#include <stddef.h>

#include "quire/base/atomic.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/heap_reservation.hpp"

namespace quire {

// An object is constructed when it is created and destroyed when it is given back, as new and
// delete do: it never lies half alive in the cache, so a free block can be poisoned, and reading an
// object after its end shows. What caches of constructed objects save is left to the type.
//
// The blocks come from the heap's class for the type, so caches of types of one size share memory;
// with a PerCpuHeap they come from this CPU's array. `H` is what leads to the heap: a HeapRef, or a
// reference to a heap of known type, which saves an indirect call. Synchronised as the heap is.
template <class T, class H = HeapRef>
class ObjectCache {
  public:
    // Needs no destructor; the heap must outlive it.
    constexpr explicit ObjectCache(H heap) : heap_(static_cast<H>(heap)) {}
    ObjectCache(const ObjectCache&) = delete;
    ObjectCache& operator=(const ObjectCache&) = delete;

    // A new object. Errors as the heap's allocate_aligned; then no constructor has run.
    template <class... Arguments>
    Result<T*> create(Arguments&&... arguments) {
        return made(heap_.allocate_aligned(block_bytes, alignof(T)),
                    static_cast<Arguments&&>(arguments)...);
    }
    // The same in any context, of what is at hand; see PerCpuHeap.
    template <class... Arguments>
    Result<T*> try_create(Arguments&&... arguments) {
        return made(heap_.try_allocate_aligned(block_bytes, alignof(T)),
                    static_cast<Arguments&&>(arguments)...);
    }
    // Of a block that a reservation of this cache holds; it must hold one, which is checked.
    template <class... Arguments>
    T* create_from(HeapReservation& reservation, Arguments&&... arguments) {
        const bool fits =
            reservation.block_bytes() == block_bytes && reservation.alignment() == alignof(T);
        void* const block = fits ? reservation.take() : nullptr;
        if (block == nullptr) trap();
        return *made(block, static_cast<Arguments&&>(arguments)...);
    }
    // A reservation for create_from, empty yet. (The cache keeps no list of them.)
    HeapReservation reservation() const { return HeapReservation(heap_, sizeof(T), alignof(T)); }

    // Ends an object of this cache. Any context that the heap's free may be called in. Null is
    // ignored. A pointer to anything else is reported by the heap as misuse, after its destructor
    // has run; where the heap keeps sizes, so is an object of another size.
    void destroy(T* object) {
        if (object == nullptr) return;
        object->~T();
        live_.fetch_sub(1, MemoryOrder::relaxed);
        heap_.free_sized(object, block_bytes, alignof(T));
    }

    // Objects created and not destroyed.
    size_t live() const { return live_.load(MemoryOrder::relaxed); }

  private:
    // A reservation's blocks hold a pointer while they wait.
    static constexpr size_t block_bytes = sizeof(T) < sizeof(void*) ? sizeof(void*) : sizeof(T);

    template <class... Arguments>
    Result<T*> made(const Result<void*>& block, Arguments&&... arguments) {
        if (!block.ok()) return block.failure();
        live_.fetch_add(1, MemoryOrder::relaxed);
        return construct_at(static_cast<T*>(*block), static_cast<Arguments&&>(arguments)...);
    }

    H heap_;
    Atomic<size_t> live_{0};
};

}  // namespace quire
