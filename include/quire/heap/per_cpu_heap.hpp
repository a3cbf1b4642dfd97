// SPDX-License-Identifier: MIT
// A heap with blocks at hand for each CPU: small blocks come and go without a lock, in some twenty
// instructions each; and a heap for every context of a kernel.
//
//   Heap heap;                                     // started as usual
//   PerCpuHeap<Heap, MyCpus>::Slot slots[16];      // one a CPU, in memory of the kernel's
//   PerCpuHeap<Heap, MyCpus> per_cpu(heap, slots);
//
// May be put in front of a heap at any time, and the heap can still be used directly: each takes
// back what the other gave. What lies with CPUs counts as live there.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/cpu_local.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/heap/cpu_blocks.hpp"
#include "quire/heap/heap.hpp"

namespace quire {

namespace heap_internal {

// What a CPU has of the heap. Touched by that CPU alone, under its Pin.
struct CpuPart : CpuBlocks {
    static constexpr unsigned most_deferred = 30;
    // Freed where the heap's lock could not be had; not looked at yet.
    void* deferred[most_deferred] = {};
    unsigned deferred_count = 0;
    uint32_t trims_done = 0;
};

}  // namespace heap_internal

// A BasicHeap behind, and a policy that says which CPU this is. The policy's Pin keeps away
// whatever else allocates on this CPU: preemption, and interrupts when handlers allocate. It is
// held for a bounded time only, and never while a page source is called or a lock is waited for.
// The heap's lock must keep preemption off where there is any, so that its holder stays on its CPU.
//
// Contexts. In a thread everything may be called. In an interrupt or fault handler, and where
// interrupts must stay off, only these are legal:
//
//   try_allocate, try_allocate_aligned, try_allocate_zeroed   from what is at hand
//   free, try_free and their sized forms                      where it cannot be done, it is queued
//
// They neither map nor fault nor wait. A Pin that has a member `bool may_wait() const` says which
// it is: where that is false, everything else fails with busy and changes nothing. Frees of ranges
// with pages of their own end in the next call from a thread that does not find what it wants at
// hand.
//
// Whoever comes back to the heap while it calls its page source (a page source that allocates, a
// fault on the way) is told so with busy, and its frees are queued: it never waits for itself.
//
// Every bad free is refused at once, with the same errors as the heap's: the state of each cell is
// written by whoever frees or allocates it. Only when two CPUs free the same block at the same
// moment may both succeed; that is noticed when it goes back to its span (late_refusals). A block
// that was queued is judged later, and misuse reported then.
template <class BackHeap, CpuPolicy Cpus>
class PerCpuHeap {
    using Fill = heap_internal::Fill;
    using CpuPart = heap_internal::CpuPart;
    using Core = heap_internal::HeapCore;
    using Pin = typename Cpus::Pin;

  public:
    using Slot = typename CpuLocal<CpuPart, Cpus>::Slot;

    // One slot for each CPU; they and the heap must outlive this object. `slots` belongs to it:
    // drain all of them before the heap stops.
    constexpr PerCpuHeap(BackHeap& heap, Span<Slot> slots) : heap_(heap), slots_(slots) {}
    PerCpuHeap(const PerCpuHeap&) = delete;
    PerCpuHeap& operator=(const PerCpuHeap&) = delete;

    // All of these as BasicHeap's, with the same errors, and busy (see above). O(1), and now and
    // then what it takes to move a batch of cells.
    Result<void*> allocate(size_t bytes) {
        void* block = nullptr;
        {
            const Pin pin;
            if (!may_wait(pin)) return Failure{Error::busy, bytes};
            block = take(part(pin), bytes);
        }
        if (block != nullptr) return block;
        return allocate_slowly(bytes, 0, Fill::none);
    }
    Result<void*> allocate_aligned(size_t bytes, size_t alignment) {
        if (!is_power_of_two(alignment)) return Failure{Error::bad_argument, alignment};
        // Every block is aligned so.
        if (alignment <= heap_internal::granule) return allocate(bytes);
        return allocate_slowly(bytes, alignment, Fill::none);
    }
    Result<void*> allocate_zeroed(size_t bytes) { return allocate_slowly(bytes, 0, Fill::zero); }
    Result<void*> reallocate(void* block, size_t bytes) {
        if (block == nullptr) return allocate(bytes);
        return in_own_time<void*>(bytes, [=](Core& core) { return core.reallocate(block, bytes); });
    }

