// SPDX-License-Identifier: MIT
// The kernel heap: objects of any size, on pages from a PageSource.
//
// Small blocks come from spans, runs of pages carved into equal cells; large ones are page ranges
// of their own with a guard page behind. It grows when it must and gives empty spans back. What it
// knows of a block lies apart from the block, so that a bad pointer is recognised without reading
// a byte that the user could have written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/lock.hpp"
#include "quire/base/result.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/platform.hpp"

namespace quire {

struct HeapOptions {
    // Address space that small blocks may take; reserved at start, committed as the heap grows.
    size_t arena_bytes = size_t{64} << 20;
    // Bytes of empty spans kept for reuse before pages are given back.
    size_t cached_bytes = size_t{256} << 10;
};

struct HeapCounters {
    size_t live_blocks;      // given out and not freed
    size_t live_bytes;       // what was asked for
    size_t usable_bytes;     // what was given (size classes round up)
    size_t committed_bytes;  // taken from the page source, bookkeeping included
    size_t peak_committed_bytes;
    uint64_t allocations;  // since start
    uint64_t frees;
};

// (BasicHeap<Lock> below is what kernels use; the core is compiled.)
// Misuse (a block freed twice, a foreign or interior pointer, an overrun found at free, a wrong
// size given to a sized free) changes nothing: `try_free` returns it as an error; `free` makes a
// Report and calls Platform::panic.
template <Lockable L>
class BasicHeap {
  public:
    BasicHeap() = default;
    // Reserves the arena. Errors: as PageSource::reserve and commit; bad_argument when started.
    Status start(PageSource& pages, Platform& platform, const HeapOptions& options = {});
    // Gives every page back; blocks still live are lost. The heap can be started again.
    void stop();

    // At least `bytes` bytes, aligned for any scalar (2 * sizeof(void*)), powers of two up to a
    // page naturally. A request of zero gets a unique block. Errors: out_of_memory.
    Result<void*> allocate(size_t bytes);
    // `alignment`: a power of two; bad_argument otherwise.
    Result<void*> allocate_aligned(size_t bytes, size_t alignment);
    Result<void*> allocate_zeroed(size_t bytes);
    // Changes a block's size, keeping its contents up to the smaller size; may move it. Null means
    // allocate. On failure the block is as before.
    Result<void*> reallocate(void* block, size_t bytes);
    // Null is ignored by all frees.
    void free(void* block);
    void free_sized(void* block, size_t bytes);
    // Errors, nothing changed: already_free, foreign, misaligned (inside a block), corrupted (the
    // bytes behind the block were overwritten), bad_argument (another size).
    Status try_free(void* block);
    Status try_free_sized(void* block, size_t bytes);

    // Bytes that can be used, at least as many as asked for. Errors: foreign, already_free.
    Result<size_t> usable_size(const void* block) const;
    // Gives all empty spans back. Returns the bytes given back.
    size_t trim();
    HeapCounters counters() const;
    Status validate() const;  // error: corrupted. O(heap)
};

using Heap = BasicHeap<SpinLock>;

}  // namespace quire
