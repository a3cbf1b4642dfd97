// SPDX-License-Identifier: MIT
#include "process_heap.hpp"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#include "host_pages.hpp"
#include "quire/base/text.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/heap.hpp"

namespace quire::hosted {

constinit thread_local heap_internal::CpuBlocks blocks_at_hand;

namespace {

// Threads outnumber CPUs here, so who waits sleeps. A process's only thread needs no lock: the two
// locked instructions of one are most of a call that takes the slow path. No thread begins or ends
// in a call of the heap, but a child that was forked meanwhile has become alone.
class ThreadLock {
  public:
    void lock() {
        if (__libc_single_threaded) {
            alone_ = true;
        } else {
            pthread_mutex_lock(&mutex_);
        }
    }
    // False as well in a handler of a lone thread that is inside.
    bool try_lock() {
        if (alone_) return false;
        alone_ = __libc_single_threaded;
        return alone_ || pthread_mutex_trylock(&mutex_) == 0;
    }
    void unlock() {
        if (alone_) {
            alone_ = false;
        } else {
            pthread_mutex_unlock(&mutex_);
        }
    }

  private:
    pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
    bool alone_ = false;  // a lone thread is inside
};

// Set while this thread has asked to be told of its end.
thread_local bool introduced = false;

class ProcessPlatform final : public Platform {
  public:
    uintptr_t caller() const override { return reinterpret_cast<uintptr_t>(&introduced); }
    [[noreturn]] void panic(const Report& report) override {
        char buffer[512];
        TextWriter text(buffer);
        write(text, report);
        text.put('\n');
        [[maybe_unused]] const ssize_t written = ::write(2, text.text(), text.length());
        abort();
    }
};

using heap_internal::largest_cell;
using ProcessHeap = BasicHeap<ThreadLock>;

constinit HostPages pages;
constinit ProcessPlatform platform;
constinit ThreadLock starting;
constinit ProcessHeap heap;
constinit Atomic<bool> started{false};
constinit bool hardened = false;
constinit pthread_key_t at_thread_exit = 0;

constexpr uint32_t usual_sample_interval = 1000;

thread_local unsigned farewells = 0;

// Called again, up to four times, when other destructors of the thread used the heap since.
void leave(void*) {
    heap.drain(blocks_at_hand);
    introduced = false;
    ++farewells;
}

// What stands behind the word in a list whose words '+' parts, and may have '=' and a value; null
// when it is not there.
const char* behind(const char* list, const char* word) {
    const size_t length = strlen(word);
    for (; list != nullptr; list = strchr(list, '+')) {
        if (*list == '+') ++list;
        if (strncmp(list, word, length) == 0 && strchr("+=", list[length]) != nullptr)
            return list + length;
    }
    return nullptr;
}
bool lists(const char* list, const char* word) {
    return behind(list, word) != nullptr;
}

// QUIRE_MALLOC_LEVEL: what is looked out for, in words that '+' parts. Every bad free always is.
//   hardened    slack and poison
//   slack       the bytes behind each block; sizes
//   poison      freed blocks are filled and looked at before they are given out again
//   quarantine  freed blocks wait for a random time
//   random      which block of a size is next is random
//   sample      one allocation in 1000, or in N with sample=N, gets pages of its own
HeapOptions options_of_level() {
    HeapOptions options;
    options.cached_bytes = size_t{16} << 20;
    options.overrun_check = OverrunCheck::none;
    const char* const level = getenv("QUIRE_MALLOC_LEVEL");
    const bool all = lists(level, "hardened");
    if (all || lists(level, "slack")) {
        hardened = true;
        options.overrun_check = OverrunCheck::every_block;
        // A page with a guard is a mapping of its own, of which a process may have so many; what is
        // larger has one.
        options.guard_pages = false;
        pages.guard_small_reservations();
    }
    options.poison_freed = all || lists(level, "poison");
    if (lists(level, "quarantine")) options.quarantine_bytes = size_t{1} << 20;
    options.random_placement = lists(level, "random");
    if (const char* const value = behind(level, "sample")) {
        options.sample_interval = *value == '='
                                      ? static_cast<uint32_t>(strtoul(value + 1, nullptr, 10))
                                      : usual_sample_interval;
        pages.guard_small_reservations();
    }
    options.seed = static_cast<uint64_t>(getpid()) << 20 ^ reinterpret_cast<uintptr_t>(&options);
    return options;
}

// A fault on one of the heap's guards is reported, and ends the process; any other is as it would
// have been without the heap.
struct sigaction before_us;
void explain_fault(int, siginfo_t* fault, void*) {
    const Result<Report> report = heap.explain_fault(reinterpret_cast<uintptr_t>(fault->si_addr));
    if (report.ok()) platform.panic(*report);
    sigaction(SIGSEGV, &before_us, nullptr);
}
void watch_faults() {
    struct sigaction action{};
    action.sa_sigaction = explain_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_us);
}

// The largest arena that the host lets us have, so that all but large blocks lie in one.
void start_heap() {
    const LockGuard guard(starting);
    if (started.load(MemoryOrder::acquire)) return;
    HeapOptions options = options_of_level();
    for (options.arena_bytes = size_t{256} << 30; options.arena_bytes >= size_t{1} << 20;
         options.arena_bytes /= 2) {
        if (heap.start(pages, platform, options).ok()) break;
    }
    pthread_key_create(&at_thread_exit, leave);
    if (options.sample_interval != 0) watch_faults();
    started.store(true, MemoryOrder::release);
}

[[gnu::noinline]] void introduce_now() {
    if (!started.load(MemoryOrder::acquire)) start_heap();
    if (farewells > 3) return;
    introduced = true;
    pthread_setspecific(at_thread_exit, &blocks_at_hand);
}
inline void introduce() {
    if (!introduced) introduce_now();
}

// Once a second, as far as threads come here: what nobody wanted for a second goes back.
constexpr unsigned calls_between_looks = 256;
thread_local unsigned calls_since_look = 0;
Atomic<uint32_t> last_tick{0};  // in seconds

[[gnu::noinline]] void look_at_clock() {
    calls_since_look = 0;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    const auto second = static_cast<uint32_t>(now.tv_sec);
    if (last_tick.exchange(second, MemoryOrder::relaxed) != second) heap.age_for(blocks_at_hand);
}
inline void grow_older() {
    if (++calls_since_look >= calls_between_looks) look_at_clock();
}

void* block_or_errno(const Result<void*>& block) {
    if (block.ok()) return *block;
    if (block.error() == Error::corrupted) heap.report_written_after_free(block.failure());
    errno = block.error() == Error::bad_argument ? EINVAL : ENOMEM;
    return nullptr;
}

// A child has the thread alone that forked; what lay with the others is lost to it.
void before_fork() {
    starting.lock();
    heap.lock_for_fork();
}
void after_fork() {
    heap.unlock_after_fork();
    starting.unlock();
}
[[gnu::constructor]] void watch_forks() {
    pthread_atfork(before_fork, after_fork, after_fork);
}
// What was written where nothing may be written, and not found so far.
[[gnu::destructor]] void look_at_everything() {
    if (!hardened) return;
    const Status status = heap.validate();
    if (!status.ok()) heap.report_corrupted(status.failure());
}

}  // namespace

