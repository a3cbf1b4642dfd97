// SPDX-License-Identifier: MIT
// The heap's large blocks: a page range each, with a guard behind.
#include "quire/base/traits.hpp"
#include "quire/heap/canary.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

constexpr size_t pages_bytes(size_t bytes) {
    return round_up_to_pages(bytes == 0 ? 1 : bytes);
}

}  // namespace

// Null when no arena has room for a record.
MetadataStore* HeapCore::store_with_room() {
    for (Arena& arena : arenas())
        if (arena.store().has_room(large_record_shift)) return &arena.store();
    return nullptr;
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
    pages_.release(base, reserved, committed);
}

// There must be room for its record. Null when the page source fails.
LargeBlock* HeapCore::create_large(size_t bytes, size_t alignment, size_t headroom) {
    const size_t committed = pages_bytes(bytes);
    const size_t reserved = committed + page_size + headroom;
    unsigned char* const base = pages_.reserve(reserved, max(alignment, page_size));
    if (base == nullptr) return nullptr;
    if (!pages_.commit(base, committed)) {
        undo_reserve_large(base, reserved, 0);
        return nullptr;
    }
    unsigned char* const record = store_with_room()->allocate(pages_, large_record_shift);
    if (record == nullptr) {
        undo_reserve_large(base, reserved, committed);
        return nullptr;
    }
    return construct_at(reinterpret_cast<LargeBlock*>(record),
                        LargeBlock{nullptr, nullptr, base, bytes, committed, reserved});
}

// As create_large; makes room for the record, and does without headroom and empty spans if it must.
LargeBlock* HeapCore::find_large(size_t bytes, size_t alignment, size_t headroom) {
    bool further_arena = false;
    while (store_with_room() == nullptr && !further_arena) {
        further_arena = add_arena();
        // What goes back then may leave room for a record, or pages for an arena.
        if (!further_arena && !give_back_empty_spans()) return nullptr;
    }
    LargeBlock* large = create_large(bytes, alignment, headroom);
    if (large == nullptr && headroom != 0) large = create_large(bytes, alignment, 0);
    if (large == nullptr && give_back_empty_spans()) large = create_large(bytes, alignment, 0);
    if (large == nullptr && further_arena) {
        undo_add_arena();
    }
    return large;
}

[[gnu::always_inline]] inline void* HeapCore::give_out(LargeBlock& large, size_t bytes) {
    large.requested = bytes;
    large_.insert(large);
    const size_t kept = kept_bytes(bytes, large.committed);
    write_canary(large.base, kept, large.committed);
    ++allocations_;
    use_.add(kept, large.committed);
    return large.base;
}

// One that was kept; null when there is none of the size.
void* HeapCore::take_kept(size_t bytes) {
    LargeBlock* const large = kept_.take(pages_bytes(bytes));
    fresh_ = large == nullptr;
    return large == nullptr ? nullptr : give_out(*large, bytes);
}

// Null when out of memory.
void* HeapCore::allocate_large(size_t bytes, size_t alignment, size_t headroom) {
    if (bytes > SIZE_MAX / 2) return nullptr;
    const bool any = alignment <= page_size && headroom == 0;
    if (any) {
        if (void* const kept = take_kept(bytes)) return kept;
    }
    fresh_ = true;
    give_back_for_growth();
    LargeBlock* const large = find_large(bytes, alignment, headroom);
    return large == nullptr ? nullptr : give_out(*large, bytes);
}

// False when there is nothing, or the page source refuses.
bool HeapCore::give_back_kept() {
    LargeBlock* const oldest = kept_.oldest();
    if (oldest == nullptr) return false;
    if (!pages_.release(oldest->base, oldest->reserved, oldest->committed)) return false;
    kept_.drop_oldest();
    free_large_record(*oldest);
    return true;
}

void HeapCore::remember_freed(const void* base) {
    freed_large_[next_remembered_] = base;
    next_remembered_ = (next_remembered_ + 1) % remembered_frees;
}

// A live block becomes one that is not, and that nothing of the page source's was done about yet.
void HeapCore::take_back(LargeBlock& large) {
    large_.remove(large);
    remember_freed(large.base);
    ++frees_;
    use_.remove(kept_bytes(large.requested, large.committed), large.committed);
}

// The range waits for the next block; there must be room.
void HeapCore::keep_large(LargeBlock& large) {
    take_back(large);
    large.freed_at = tick_;
    kept_.put(large);
    while (kept_.exceeds(options_.cached_bytes) && give_back_kept()) {
    }
}

// Flat, since a page source has a long way to go below.
[[gnu::flatten]] Status HeapCore::free_large(const Block& block) {
    LargeBlock& large = *block.large;
    if (may_keep(large)) {
        keep_large(large);
        return {};
    }
    const bool later = pages_.closed();
    if (!later && !pages_.release(large.base, large.reserved, large.committed)) {
        return pages_.failure();
    }
    take_back(large);
    later ? retire(large) : free_large_record(large);
    return {};
}

// In place. False, and nothing changed, when it does not fit its reservation or pages run out;
// never for a size that its pages hold already.
bool HeapCore::resize_large(const Block& block, size_t bytes) {
    LargeBlock& large = *block.large;
    if (bytes > large.reserved - page_size) return false;
    const size_t committed = pages_bytes(bytes);
    if (committed > large.committed) {
        unsigned char* const end = large.base + large.committed;
        if (!pages_.commit(end, committed - large.committed)) return false;
        large.committed = committed;
    } else if (committed < large.committed) {
        const size_t surplus = large.committed - committed;
        // When the source refuses, the pages stay with the block.
        if (pages_.decommit(large.base + committed, surplus, surplus)) large.committed = committed;
    }
    note_resized(large, block.capacity, bytes);
    return true;
}

// The block's pages are as many as they should be, and were `had_committed`.
void HeapCore::note_resized(LargeBlock& large, size_t had_committed, size_t bytes) {
    use_.usable_bytes += large.committed - had_committed;
    const size_t had = kept_bytes(large.requested, had_committed);
    const size_t kept = kept_bytes(bytes, large.committed);
    if (kept < had) {
        shred(Block{large.base, nullptr, &large, nullptr, 0, min(had, large.committed), 0}, kept);
    }
    large.requested = bytes;
    use_.live_bytes += kept - had;
    write_canary(large.base, kept, large.committed);
}

// With its pages to where there is more address space. Null, and nothing changed, when that is no
// large block, or the page source cannot.
void* HeapCore::move_large(const void* block, size_t bytes, size_t headroom) {
    LargeBlock* const large = large_.find(block);
    if (large == nullptr) return nullptr;
    const PageSource::Extent from{large->reserved, large->committed};
    PageSource::Extent to{pages_bytes(bytes) + page_size + headroom, pages_bytes(bytes)};
    unsigned char* base = pages_.move(large->base, from, to);
    if (base == nullptr && headroom != 0) {
        to.reserved_bytes -= headroom;
        base = pages_.move(large->base, from, to);
    }
    if (base == nullptr) return nullptr;
    large_.remove(*large);
    remember_freed(large->base);
    large->base = base;
    large->reserved = to.reserved_bytes;
    large->committed = to.committed_bytes;
    large_.insert(*large);
    note_resized(*large, from.committed_bytes, bytes);
    ++allocations_;
    ++frees_;
    return base;
}

}  // namespace quire::heap_internal