    // As many blocks of one size as `blocks` has room for, or none, and `blocks` holds nulls then.
    // Errors as allocate. O(blocks).
    Status allocate_batch(size_t bytes, Span<void*> blocks) {
        for (size_t count = 0; count < blocks.size();) {
            count += take_some(bytes, blocks.subspan(count, blocks.size() - count));
            if (count == blocks.size()) break;
            const Result<void*> block = allocate(bytes);
            if (!block.ok()) {
                undo_batch(blocks, count);
                return block.failure();
            }
            blocks[count++] = *block;
        }
        return {};
    }
    // Any context. Frees blocks of any sizes; misuse is reported as free does. O(blocks).
    void free_batch(Span<void* const> blocks) {
        for (size_t count = 0; count < blocks.size(); ++count) {
            count += put_some(blocks.subspan(count, blocks.size() - count));
            if (count < blocks.size()) free(blocks[count]);
        }
    }

    // Any context. Of what is at hand with this CPU, waits between CPUs, or lies free in memory
    // that the heap has already. Errors: out_of_memory (not at hand), busy (nor could be looked
    // for), bad_argument, corrupted. O(1).
    Result<void*> try_allocate(size_t bytes) { return try_allocate(bytes, 0, Fill::none); }
    Result<void*> try_allocate_aligned(size_t bytes, size_t alignment) {
        if (!is_power_of_two(alignment)) return Failure{Error::bad_argument, alignment};
        return try_allocate(bytes, alignment, Fill::none);
    }
    Result<void*> try_allocate_zeroed(size_t bytes) { return try_allocate(bytes, 0, Fill::zero); }

    // Any context. Where the heap's lock cannot be had, a CPU queues up to 30 blocks; more are
    // refused with too_many (free: a report), and still live.
    void free(void* block) {
        const Status freed = try_free(block);
        if (!freed.ok()) report(block, 0, freed.failure());
    }
    Status try_free(void* block) {
        {
            const Pin pin;
            CpuPart& mine = part(pin);
            if (mine.free(block) || mine.free_cell(block) || mine.free_watched(block)) return {};
        }
        return free_slowly(block, unsized, 1);
    }
    void free_sized(void* block, size_t bytes, size_t alignment = 1) {
        const Status freed = try_free_sized(block, bytes, alignment);
        if (!freed.ok()) report(block, bytes, freed.failure());
    }
    Status try_free_sized(void* block, size_t bytes, size_t alignment = 1) {
        {
            const Pin pin;
            if (part(pin).free_sized(block, bytes)) return {};
        }
        return free_slowly(block, bytes, alignment);
    }

    // As BasicHeap's; in a thread.
    Result<size_t> usable_size(const void* block) {
        return in_own_time<size_t>(0, [=](Core& core) { return core.usable_size(block); });
    }

    // Gives back all that this CPU keeps: before it goes to sleep, or is taken off line. In a
    // thread. O(what it keeps).
    void drain() {
        catch_up_and([](CpuPart& mine, Core& core) { core.drain(mine); });
    }
    // Gives back what this CPU keeps and what waits between CPUs, and then as BasicHeap's. In a
    // thread; elsewhere it does nothing.
    size_t trim() {
        drain();
        return in_own_time<size_t>(0, [](Core& core) { return core.trim(); }).value_or(0);
    }
    // As BasicHeap's, with what this CPU keeps in arrays that it did not touch since; its main
    // arrays stay, which hold up to 64 KiB of a size (drain takes these as well). Any CPU's call is
    // a tick of the heap. In a thread; elsewhere it does nothing.
    size_t age() {
        catch_up_and([](CpuPart& mine, Core& core) { core.age(mine); });
        return in_own_time<size_t>(0, [](Core& core) { return core.age(); }).value_or(0);
    }
    // Has every CPU give back what it keeps, and the heap trim itself, each at its next call that
    // does not find what it wants at hand. Any context. O(1).
    void request_trim() { heap_.request_trim(); }

    // This CPU's next allocation of up to a page is sampled (HeapOptions::sample_interval, which
    // must not be zero): from a timer, so that samples cost time and no allocation does. Any
    // context. O(1).
    void sample_next() {
        const Pin pin;
        part(pin).sample_next();
    }

