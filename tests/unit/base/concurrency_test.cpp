// SPDX-License-Identifier: MIT
// Atomics, locks and CPU-local data; what has "Concurrent" in its name uses threads and is what
// the thread sanitizer looks at.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "quire/base/atomic.hpp"
#include "quire/base/cpu_local.hpp"
#include "quire/base/lock.hpp"

namespace quire::test {
namespace {

constexpr int threads = 4;

template <class Work>
void in_threads(Work work) {
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i)
        running.emplace_back([&work, i] { work(i); });
    for (std::thread& thread : running)
        thread.join();
}

struct Pair {
    uint16_t a;
    uint16_t b;
};
struct alignas(4) AlignedPair {
    uint16_t a;
    uint16_t b;
};
struct Three {
    unsigned char bytes[3];
};
struct Large {
    uintptr_t words[2];
};
struct NotTrivial {
    NotTrivial(const NotTrivial&) {}
};
static_assert(is_lock_free<bool> && is_lock_free<uint8_t> && is_lock_free<uint32_t>);
static_assert(is_lock_free<uintptr_t> && is_lock_free<void*> && is_lock_free<AlignedPair>);
static_assert(!is_lock_free<Pair>, "two halves, aligned to one of them");
static_assert(!is_lock_free<Three> && !is_lock_free<Large> && !is_lock_free<NotTrivial>);
static_assert(is_lock_free<uint64_t> == (sizeof(uintptr_t) >= 8));
template <class T>
concept atomic_object = requires { sizeof(Atomic<T>); };
static_assert(atomic_object<uint32_t> && !atomic_object<Large>);
static_assert(sizeof(Atomic<uint32_t>) == 4 && !std::is_copy_constructible_v<Atomic<int>>);

TEST(Atomics, LoadStoreAndExchange) {
    Atomic<uint32_t> number(5);
    EXPECT_EQ(number.load(), 5u);
    number.store(6);
    EXPECT_EQ(number.exchange(7), 6u);
    EXPECT_EQ(number.load(MemoryOrder::acquire), 7u);
    EXPECT_EQ(number.fetch_add(3), 7u);
    EXPECT_EQ(number.fetch_sub(1), 10u);
    EXPECT_EQ(number.fetch_or(0x10), 9u);
    EXPECT_EQ(number.fetch_and(0x18), 0x19u);
    EXPECT_EQ(number.load(), 0x18u);
    EXPECT_EQ(Atomic<uint32_t>().load(), 0u);
    Atomic<int*> pointer;
    int target = 0;
    pointer.store(&target);
    EXPECT_EQ(pointer.load(), &target);
}

TEST(Atomics, CompareExchangeTellsWhatIsThere) {
    Atomic<uint32_t> number(5);
    uint32_t expected = 4;
    EXPECT_FALSE(number.compare_exchange(expected, 9));
    EXPECT_EQ(expected, 5u);
    EXPECT_EQ(number.load(), 5u);
    EXPECT_TRUE(number.compare_exchange(expected, 9));
    EXPECT_EQ(number.load(), 9u);
}

TEST(Atomics, WorkOnPlainObjects) {
    uint32_t entry = 1;
    EXPECT_EQ(atomic::load(entry), 1u);
    atomic::store(entry, 2u);
    EXPECT_EQ(atomic::exchange(entry, 3u), 2u);
    uint32_t expected = 3;
    EXPECT_TRUE(atomic::compare_exchange(entry, expected, 4u));
    expected = 0;
    EXPECT_FALSE(atomic::compare_exchange(entry, expected, 5u));
    EXPECT_EQ(expected, 4u);
    EXPECT_EQ(entry, 4u);
    const AlignedPair pair{1, 2};
    EXPECT_EQ(atomic::load(pair).b, 2);
}

TEST(AtomicsConcurrent, LoseNoUpdate) {
    Atomic<uint32_t> sum;
    uint32_t plain = 0;
    in_threads([&](int) {
        for (int i = 0; i < 10000; ++i) {
            sum.fetch_add(1, MemoryOrder::relaxed);
            uint32_t seen = atomic::load(plain);
            while (!atomic::compare_exchange(plain, seen, seen + 1)) {
            }
        }
    });
    EXPECT_EQ(sum.load(), threads * 10000u);
    EXPECT_EQ(plain, threads * 10000u);
}

TEST(AtomicsConcurrent, ReleaseAndAcquirePassDataOn) {
    int data = 0;
    Atomic<bool> ready;
    std::thread reader([&] {
        while (!ready.load(MemoryOrder::acquire))
            std::this_thread::yield();
        EXPECT_EQ(data, 42);
    });
    data = 42;
    ready.store(true, MemoryOrder::release);
    reader.join();
}

static_assert(Lockable<NoLock> && Lockable<SpinLock> && !Lockable<int>);
static_assert(!std::is_copy_constructible_v<SpinLock>);

TEST(Locks, TryingTellsWhetherAnybodyHoldsIt) {
    SpinLock lock;
    EXPECT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    lock.lock();
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

TEST(Locks, GuardsHoldThemWhileTheyLive) {
    SpinLock lock;
    {
        const LockGuard guard(lock);
        EXPECT_FALSE(lock.try_lock());
    }
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    NoLock none;
    const LockGuard first(none);
    const LockGuard second(none);  // excludes nobody
}

TEST(LocksConcurrent, LetOneInAtATime) {
    SpinLock lock;
    int counter = 0;
    int inside = 0;
    in_threads([&](int thread) {
        for (int i = 0; i < 500; ++i) {
            if (thread == 0 && lock.try_lock()) {
                ++counter;
                lock.unlock();
                continue;
            }
            const LockGuard guard(lock);
            EXPECT_EQ(++inside, 1);
            ++counter;
            --inside;
        }
    });
    EXPECT_EQ(counter, threads * 500);
}

// CPUs enter in the order in which they came.
TEST(LocksConcurrent, AreFair) {
    SpinLock lock;
    std::vector<int> order;
    std::vector<std::thread> waiting;
    lock.lock();
    for (int i = 0; i < threads; ++i) {
        waiting.emplace_back([&, i] {
            const LockGuard guard(lock);
            order.push_back(i);
        });
        // The next one comes when this one waits: we hold the lock, and i came before.
        while (lock.contenders() != static_cast<uint32_t>(i) + 2)
            std::this_thread::yield();
    }
    lock.unlock();
    for (std::thread& thread : waiting)
        thread.join();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(lock.contenders(), 0u);
}

// Interrupts of an imaginary CPU: disabled once for each lock, restored to what they were.
struct FakeInterrupts {
    static inline int level = 0;
    static inline std::vector<int> restored;
    static int disable() { return level++; }
    static void restore(int state) {
        level = state;
        restored.push_back(state);
    }
};
static_assert(InterruptPolicy<FakeInterrupts> && !InterruptPolicy<int>);
static_assert(Lockable<InterruptLock<FakeInterrupts>>);

TEST(Locks, KeepInterruptsAwayWhileHeld) {
    FakeInterrupts::level = 0;
    FakeInterrupts::restored.clear();
    InterruptLock<FakeInterrupts> outer;
    InterruptLock<FakeInterrupts> inner;
    {
        const LockGuard first(outer);
        EXPECT_EQ(FakeInterrupts::level, 1);
        const LockGuard second(inner);
        EXPECT_EQ(FakeInterrupts::level, 2);
    }
    EXPECT_EQ(FakeInterrupts::level, 0);
    EXPECT_EQ(FakeInterrupts::restored, (std::vector<int>{1, 0}));
}

// The state that is restored is the holder's own, not that of one who waits.
struct ThreadInterrupts {
    static inline thread_local int state = 0;
    static inline Atomic<int> mistakes;
    static int disable() {
        const int before = state;
        state = -1;
        return before;
    }
    static void restore(int before) { state = before; }
};

TEST(LocksConcurrent, EachCpuGetsItsOwnInterruptStateBack) {
    InterruptLock<ThreadInterrupts> lock;
    int counter = 0;
    in_threads([&](int thread) {
        for (int i = 0; i < 300; ++i) {
            ThreadInterrupts::state = thread * 100000 + i;
            {
                const LockGuard guard(lock);
                ++counter;
            }
            if (ThreadInterrupts::state != thread * 100000 + i) {
                ThreadInterrupts::mistakes.fetch_add(1);
            }
        }
    });
    EXPECT_EQ(ThreadInterrupts::mistakes.load(), 0);
    EXPECT_EQ(counter, threads * 300);
}

// A CPU that waits for a lock does meanwhile what its policy says.
struct CountingWait {
    static inline Atomic<int> turns;
    static void relax() {
        turns.fetch_add(1);
        std::this_thread::yield();
    }
};
static_assert(WaitPolicy<CountingWait> && WaitPolicy<RelaxOnly> && !WaitPolicy<int>);

TEST(LocksConcurrent, WaitersDoWhatTheirPolicySays) {
    BasicSpinLock<CountingWait> lock;
    CountingWait::turns.store(0);
    lock.lock();
    EXPECT_EQ(CountingWait::turns.load(), 0);
    std::thread other([&] { const LockGuard guard(lock); });
    while (CountingWait::turns.load() < 3)
        std::this_thread::yield();
    lock.unlock();
    other.join();
}

TEST(Locks, NoExclusionIsOneAsWell) {
    static_assert(ExclusionPolicy<NoExclusion> && Lockable<ExcludingLock<NoExclusion, NoLock>>);
    FakeInterrupts::level = 0;
    {
        const Excluding<FakeInterrupts> away;
        EXPECT_EQ(FakeInterrupts::level, 1);
    }
    EXPECT_EQ(FakeInterrupts::level, 0);
}

static_assert(CpuPolicy<SingleCpu> && !CpuPolicy<int>);

struct SecondCpu {
    static unsigned index() { return 1; }
};
TEST(CpuLocals, APinKeepsAwayWhatItsPolicySays) {
    using Cpus = PinnedCpu<SecondCpu, FakeInterrupts>;
    static_assert(CpuPolicy<Cpus>);
    FakeInterrupts::level = 0;
    CpuLocal<int, Cpus>::Slot slots[2];
    const CpuLocal<int, Cpus> counters{Span<CpuLocal<int, Cpus>::Slot>(slots)};
    {
        const Cpus::Pin pin;
        EXPECT_EQ(FakeInterrupts::level, 1);
        ++counters.mine(pin);
    }
    EXPECT_EQ(FakeInterrupts::level, 0);
    EXPECT_EQ(counters.of(1), 1);
}

struct ThreadCpu {
    struct Pin {};
    static inline thread_local unsigned current = 0;
    static unsigned index() { return current; }
};

TEST(CpuLocals, HaveASlotForEachCpuOnItsOwnLines) {
    using Counters = CpuLocal<int, ThreadCpu>;
    static_assert(sizeof(Counters::Slot) % cache_line == 0);
    static_assert(alignof(Counters::Slot) == cache_line);
    Counters::Slot slots[3];
    const Counters counters{Span(slots)};
    EXPECT_EQ(counters.cpus(), 3u);
    for (unsigned cpu = 0; cpu < 3; ++cpu) {
        ThreadCpu::current = cpu;
        const ThreadCpu::Pin pin;
        counters.mine(pin) = static_cast<int>(cpu) + 10;
    }
    for (unsigned cpu = 0; cpu < 3; ++cpu)
        EXPECT_EQ(counters.of(cpu), static_cast<int>(cpu) + 10);
    CpuLocal<int, SingleCpu>::Slot one[1];
    const CpuLocal<int, SingleCpu> single{Span(one)};
    single.mine(SingleCpu::Pin()) = 5;
    EXPECT_EQ(single.of(0), 5);
}

TEST(CpuLocalsDeathTest, RefuseACpuWithoutASlot) {
    CpuLocal<int, ThreadCpu>::Slot slots[2];
    const CpuLocal<int, ThreadCpu> counters{Span(slots)};
    EXPECT_DEATH((void)counters.of(2), "");
    EXPECT_DEATH(
        {
            ThreadCpu::current = 2;
            (void)counters.mine(ThreadCpu::Pin());
        },
        "");
}

TEST(CpuLocalsConcurrent, NeedNoLock) {
    CpuLocal<int, ThreadCpu>::Slot slots[threads];
    const CpuLocal<int, ThreadCpu> counters{Span(slots)};
    in_threads([&](int thread) {
        ThreadCpu::current = static_cast<unsigned>(thread);
        for (int i = 0; i < 10000; ++i)
            ++counters.mine(ThreadCpu::Pin());
    });
    for (unsigned cpu = 0; cpu < threads; ++cpu)
        EXPECT_EQ(counters.of(cpu), 10000);
}

}  // namespace
}  // namespace quire::test