namespace {

// What is not at hand in the main arrays.
[[gnu::noinline]] void* allocate_from_heap(size_t bytes) {
    if (void* const block = blocks_at_hand.allocate_cell(bytes)) return block;
    if (void* const block = blocks_at_hand.allocate_watched(bytes)) return block;
    introduce();
    grow_older();
    return block_or_errno(heap.allocate_for(blocks_at_hand, bytes, heap_internal::Fill::none));
}
[[gnu::noinline]] void free_to_heap(void* block) {
    if (introduced && blocks_at_hand.free_cell(block)) return;
    if (blocks_at_hand.free_watched(block)) return;
    if (block == nullptr) return;
    introduce();
    grow_older();
    heap.free_for(blocks_at_hand, block);
}

}  // namespace

void* allocate_slowly(size_t bytes) {
    if (void* const block = blocks_at_hand.allocate_poisoned(bytes)) return block;
    return allocate_from_heap(bytes);
}

void* allocate_aligned_slowly(size_t bytes, size_t alignment) {
    introduce();
    return block_or_errno(
        heap.allocate_aligned_for(blocks_at_hand, bytes, alignment, heap_internal::Fill::none));
}

void* allocate_zeroed(size_t bytes) {
    if (void* const block = blocks_at_hand.allocate(bytes)) return memset(block, 0, bytes);
    if (void* const block = blocks_at_hand.allocate_watched(bytes)) return memset(block, 0, bytes);
    introduce();
    return block_or_errno(heap.allocate_for(blocks_at_hand, bytes, heap_internal::Fill::zero));
}

