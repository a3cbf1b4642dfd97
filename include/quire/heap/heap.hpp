// SPDX-License-Identifier: MIT
// The kernel heap: objects of any size, on pages from a PageSource.
//
// Small blocks come from spans, runs of pages carved into equal cells; large ones (over 32 KiB, or
// over 1 MiB with OverrunCheck::none) are page ranges of their own with a guard page behind. It
// grows when it must and gives empty spans back. What it knows of a block lies apart from the
// block, so that a bad pointer is recognised without reading a byte that the user could have
// written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/cpu_local.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/result.hpp"
#include "quire/heap/heap_core.hpp"
#include "quire/heap/heap_types.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/platform.hpp"

namespace quire {

// (Heap below is what most kernels use; the core is compiled.)
//
// Each function takes the lock L for as long as it runs, calls of the page source included. Whoever
// comes back from there to the same heap does not wait for himself, as far as Platform::caller
// tells who it is: he is refused with busy, or nothing is done; a free that cannot say so is
// reported. A small allocation or free is O(1) unless a span is made or given back, which is a few
// calls of the page source; a large one is a few such calls and O(log n) in the number of large
// blocks.
//
// Misuse (a block freed twice, a foreign or interior pointer, an overrun found at free, a wrong
// size given to a sized free) changes nothing: `try_free` returns it as an error; `free` makes a
// Report and calls Platform::panic, without the lock. A free that comes after the block's pages
// were given back is still recognised as a second one, until other blocks lie there.
//
// A heap that is called from interrupt or fault handlers, or whose page source frees, needs a
// PerCpuHeap in front, which queues what it cannot do.
//
// When pages run out, the heap gives its cached empty spans back and tries again, and last takes a
// larger cell than the request needs; what then fails with out_of_memory has changed nothing else.
template <class BackHeap, CpuPolicy Cpus>
class PerCpuHeap;

template <Lockable L>
class BasicHeap {
    using Fill = heap_internal::Fill;

  public:
    // Needs no constructor at run time, and no destructor, so that a kernel can have it in static
    // storage: call `stop` where a heap ends before its kernel.
    constexpr BasicHeap() = default;
    BasicHeap(const BasicHeap&) = delete;
    BasicHeap& operator=(const BasicHeap&) = delete;

