// SPDX-License-Identifier: MIT
// Mutual exclusion: what a lock is, the locks Quire brings, and the guard that holds one.
#pragma once

#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/exclusion.hpp"

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
    bool try_lock() { return true; }
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

// What a CPU does in each turn of a wait loop. A kernel whose CPUs wait for one another (shootdowns
// of TLBs) and that takes locks with interrupts masked answers the others there:
// see Shootdown::serve.
template <class W>
concept WaitPolicy = requires { W::relax(); };
struct RelaxOnly {
    static void relax() { cpu_relax(); }
};

// A fair spin lock: CPUs enter in the order in which they came. Not recursive. It keeps nothing
// away that runs on the same CPU: see ExcludingLock.
template <WaitPolicy Wait>
class BasicSpinLock {
  public:
    BasicSpinLock() = default;
    BasicSpinLock(const BasicSpinLock&) = delete;
    BasicSpinLock& operator=(const BasicSpinLock&) = delete;

    void lock() {
        const uint32_t ticket = next_.fetch_add(1, MemoryOrder::relaxed);
        while (serving_.load(MemoryOrder::acquire) != ticket)
            Wait::relax();
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

using SpinLock = BasicSpinLock<RelaxOnly>;

// A lock that also keeps something away from this CPU while it is held, and while it is waited for:
// interrupts, for state that handlers touch too; or preemption.
template <ExclusionPolicy Exclusion, Lockable Inner = SpinLock>
class ExcludingLock {
  public:
    void lock() {
        const auto state = Exclusion::disable();
        lock_.lock();
        state_ = state;
    }
    bool try_lock() {
        const auto state = Exclusion::disable();
        if (!lock_.try_lock()) {
            Exclusion::restore(state);
            return false;
        }
        state_ = state;
        return true;
    }
    void unlock() {
        const auto state = state_;
        lock_.unlock();
        Exclusion::restore(state);
    }

  private:
    Inner lock_;
    decltype(Exclusion::disable()) state_{};
};

// Interrupts off is the exclusion that most kernels start with.
template <class P>
concept InterruptPolicy = ExclusionPolicy<P>;
template <InterruptPolicy Interrupts>
using InterruptLock = ExcludingLock<Interrupts>;

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
