// SPDX-License-Identifier: MIT
// Mutual exclusion: what a lock is, the locks Quire brings, and the guard that holds one.
#pragma once

#include <stdint.h>

#include "quire/base/atomic.hpp"

namespace quire {

// A lock is anything that can be locked and unlocked. Quire's managers take theirs as a type, so
// that a kernel chooses what exclusion costs.
template <class L>
concept Lockable = requires(L& lock) {
    lock.lock();
    lock.unlock();
};

// Excludes nobody: one CPU, and never used from interrupts.
class NoLock {
  public:
    void lock() {}
    void unlock() {}
};

// Tells the CPU that this is a wait loop.
inline void cpu_relax() {
#if defined(__i386__) || defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

// A fair spin lock: CPUs enter in the order in which they came. Not recursive. It does not keep
// interrupts away: see InterruptLock for a lock that interrupt handlers also take.
class SpinLock {
  public:
    SpinLock() = default;
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    void lock() {
        const uint32_t ticket = next_.fetch_add(1, MemoryOrder::relaxed);
        while (serving_.load(MemoryOrder::acquire) != ticket)
            cpu_relax();
    }
    // Takes the lock if nobody holds it or waits for it.
    bool try_lock() {
        // The unlock that made it free is what this load has to see and be ordered after.
        uint32_t ticket = serving_.load(MemoryOrder::acquire);
        return next_.compare_exchange(ticket, ticket + 1, MemoryOrder::acquire,
                                      MemoryOrder::relaxed);
    }
    // How many hold the lock or wait for it, as of some moment during the call: contention, for
    // whoever measures it. O(1).
    uint32_t contenders() const {
        const uint32_t serving = serving_.load(MemoryOrder::relaxed);
        return next_.load(MemoryOrder::relaxed) - serving;
    }
    // Only by the holder.
    void unlock() { serving_.store(serving_.load(MemoryOrder::relaxed) + 1, MemoryOrder::release); }

  private:
    Atomic<uint32_t> next_{0};
    Atomic<uint32_t> serving_{0};
};

// How to keep interrupts away on this CPU: `disable` returns the state that `restore` brings back.
template <class P>
concept InterruptPolicy = requires(P policy) {
    { P::disable() };
    P::restore(P::disable());
};

// A spin lock that keeps interrupts away while it is held, for state that handlers also touch.
template <InterruptPolicy Interrupts>
class InterruptLock {
  public:
    void lock() {
        const auto state = Interrupts::disable();
        lock_.lock();
        state_ = state;
    }
    void unlock() {
        const auto state = state_;
        lock_.unlock();
        Interrupts::restore(state);
    }

  private:
    SpinLock lock_;
    decltype(Interrupts::disable()) state_{};
};

// Holds a lock for as long as it lives.
template <Lockable L>
class [[nodiscard]] LockGuard {
  public:
    explicit LockGuard(L& lock) : lock_(lock) { lock_.lock(); }
    ~LockGuard() { lock_.unlock(); }
    LockGuard(const LockGuard&) = delete;
    LockGuard& operator=(const LockGuard&) = delete;

  private:
    L& lock_;
};

}  // namespace quire