void free_slowly(void* block) {
    if (!blocks_at_hand.free_poisoned(block)) free_to_heap(block);
}

void free_sized_slowly(void* block, size_t bytes, size_t alignment) {
    if (block == nullptr) return;
    introduce();
    heap.free_sized_for(blocks_at_hand, block, bytes, alignment);
}

namespace {

void* reallocate_in_heap(void* block, size_t bytes) {
    introduce();
    const Result<void*> moved = heap.reallocate(block, bytes);
    if (!moved.ok() && moved.error() != Error::out_of_memory) {
        heap.free(block);  // reports what is wrong with it
    }
    return block_or_errno(moved);
}

// Up to this size a block that grows is copied to a cell at hand, whose pages are there, rather
// than let grow into pages that it may have to get.
constexpr size_t largest_copied = 2 * largest_cell;

// A cell for a block that grows from one of so many bytes.
void* allocate_larger(size_t bytes, heap_internal::CpuBlocks::LiveCell from) {
    const size_t room =
        from.resized ? heap_internal::room_to_grow(bytes, heap_internal::largest_medium) : bytes;
    void* const block = allocate(room);
    if (block == nullptr || blocks_at_hand.resize(block, bytes)) return block;
    // It lies where only the heap knows it.
    free(block);
    return allocate(bytes);
}

}  // namespace

void* reallocate_slowly(void* block, size_t bytes) {
    if (block == nullptr) return allocate(bytes);
    const heap_internal::CpuBlocks::LiveCell cell = blocks_at_hand.live_cell(block);
    // Where it may grow in place, or its pages move.
    const bool within_spans = cell.bytes != 0 && bytes <= heap_internal::largest_medium;
    if (!within_spans || (cell.bytes > largest_copied && bytes > largest_copied)) {
        return reallocate_in_heap(block, bytes);
    }
    void* const moved = bytes > cell.bytes ? allocate_larger(bytes, cell) : allocate(bytes);
    if (moved == nullptr) return nullptr;
    memcpy(moved, block, min(bytes, cell.bytes));
    free(block);
    return moved;
}

size_t usable_size(void* block) {
    if (block == nullptr) return 0;
    if (const size_t bytes = blocks_at_hand.live_cell(block).bytes) return bytes;
    introduce();
    const Result<size_t> size = heap.usable_size(block);
    if (!size.ok()) heap.free_for(blocks_at_hand, block);  // which reports it
    return size.value_or(0);
}

bool trim() {
    introduce();
    return heap.trim_for(blocks_at_hand) != 0;
}

Usage usage() {
    introduce();
    HeapCounters counters = heap.counters();
    heap.discount(blocks_at_hand, counters);
    return Usage{counters.usable_bytes, counters.committed_bytes,
                 counters.committed_bytes - counters.usable_bytes, counters.large_blocks};
}

}  // namespace quire::hosted
