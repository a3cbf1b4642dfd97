// SPDX-License-Identifier: MIT
// What a heap is told at its start, and what it counts.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire {

// Which blocks have bytes behind them that betray an overrun when the block is freed.
enum class OverrunCheck : uint8_t {
    // All of them: a request takes the class of one byte more. Requests of one to four whole pages
    // get a page without memory behind them instead, so that an overrun faults at once. Over
    // random sizes this costs 0.2 % of memory; over powers of two an eighth from 128 bytes up, and
    // more below. A plain request of a power of two below a page is aligned to a granule only.
    every_block,
    // Those whose class is larger than the request. A power of two up to a page is then a cell of
    // its own size, naturally aligned.
    where_slack,
    // None. A block is as large as its cell; of what was asked for, a byte tells a sized free what
    // it must know (see cell_state.hpp). Blocks of up to 1 MiB have no guard behind them (of arenas
    // of 16 MiB and more). The fastest.
    none,
};

struct HeapOptions {
    // Address space that small blocks may take; reserved at start, committed as the heap grows.
    // Rounded up to 64 KiB. When it is full, further arenas follow, at most 16 in all.
    size_t arena_bytes = size_t{64} << 20;
    // Bytes of empty spans kept for reuse before pages are given back. Before the heap takes more
    // pages, all but a mebibyte of them go back, or but a 32nd of what is in use where that is
    // more.
    size_t cached_bytes = size_t{256} << 10;
    OverrunCheck overrun_check = OverrunCheck::every_block;
    // With every_block: requests of whole pages get a page behind them that faults, where the page
    // source lets it; otherwise they are watched as all others are.
    bool guard_pages = true;
    // Freed blocks are filled with a pattern, so that what they held is gone, and looked at before
    // they are given out again, so that a write to one is found. Costs time by the size of blocks.
    bool poison_freed = false;
    // Freed cells wait, 64 at a time and of a 64th of so many bytes at most; each free lets a
    // random one of them go. So a block is not soon given out again, and nobody can tell when. Such
    // a heap keeps nothing at hand with its CPUs. 0: none wait.
    size_t quarantine_bytes = 0;
    // Which of a span's free cells is next is random, so that what lies behind a block cannot be
    // foretold. Such a heap keeps nothing at hand either.
    bool random_placement = false;
    // One in so many allocations of up to a page, at random, gets a page of its own between two
    // that fault, and gives it back when it is freed: for finding rare mistakes in the field. What
    // a CPU finds at hand does not count. Takes 65 pages of address space. 0: none.
    uint32_t sample_interval = 0;
    // Where its random numbers begin; the same ones follow from the same seed and addresses.
    uint64_t seed = 0;
};

// A live block, as a walk shows it.
struct LiveBlock {
    void* address;
    size_t bytes;  // asked for; with OverrunCheck::none, what it can hold
};

struct HeapCounters {
    size_t live_blocks;      // given out and not freed
    size_t live_bytes;       // what was asked for
    size_t usable_bytes;     // what was given (size classes round up)
    size_t committed_bytes;  // taken from the page source, bookkeeping included
    size_t peak_committed_bytes;
    uint64_t allocations;  // since start; a block that `reallocate` moves counts in both
    uint64_t frees;
    size_t reserved_bytes;     // address space taken from the page source
    size_t bookkeeping_bytes;  // the part of committed_bytes that no block can have
    size_t cached_bytes;       // the part that empty spans keep
    size_t large_blocks;       // live blocks with a page range of their own
};

}  // namespace quire
