// SPDX-License-Identifier: MIT
// The heap's large blocks: a page range each, with a guard behind.
#include "canary.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

constexpr size_t pages_bytes(size_t bytes) {
    return round_up_to_pages(bytes == 0 ? 1 : bytes);
}

}  // namespace

Result<unsigned char*> HeapCore::allocate_large_record() {
    for (Arena& arena : arenas()) {
        const Result<unsigned char*> record = arena.store().allocate(pages_, large_record_shift);
        if (record.ok() || record.error() != Error::out_of_memory) return record;
    }
    const Status added = add_arena();
    if (!added.ok()) return added.failure();
    const Result<unsigned char*> record =
        arenas_[arena_count_ - 1].store().allocate(pages_, large_record_shift);
    if (!record.ok()) {
        undo_add_arena();
    }
    return record;
}

void HeapCore::free_large_record(LargeBlock& large) {
    for (Arena& arena : arenas()) {
        if (!arena.store().contains(&large)) continue;
        arena.store().free(reinterpret_cast<unsigned char*>(&large), large_record_shift);
        return;
    }
    trap();
}

void HeapCore::undo_reserve_large(unsigned char* base, size_t reserved, size_t committed) {
    static_cast<void>(pages_.release(base, reserved, committed));
}

Result<LargeBlock*> HeapCore::create_large(size_t bytes, size_t alignment, size_t headroom) {
    if (bytes > SIZE_MAX / 2) return Failure{Error::out_of_memory, bytes};
    const size_t committed = pages_bytes(bytes);
    size_t reserved = committed + page_size + headroom;
    Result<unsigned char*> base = pages_.reserve(reserved, max(alignment, page_size));
    if (!base.ok() && headroom != 0) {
        reserved = committed + page_size;
        base = pages_.reserve(reserved, max(alignment, page_size));
    }
    if (!base.ok()) return base.failure();
    const Status status = pages_.commit(*base, committed);
    if (!status.ok()) {
        undo_reserve_large(*base, reserved, 0);
        return status.failure();
    }
    const Result<unsigned char*> record = allocate_large_record();
    if (!record.ok()) {
        undo_reserve_large(*base, reserved, committed);
        return record.failure();
    }
    return construct_at(reinterpret_cast<LargeBlock*>(*record),
                        LargeBlock{nullptr, nullptr, *base, bytes, committed, reserved});
}

Result<void*> HeapCore::allocate_large(size_t bytes, size_t alignment, size_t headroom) {
    Result<LargeBlock*> created = create_large(bytes, alignment, headroom);
    if (!created.ok() && give_back_empty_spans()) {
        created = create_large(bytes, alignment, headroom);
    }
    if (!created.ok()) return Failure{Error::out_of_memory, bytes};
    LargeBlock& large = **created;
    large_.insert(large);
    write_canary(large.base, bytes, large.committed);
    ++live_blocks_;
    ++allocations_;
    live_bytes_ += bytes;
    usable_bytes_ += large.committed;
    return static_cast<void*>(large.base);
}

Status HeapCore::free_large(const Block& block) {
    LargeBlock& large = *block.large;
    const Status status = pages_.release(large.base, large.reserved, large.committed);
    if (!status.ok()) return status;
    large_.remove(large);
    free_large_record(large);
    freed_large_[next_remembered_] = block.start;
    next_remembered_ = (next_remembered_ + 1) % remembered_frees;
    --live_blocks_;
    ++frees_;
    live_bytes_ -= block.requested;
    usable_bytes_ -= block.capacity;
    return {};
}

// In place. Errors: out_of_memory when it does not fit its reservation or pages run out; nothing
// changed. Never fails for a size that its pages hold already.
Status HeapCore::resize_large(const Block& block, size_t bytes) {
    LargeBlock& large = *block.large;
    if (bytes > large.reserved - page_size) return Failure{Error::out_of_memory, bytes};
    const size_t committed = pages_bytes(bytes);
    if (committed > large.committed) {
        const Status status =
            pages_.commit(large.base + large.committed, committed - large.committed);
        if (!status.ok()) return Failure{Error::out_of_memory, bytes};
        large.committed = committed;
    } else if (committed < large.committed) {
        const size_t surplus = large.committed - committed;
        // When the source refuses, the pages stay with the block.
        if (pages_.decommit(large.base + committed, surplus, surplus).ok()) {
            large.committed = committed;
        }
    }
    usable_bytes_ += large.committed - block.capacity;
    live_bytes_ += bytes - block.requested;
    large.requested = bytes;
    write_canary(large.base, bytes, large.committed);
    return {};
}

}  // namespace quire::heap_internal
