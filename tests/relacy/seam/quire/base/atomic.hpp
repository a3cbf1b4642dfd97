// SPDX-License-Identifier: MIT
// Stands in for the library's own quire/base/atomic.hpp, with the same names over Relacy's atomic
// objects: so that the library's headers are explored as they are.
#pragma once

#include <stdint.h>

// Relacy first, as it defines what standard headers would.
#include <relacy/relacy.hpp>
// These it makes macros, for programs that are not the library's.
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert

#include "quire/base/traits.hpp"

namespace quire {

enum class MemoryOrder : int {
    relaxed = rl::mo_relaxed,
    acquire = rl::mo_acquire,
    release = rl::mo_release,
    acquire_release = rl::mo_acq_rel,
    sequential = rl::mo_seq_cst,
};

template <class T>
inline constexpr bool is_lock_free = true;

// Of plain objects, such as headers of blocks, which no test here has.
namespace atomic {
template <class T>
T load(const T& object) {
    return object;
}
template <class T>
void store(T& object, remove_const_reference<T> value) {
    object = value;
}
}  // namespace atomic

// What a test uses of the library's Atomic. A load may give any value that the memory model allows.
template <class T>
class Atomic {
  public:
    explicit Atomic(T value) { value_.store(value, rl::mo_relaxed, $); }
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load(MemoryOrder order = MemoryOrder::sequential) const {
        return value_.load(order_of(order), $);
    }
    void store(T value, MemoryOrder order = MemoryOrder::sequential) {
        value_.store(value, order_of(order), $);
    }
    bool compare_exchange(T& expected, T desired, MemoryOrder success = MemoryOrder::sequential,
                          MemoryOrder failure = MemoryOrder::sequential) {
        return value_.compare_exchange(rl::bool_t<false>(), expected, desired, order_of(success),
                                       order_of(failure), $);
    }
    T fetch_add(T amount, MemoryOrder order = MemoryOrder::sequential) {
        return value_.rmw(rl::rmw_type_t<rl::rmw_type_add>(), amount, order_of(order), $);
    }

  private:
    static rl::memory_order order_of(MemoryOrder order) {
        return static_cast<rl::memory_order>(order);
    }

    rl::atomic<T> value_;
};

}  // namespace quire