    // Reserves the arena, and commits a page or two; both objects must outlive the heap. Errors:
    // as PageSource::reserve and commit; bad_argument when started or for an arena of no bytes;
    // nothing changed.
    Status start(PageSource& pages, Platform& platform, const HeapOptions& options = {}) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy};
        return core_.start(pages, platform, options);
    }
    // Gives every page back; blocks still live are lost. The heap can be started again. Nothing
    // for a heap that is not started.
    void stop() {
        const Entry entry(*this);
        if (entry.ok()) core_.stop();
    }

    // At least `bytes` bytes, aligned for any scalar (2 * sizeof(void*)). A request of one to four
    // whole pages is page-aligned; with OverrunCheck::where_slack, powers of two up to a page are
    // naturally aligned (with every_block, ask allocate_aligned for that). A request of zero gets a
    // unique block. Errors: out_of_memory; bad_argument when the heap is not started; with
    // poison_freed, corrupted when the block that was next was written to while it was free (the
    // failure says where; that block is given to nobody).
    Result<void*> allocate(size_t bytes) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        trim_if_wanted();
        return core_.allocate(bytes, Fill::none);
    }
    // `alignment`: a power of two, of any size; bad_argument otherwise. Beyond a page, the block
    // takes a page range of its own.
    Result<void*> allocate_aligned(size_t bytes, size_t alignment) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        trim_if_wanted();
        return core_.allocate_aligned(bytes, alignment, Fill::none);
    }
    Result<void*> allocate_zeroed(size_t bytes) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        trim_if_wanted();
        return core_.allocate(bytes, Fill::zero);
    }
    // Changes a block's size, keeping its contents up to the smaller size; may move it. Null means
    // allocate; a size of zero leaves a unique block. A block that moves is aligned as `allocate`
    // aligns. A large block grows and shrinks by pages in place where it can, and is given room to
    // grow further when it cannot; with OverrunCheck::none, so is a smaller one that has grown
    // before. On failure (out_of_memory, or misuse as with try_free) the block is as before; making
    // a block smaller never fails for want of memory.
    Result<void*> reallocate(void* block, size_t bytes) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        return block == nullptr ? core_.allocate(bytes, Fill::none)
                                : core_.reallocate(block, bytes);
    }

    // Null is ignored by all frees.
    void free(void* block) {
        const Status status = try_free(block);
        if (!status.ok()) report_misuse(block, 0, status.failure());
    }
    // `bytes` and `alignment` must be what was last asked for.
    void free_sized(void* block, size_t bytes, size_t alignment = 1) {
        const Status status = try_free_sized(block, bytes, alignment);
        if (!status.ok()) report_misuse(block, bytes, status.failure());
    }
    // Errors, nothing changed: already_free, foreign, misaligned (inside a block), corrupted (the
    // bytes behind the block were overwritten; the failure says where), bad_argument (another
    // size). As PageSource::release when a large block's range cannot be given back.
    Status try_free(void* block) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, reinterpret_cast<uintptr_t>(block)};
        trim_if_wanted();
        return core_.free(block);
    }
    Status try_free_sized(void* block, size_t bytes, size_t alignment = 1) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, reinterpret_cast<uintptr_t>(block)};
        return core_.free_sized(block, bytes, alignment);
    }

    // Bytes that can be used: those that were asked for, since the ones behind them are watched.
    // Errors: foreign, already_free, misaligned.
    Result<size_t> usable_size(const void* block) const {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, reinterpret_cast<uintptr_t>(block)};
        return core_.usable_size(block);
    }
    // Gives all empty spans back, and further arenas in which nothing is left. Returns the bytes
    // given back. O(empty spans).
    size_t trim() {
        const Entry entry(*this);
        if (!entry.ok()) return 0;
        return core_.trim();
    }
    // Gives back what has been kept for reuse, and not wanted, since before the last call of this:
    // for a timer or an idle loop, whose period is then how long memory may lie unused at least,
    // and less than twice that at most. How many bytes went back. O(what goes back).
    size_t age() {
        const Entry entry(*this);
        if (!entry.ok()) return 0;
        return core_.age();
    }
    // Has the heap trim itself at the next call that gets to it, since memory is scarce: for hooks
    // that must not wait. Any context, with any lock held. O(1).
    void request_trim() { trims_wanted_.fetch_add(1, MemoryOrder::relaxed); }
    HeapCounters counters() const {
        const Entry entry(*this);
        return core_.counters();
    }
    // Shows every live block, until `visit` says false: small ones by address in each arena, then
    // the large ones by address. `visit` must not call the heap. What lies with CPUs is not shown.
    // O(heap).
    void for_each_block(FunctionRef<bool(const LiveBlock&)> visit) const {
        const Entry entry(*this);
        if (entry.ok()) core_.for_each_block(visit);
    }
    // Checks all bookkeeping and the bytes behind every block. Error: corrupted, with the address.
    // O(heap).
    Status validate() const {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy};
        return core_.validate();
    }

    // For those who keep blocks at hand (per_cpu_heap.hpp): what their fast paths did not do. The
    // caller owns `cpu`, and nobody else touches it meanwhile.
    Result<void*> allocate_for(heap_internal::CpuBlocks& cpu, size_t bytes, Fill fill) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        void* const kept = fill == Fill::none ? core_.allocate_kept(bytes) : nullptr;
        if (kept != nullptr) return kept;
        return core_.allocate_for(cpu, bytes, core_.natural_alignment(bytes), fill);
    }
    Result<void*> allocate_aligned_for(heap_internal::CpuBlocks& cpu, size_t bytes,
                                       size_t alignment, Fill fill) {
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, bytes};
        return core_.allocate_for(cpu, bytes, alignment, fill);
    }
    void free_for(heap_internal::CpuBlocks& cpu, void* block) {
        const Status status = try_free_for(cpu, block);
        if (!status.ok()) report_misuse(block, 0, status.failure());
    }
    void free_sized_for(heap_internal::CpuBlocks& cpu, void* block, size_t bytes,
                        size_t alignment) {
        const Status status = try_free_sized_for(cpu, block, bytes, alignment);
        if (!status.ok()) report_misuse(block, bytes, status.failure());
    }
    // Reports what allocate found: a block that was written to after it was freed.
    [[noreturn]] void report_written_after_free(const Failure& failure) const {
        panic(core_.explain(nullptr, 0, failure));
    }
    // What to say of a free of `block` that failed so; see Report.
    Report explain(const void* block, const Failure& failure) const {
        return explain(block, 0, failure);
    }
    // Reports what validate found overwritten.
    [[noreturn]] void report_corrupted(const Failure& failure) {
        lock_.lock();
        const Report report = core_.explain_corrupted(failure);
        lock_.unlock();
        panic(report);
    }
    // What to say of an access that faulted at `address`: for fault handlers that find no other
    // reason. Error: foreign, when it hit no guard of the heap's and no sampled block that was
    // freed; busy when somebody has the lock, which is not waited for.
    Result<Report> explain_fault(uint64_t address) const
        requires requires(L& lock) { lock.try_lock(); }
    {
        if (!lock_.try_lock()) return Failure{Error::busy, address};
        const Result<Report> report = core_.explain_fault(address);
        lock_.unlock();
        return report;
    }
    // For a process that is about to be copied: the copy must not find the lock taken.
    void lock_for_fork() { lock_.lock(); }
    void unlock_after_fork() { lock_.unlock(); }
    Status try_free_for(heap_internal::CpuBlocks& cpu, void* block) {
        if (block == nullptr) return {};
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, reinterpret_cast<uintptr_t>(block)};
        if (core_.free_to_kept(block)) return {};
        return core_.free_for(cpu, block);
    }
    Status try_free_sized_for(heap_internal::CpuBlocks& cpu, void* block, size_t bytes,
                              size_t alignment) {
        if (block == nullptr) return {};
        const Entry entry(*this);
        if (!entry.ok()) return Failure{Error::busy, reinterpret_cast<uintptr_t>(block)};
        return core_.free_sized_for(cpu, block, bytes, alignment);
    }
    void drain(heap_internal::CpuBlocks& cpu) {
        const Entry entry(*this);
        if (entry.ok()) core_.drain(cpu);
    }
    size_t age_for(heap_internal::CpuBlocks& cpu) {
        const Entry entry(*this);
        if (!entry.ok()) return 0;
        core_.age(cpu);
        return core_.age();
    }
    size_t trim_for(heap_internal::CpuBlocks& cpu) {
        const Entry entry(*this);
        if (!entry.ok()) return 0;
        core_.drain(cpu);
        return core_.trim();
    }
    void discount(const heap_internal::CpuBlocks& cpu, HeapCounters& counters) const {
        const heap_internal::AtHand here = core_.at_hand(cpu);
        counters.live_blocks -= here.blocks;
        counters.live_bytes -= here.bytes + here.slack;
        counters.usable_bytes -= here.bytes;
    }
    // Cells that two CPUs freed at the same moment. O(1).
    size_t late_refusals() const {
        const Entry entry(*this);
        return core_.late_refusals();
    }

    // Hands a report to the platform, and does not return. For adapters over this heap.
    [[noreturn]] void panic(const Report& report) const {
        if (core_.platform() != nullptr) core_.platform()->panic(report);
        trap();
    }

  private:
    template <class BackHeap, CpuPolicy Cpus>
    friend class PerCpuHeap;

    // The lock; without it, and not ok, for whoever is called by the page source.
    class [[nodiscard]] Entry {
      public:
        explicit Entry(const BasicHeap& heap) : heap_(heap), entered_(!heap.core_.calls_back()) {
            if (entered_) heap_.lock_.lock();
        }
        ~Entry() {
            if (entered_) heap_.lock_.unlock();
        }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        bool ok() const { return entered_; }

      private:
        const BasicHeap& heap_;
        bool entered_;
    };

    // Under the lock.
    void trim_if_wanted() {
        if (trims_wanted_.load(MemoryOrder::relaxed) != trims_done_) trim_as_wanted();
    }
    [[gnu::noinline]] void trim_as_wanted() {
        trims_done_ = trims_wanted_.load(MemoryOrder::relaxed);
        core_.trim();
    }
    Report explain(const void* block, size_t bytes, const Failure& failure) const {
        const bool refused = failure.error == Error::busy || failure.error == Error::too_many;
        if (refused) return heap_internal::HeapCore::explain_refused(block, failure);
        const Entry entry(*this);
        return core_.explain(block, bytes, failure);
    }
    // Kept out of line, so that a report takes no stack of frees that are right.
    [[noreturn, gnu::noinline]] void report_misuse(const void* block, size_t bytes,
                                                   const Failure& failure) const {
        panic(explain(block, bytes, failure));
    }

    mutable L lock_;
    heap_internal::HeapCore core_;
    Atomic<uint32_t> trims_wanted_{0};
    uint32_t trims_done_ = 0;
    Atomic<uint32_t> holder_{0};  // the CPU, from 1, that a PerCpuHeap holds the lock for
};

using Heap = BasicHeap<SpinLock>;

}  // namespace quire
