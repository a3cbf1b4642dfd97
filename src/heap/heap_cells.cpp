// SPDX-License-Identifier: MIT
// The heap's cells, and the spans that they are in.
#include "quire/base/traits.hpp"
#include "quire/heap/canary.hpp"
#include "quire/heap/heap_core.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

// A new span, in no list yet: in an arena that is there, or in a further one. Null when the page
// source fails.
SpanRecord* HeapCore::create_span(unsigned size_class, unsigned lane) {
    SpanRecord* span = nullptr;
    for (Arena& arena : arenas()) {
        if (!arena.has_room(size_class, watches_slack())) continue;
        span = arena.create_span(pages_, size_class, watches_slack());
        if (span != nullptr) give_to_lane(*span, lane);
        return span;
    }
    if (!add_arena()) return nullptr;
    span = arenas_[arena_count_ - 1].create_span(pages_, size_class, watches_slack());
    if (span == nullptr) {
        undo_add_arena();
        return nullptr;
    }
    give_to_lane(*span, lane);
    return span;
}

// Puts the span where its number of live cells says. `from_bin`: where it is; no_bin for nowhere.
void HeapCore::refile(SpanRecord& span, unsigned from_bin) {
    if (span.full()) span.open = false;
    const unsigned to_bin = span.full() ? no_bin : span.bin();
    const bool was_empty = span.empty_link.linked();
    const bool is_empty = span.used == 0;
    if (from_bin == to_bin && was_empty == is_empty) return;
    if (from_bin != no_bin) bins_[span.size_class][from_bin].remove(span);
    if (to_bin != no_bin) {
        // Empty spans stand last, so that they are used last.
        Bin& bin = bins_[span.size_class][to_bin];
        is_empty ? bin.push_back(span) : bin.push_front(span);
    }
    if (was_empty == is_empty) return;
    if (was_empty) {
        empty_spans_.remove(span);
        cached_bytes_ -= span.committed_bytes();
        return;
    }
    span.empty_since = static_cast<uint8_t>(tick_);
    empty_spans_.push_back(span);
    cached_bytes_ += span.committed_bytes();
}

// False, and no change, when the page source refuses.
bool HeapCore::give_back(SpanRecord& span) {
    Arena& arena = arena_of(span);
    if (!arena.take_memory(pages_, span)) return false;
    bins_[span.size_class][span.bin()].remove(span);
    empty_spans_.remove(span);
    cached_bytes_ -= span.committed_bytes();
    arena.forget_span(span);
    return true;
}

// Whether any was given back.
bool HeapCore::give_back_empty_spans() {
    const size_t before = pages_.committed_bytes();
    while (!empty_spans_.empty() && give_back(*empty_spans_.front())) {
    }
    while (give_back_kept()) {
    }
    return pages_.committed_bytes() != before;
}

// Puts memory behind the span's first cell that has none, and ahead of it where there is plenty.
// False when the page source fails.
bool HeapCore::commit_cell(SpanRecord& span, unsigned cell) {
    const SizeClass& shape = span.geometry();
    const size_t committed = span.committed_bytes();
    // A guarded cell's memory does not follow on that of the cell before.
    size_t from = committed;
    size_t needed = round_up_to_pages((size_t{cell} + 1) * shape.stride);
    size_t wanted =
        max(needed, min(2 * committed, round_up_to_pages(size_t{shape.cells} * shape.stride)));
    if (shape.guarded) {
        from = size_t{cell} * shape.stride;
        needed = wanted = from + shape.cell_bytes;
    }
    bool done = pages_.commit(span.base + from, wanted - from);
    if (!done && wanted != needed) {
        wanted = needed;
        done = pages_.commit(span.base + from, wanted - from);
    }
    if (!done) return false;
    span.committed_pages = static_cast<uint16_t>((committed + wanted - from) >> page_shift);
    return true;
}

// When no more pages can be had: any span whose lowest free cell has memory. O(spans of the class).
SpanRecord* HeapCore::find_span_with_memory(unsigned size_class) {
    for (const Bin& bin : bins_[size_class]) {
        for (SpanRecord& span : bin)
            if (span.has_memory(span.lowest_free())) return &span;
    }
    return nullptr;
}

// The last resort: a larger cell than the request deserves, of a span that is there.
SpanRecord* HeapCore::find_larger_cell(unsigned size_class, size_t alignment) {
    for (unsigned larger = size_class + 1; larger < ordinary_classes; ++larger) {
        if ((size_classes.entries[larger].cell_bytes & (alignment - 1)) != 0) continue;
        SpanRecord* span = find_span_with_memory(larger);
        if (span != nullptr) return span;
        for (unsigned bin = 0; bin < span_bins && span == nullptr; ++bin)
            span = bins_[larger][bin].front();
        if (span != nullptr && commit_cell(*span, span->lowest_free())) return span;
    }
    return nullptr;
}

