// SPDX-License-Identifier: MIT
// Atomic objects over the compiler's builtins, no wider than the machine does without help.
#pragma once

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire {

enum class MemoryOrder : int {
    relaxed = __ATOMIC_RELAXED,
    acquire = __ATOMIC_ACQUIRE,
    release = __ATOMIC_RELEASE,
    acquire_release = __ATOMIC_ACQ_REL,
    sequential = __ATOMIC_SEQ_CST,
};

// True when T can be read and written atomically by single instructions on every baseline CPU: up
// to a pointer's width, of a size that such an instruction has, and aligned to it. Eight bytes on
// i686, or a structure of three, would need libatomic.
// NOLINTBEGIN(bugprone-sizeof-expression): where T is a pointer, its own size is meant.
template <class T>
inline constexpr bool is_lock_free =
    sizeof(T) <= sizeof(uintptr_t) && (sizeof(T) & (sizeof(T) - 1)) == 0 &&
    alignof(T) >= sizeof(T) && is_trivially_copyable<T>;
// NOLINTEND(bugprone-sizeof-expression)

namespace atomic {
// Operations on a plain object that hardware or another CPU writes at the same time, such as a
// page-table entry.
template <class T>
    requires(is_lock_free<T>)
T load(const T& object, MemoryOrder order = MemoryOrder::relaxed) {
    T value;
    __atomic_load(&object, &value, static_cast<int>(order));
    return value;
}
template <class T>
    requires(is_lock_free<T>)
void store(T& object, remove_const_reference<T> value, MemoryOrder order = MemoryOrder::relaxed) {
    __atomic_store(&object, &value, static_cast<int>(order));
}
template <class T>
    requires(is_lock_free<T>)
T exchange(T& object, remove_const_reference<T> value,
           MemoryOrder order = MemoryOrder::acquire_release) {
    T old;
    __atomic_exchange(&object, &value, &old, static_cast<int>(order));
    return old;
}
// Stores `desired` when the object holds `expected`; otherwise loads what it holds into `expected`.
template <class T>
    requires(is_lock_free<T>)
bool compare_exchange(T& object, T& expected, remove_const_reference<T> desired,
                      MemoryOrder success = MemoryOrder::acquire_release,
                      MemoryOrder failure = MemoryOrder::acquire) {
    return __atomic_compare_exchange(&object, &expected, &desired, false, static_cast<int>(success),
                                     static_cast<int>(failure));
}
// Orders this CPU's earlier memory operations before its later ones.
inline void fence(MemoryOrder order) {
    __atomic_thread_fence(static_cast<int>(order));
}
}  // namespace atomic

// An object that is only ever accessed atomically.
template <class T>
    requires(is_lock_free<T>)
class Atomic {
  public:
    constexpr Atomic() = default;
    constexpr explicit Atomic(T value) : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load(MemoryOrder order = MemoryOrder::sequential) const {
        return atomic::load(value_, order);
    }
    void store(T value, MemoryOrder order = MemoryOrder::sequential) {
        atomic::store(value_, value, order);
    }
    T exchange(T value, MemoryOrder order = MemoryOrder::sequential) {
        return atomic::exchange(value_, value, order);
    }
    bool compare_exchange(T& expected, T desired, MemoryOrder success = MemoryOrder::sequential,
                          MemoryOrder failure = MemoryOrder::sequential) {
        return atomic::compare_exchange(value_, expected, desired, success, failure);
    }
    // The value before. For integers.
    T fetch_add(T amount, MemoryOrder order = MemoryOrder::sequential) {
        return __atomic_fetch_add(&value_, amount, static_cast<int>(order));
    }
    T fetch_sub(T amount, MemoryOrder order = MemoryOrder::sequential) {
        return __atomic_fetch_sub(&value_, amount, static_cast<int>(order));
    }
    T fetch_or(T bits, MemoryOrder order = MemoryOrder::sequential) {
        return __atomic_fetch_or(&value_, bits, static_cast<int>(order));
    }
    T fetch_and(T bits, MemoryOrder order = MemoryOrder::sequential) {
        return __atomic_fetch_and(&value_, bits, static_cast<int>(order));
    }

  private:
    T value_{};
};

}  // namespace quire