    // The heap's, less what lies with CPUs. Exact while no other CPU allocates or frees.
    HeapCounters counters() const {
        HeapCounters counters = heap_.counters();
        for (const Slot& slot : slots_)
            heap_.discount(slot.value, counters);
        return counters;
    }
    Status validate() const { return heap_.validate(); }
    BackHeap& heap() { return heap_; }
    Report explain(const void* block, const Failure& failure) const {
        return heap_.explain(block, failure);
    }
    // Hands a report to the platform, and does not return. For adapters over this heap.
    [[noreturn]] void panic(const Report& report) const { heap_.panic(report); }

  private:
    static constexpr size_t unsized = SIZE_MAX;  // no block is as large

    CpuPart& part(const Pin&) const {
        const unsigned cpu = Cpus::index();
        if constexpr (debug_checks) return slots_[cpu].value;
        return slots_.data()[cpu].value;
    }
    static uint32_t name_of(const Pin&) { return Cpus::index() + 1; }
    static bool may_wait(const Pin& pin) {
        if constexpr (requires { pin.may_wait(); }) return pin.may_wait();
        return true;
    }
    // In a thread that is not inside a call of this heap.
    bool in_thread() const {
        const Pin pin;
        return may_wait(pin) && !is_inside(pin);
    }
    // Whether this CPU holds the heap's lock further out, for this object or for another.
    bool is_inside(const Pin& pin) const {
        return heap_.holder_.load(MemoryOrder::relaxed) == name_of(pin) || heap_.core_.calls_back();
    }

    static void* take(CpuPart& mine, size_t bytes) {
        if (void* const block = mine.allocate(bytes)) return block;
        if (void* const block = mine.allocate_cell(bytes)) return block;
        return mine.allocate_watched(bytes);
    }
    // As many as are at hand.
    size_t take_some(size_t bytes, Span<void*> blocks) {
        const Pin pin;
        if (!may_wait(pin)) return 0;
        CpuPart& mine = part(pin);
        for (size_t count = 0; count < blocks.size(); ++count) {
            blocks[count] = take(mine, bytes);
            if (blocks[count] == nullptr) return count;
        }
        return blocks.size();
    }
    // As many, from the front, as there is room for at hand.
    size_t put_some(Span<void* const> blocks) {
        const Pin pin;
        CpuPart& mine = part(pin);
        size_t count = 0;
        while (count < blocks.size() &&
               (mine.free(blocks[count]) || mine.free_watched(blocks[count])))
            ++count;
        return count;
    }
    void undo_batch(Span<void*> blocks, size_t count) {
        free_batch(blocks.first(count));
        for (void*& block : blocks)
            block = nullptr;
    }
    // With this CPU's part and the heap's lock, at once. False when others have the lock.
    template <class Operation>
    bool attempt(const Pin& pin, Operation operation) {
        if (!heap_.lock_.try_lock()) return false;
        heap_.core_.close_pages();
        operation(part(pin), heap_.core_);
        heap_.core_.open_pages();
        heap_.lock_.unlock();
        return true;
    }
    // With both, when they can be had together. False, and nothing happened, where that must not be
    // waited for.
    template <class Operation>
    bool pinned_with_lock(Operation operation) {
        for (;; cpu_relax()) {
            const Pin pin;
            if (is_inside(pin) || !may_wait(pin)) return false;
            if (attempt(pin, operation)) return true;
        }
    }
    // With the lock alone, and with pages.
    template <class T, class Operation>
    Result<T> in_own_time(size_t bytes, Operation operation) {
        if (!in_thread()) return Failure{Error::busy, bytes};
        const LockGuard guard(heap_.lock_);
        enter();
        const Result<T> result = operation(heap_.core_);
        leave();
        return result;
    }
    void enter() {
        const Pin pin;
        heap_.holder_.store(name_of(pin), MemoryOrder::relaxed);
    }
    void leave() { heap_.holder_.store(0, MemoryOrder::relaxed); }