// Null when out of memory.
void* HeapCore::allocate_cell(unsigned size_class, size_t bytes, size_t alignment,
                              LargerCell larger, unsigned lane) {
    SpanRecord* found = find_span(size_class, lane);
    if (found == nullptr) found = find_span_with_memory(size_class);
    if (found == nullptr && drain_quarantine()) found = find_span(size_class, lane);
    if (found == nullptr && give_back_empty_spans()) found = find_span(size_class, lane);
    if (found == nullptr && larger == LargerCell::if_need_be) {
        found = find_larger_cell(size_class, alignment);
        sizes_vary_ = true;
    }
    return found == nullptr ? nullptr : take_cell(*found, bytes);
}

unsigned HeapCore::cell_to_take(const SpanRecord& span) {
    if (!options_.random_placement) return span.lowest_free();
    const auto with_memory =
        static_cast<unsigned>(span.committed_bytes() / span.geometry().cell_bytes);
    const unsigned limit = min(with_memory, unsigned{span.geometry().cells});
    return span.free_from(random_.below(limit), limit);
}

// One of the span's free cells; the lowest has memory.
void* HeapCore::take_cell(SpanRecord& span, size_t bytes) {
    const SizeClass& shape = span.geometry();
    const unsigned from_bin = span.bin_link.linked() ? span.bin() : no_bin;
    const unsigned cell = cell_to_take(span);
    const size_t kept = kept_bytes(bytes, shape.cell_bytes);
    fresh_ = cell >= span.touched;
    span.take(cell, bytes);
    refile(span, from_bin);
    unsigned char* const block = span.base + size_t{cell} * shape.stride;
    if (options_.poison_freed) broken_ = broken_poison(block, shape.cell_bytes);
    write_canary(block, kept, shape.cell_bytes);
    ++allocations_;
    use_.add(kept, shape.cell_bytes);
    return block;
}

// It counts as live with so many bytes until now.
void HeapCore::put_back_cell(SpanRecord& span, unsigned cell, size_t bytes) {
    const unsigned from_bin = span.full() ? no_bin : span.bin();
    span.put_back(cell);
    refile(span, from_bin);
    use_.remove(bytes, span.geometry().cell_bytes);
}

void HeapCore::give_back_surplus() {
    while (cached_bytes_ > options_.cached_bytes && give_back(*empty_spans_.front())) {
    }
}

// Before the heap takes more pages: what others left is then kept no longer, but for a little.
void HeapCore::give_back_for_growth() {
    const size_t most = max(use_.usable_bytes / 32, least_cached);
    while (cached_bytes_ > most && give_back(*empty_spans_.front())) {
    }
}

// Until its turn comes, it counts as a block of its cell's size.
void HeapCore::quarantine(const Block& block) {
    block.span->keep_waiting(block.cell);
    use_.live_bytes += block.capacity - block.requested;
    const Quarantine::Cell left = quarantine_.exchange({block.span, block.cell}, random_);
    if (left.span == nullptr) return;
    put_back_cell(*left.span, left.cell, left.span->geometry().cell_bytes);
}

// Whether anybody was there.
bool HeapCore::drain_quarantine() {
    const bool any = quarantine_.count() != 0;
    while (quarantine_.count() != 0) {
        const Quarantine::Cell left = quarantine_.take_any();
        put_back_cell(*left.span, left.cell, left.span->geometry().cell_bytes);
    }
    return any;
}

void HeapCore::free_cell(const Block& block) {
    if (options_.poison_freed) poison(block.start, block.capacity);
    ++frees_;
    if (block.capacity <= options_.quarantine_bytes / Quarantine::places) {
        quarantine(block);
    } else {
        put_back_cell(*block.span, block.cell, block.requested);
    }
    give_back_surplus();
}

// What a block that gets smaller loses is not seen when it grows again.
void HeapCore::shred(const Block& block, size_t bytes) {
    if (options_.poison_freed && bytes < block.requested) {
        poison(block.start + bytes, block.requested - bytes);
    }
}

// Takes following slots and pages, or leaves some. False, and nothing changed, when it is no such
// block, would not be one then, or others lie behind it.
bool HeapCore::resize_medium(const Block& block, size_t bytes) {
    const unsigned size_class = class_of(room_for(block, bytes), 1);
    if (size_class == no_class || size_class < first_medium) return false;
    if (!block.span->geometry().medium()) return false;
    if (!arena_of(*block.span).resize_span(pages_, *block.span, size_class)) return false;
    const size_t change = block.span->geometry().cell_bytes - block.capacity;
    use_.usable_bytes += change;
    use_.live_bytes += change;
    return true;
}

void HeapCore::resize_cell(const Block& block, size_t bytes) {
    const size_t kept = kept_bytes(bytes, block.capacity);
    shred(block, kept);
    block.span->set_resized(block.cell, bytes);
    write_canary(block.start, kept, block.capacity);
    use_.live_bytes += kept - block.requested;
}

}  // namespace quire::heap_internal