    // What was put off.
    [[gnu::noinline]] void settle() {
        const LockGuard guard(heap_.lock_);
        enter();
        heap_.trim_if_wanted();
        heap_.core_.settle();
        leave();
    }
    // Whatever this CPU is behind with. The first failure of a queued free, whose block is
    // `misused`.
    void catch_up(CpuPart& mine, Core& core, Status& failed, void*& misused) {
        const uint32_t trims = heap_.trims_wanted_.load(MemoryOrder::relaxed);
        if (mine.trims_done != trims) core.drain(mine);
        mine.trims_done = trims;
        while (mine.deferred_count != 0 && failed.ok()) {
            misused = mine.deferred[--mine.deferred_count];
            failed = core.free_for(mine, misused);
        }
    }
    bool owes() const {
        return heap_.core_.owes() ||
               heap_.trims_wanted_.load(MemoryOrder::relaxed) != heap_.trims_done_;
    }

    [[gnu::noinline]] Result<void*> allocate_slowly(size_t bytes, size_t alignment, Fill fill) {
        Result<void*> block = Failure{Error::busy, bytes};
        unsigned lane = 0;
        catch_up_and([&](CpuPart& mine, Core& core) {
            block = core.is_turn_of_sample(mine)
                        ? Result<void*>(Error::out_of_memory)
                        : core.try_allocate_for(mine, bytes, alignment, fill);
            lane = mine.lane();
        });
        if (block.ok() || block.error() != Error::out_of_memory) return block;
        const auto allocate = [=](Core& core) {
            core.settle();
            return core.allocate_aligned(
                bytes, alignment == 0 ? core.natural_alignment(bytes) : alignment, fill, lane);
        };
        block = in_own_time<void*>(bytes, allocate);
        if (block.ok() || block.error() != Error::out_of_memory) return block;
        pinned_with_lock([](CpuPart& mine, Core& core) {
            core.drain(mine);
            core.drain_depot();
        });
        return in_own_time<void*>(bytes, allocate);
    }
    [[gnu::noinline]] Result<void*> try_allocate(size_t bytes, size_t alignment, Fill fill) {
        const Pin pin;
        void* const at_hand =
            alignment <= heap_internal::granule ? take(part(pin), bytes) : nullptr;
        if (at_hand != nullptr) {
            if (fill == Fill::zero) __builtin_memset(at_hand, 0, bytes);
            return at_hand;
        }
        Result<void*> block = Failure{Error::busy, bytes};
        if (is_inside(pin)) return block;
        attempt(pin, [&](CpuPart& mine, Core& core) {
            block = core.try_allocate_for(mine, bytes, alignment, fill);
            if (!block.ok() && block.error() == Error::out_of_memory)
                block = core.try_allocate_of_others(bytes, alignment, fill);
        });
        return block;
    }
    [[gnu::noinline]] Status free_slowly(void* block, size_t bytes, size_t alignment) {
        if (block == nullptr) return {};
        Status freed;
        const auto free = [&](CpuPart& mine, Core& core) {
            freed = bytes == unsized ? core.free_for(mine, block)
                                     : core.free_sized_for(mine, block, bytes, alignment);
        };
        if (catch_up_and(free)) return freed;
        const Pin pin;
        if (!is_inside(pin) && attempt(pin, free)) return freed;
        return defer(part(pin), block);
    }
    static Status defer(CpuPart& mine, void* block) {
        const bool full = mine.deferred_count == CpuPart::most_deferred;
        if (full) return Failure{Error::too_many, reinterpret_cast<uintptr_t>(block)};
        mine.deferred[mine.deferred_count++] = block;
        return {};
    }
    // The operation, after all that this CPU is behind with; then what the heap is behind with.
    // False, and nothing happened, where that must not be waited for.
    template <class Operation>
    bool catch_up_and(Operation operation) {
        Status failed;
        void* misused = nullptr;
        bool behind = false;
        const bool done = pinned_with_lock([&](CpuPart& mine, Core& core) {
            catch_up(mine, core, failed, misused);
            if (failed.ok()) operation(mine, core);
            behind = owes();
        });
        if (!failed.ok()) report(misused, 0, failed.failure());
        if (behind) settle();
        return done;
    }

    [[noreturn, gnu::noinline]] void report(const void* block, size_t bytes,
                                            const Failure& failure) {
        heap_.report_misuse(block, bytes, failure);
    }

    BackHeap& heap_;
    Span<Slot> slots_;
};

}  // namespace quire
