// SPDX-License-Identifier: MIT
// The heap's cells, and the spans that they are in.
#include "canary.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

// A new span, in no list yet. In an arena that is there, or in a new one.
Result<SpanRecord*> HeapCore::create_span(unsigned size_class) {
    for (Arena& arena : arenas()) {
        const Result<SpanRecord*> span = arena.create_span(pages_, size_class);
        if (span.ok() || span.error() != Error::out_of_memory) return span;
    }
    const Status added = add_arena();
    if (!added.ok()) return added.failure();
    const Result<SpanRecord*> span = arenas_[arena_count_ - 1].create_span(pages_, size_class);
    if (!span.ok()) {
        undo_add_arena();
    }
    return span;
}

// Puts the span where its number of live cells says. `from_bin`: where it is; no_bin for nowhere.
void HeapCore::refile(SpanRecord& span, unsigned from_bin) {
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
    empty_spans_.push_back(span);
    cached_bytes_ += span.committed_bytes();
}

// False, and no change, when the page source refuses.
bool HeapCore::give_back(SpanRecord& span) {
    const size_t bytes = span.committed_bytes();
    if (!arena_of(span).give_back_span(pages_, span).ok()) return false;
    bins_[span.size_class][span.bin()].remove(span);
    empty_spans_.remove(span);
    cached_bytes_ -= bytes;
    return true;
}

// Whether any was given back.
bool HeapCore::give_back_empty_spans() {
    const size_t before = cached_bytes_;
    while (!empty_spans_.empty() && give_back(*empty_spans_.front())) {
    }
    return cached_bytes_ != before;
}

// Puts memory behind the span's first cell that has none, and ahead of it where there is plenty.
Status HeapCore::commit_cell(SpanRecord& span, unsigned cell) {
    const SizeClass& shape = span.geometry();
    const size_t committed = span.committed_bytes();
    if (shape.guarded) {
        const Status status =
            pages_.commit(span.base + size_t{cell} * shape.stride, shape.cell_bytes);
        if (!status.ok()) return status;
        span.committed_pages =
            static_cast<uint16_t>(span.committed_pages + (shape.cell_bytes >> page_shift));
        return {};
    }
    const size_t needed = round_up_to_pages((size_t{cell} + 1) * shape.stride);
    const size_t all = round_up_to_pages(size_t{shape.cells} * shape.stride);
    size_t wanted = max(needed, min(2 * committed, all));
    Status status = pages_.commit(span.base + committed, wanted - committed);
    if (!status.ok() && wanted != needed) {
        wanted = needed;
        status = pages_.commit(span.base + committed, wanted - committed);
    }
    if (!status.ok()) return status;
    span.committed_pages = static_cast<uint16_t>(wanted >> page_shift);
    return {};
}

namespace {

// Cells get memory in the order of their addresses.
bool has_memory(const SpanRecord& span, unsigned cell) {
    return (size_t{cell} + 1) * span.geometry().cell_bytes <= span.committed_bytes();
}

}  // namespace

// A free cell, with memory behind it, of a span that is there: the lowest of the fullest span.
// Errors: out_of_nodes when all are full, else as PageSource::commit.
Result<HeapCore::Cell> HeapCore::find_cell_in_spans(unsigned size_class) {
    for (unsigned bin = fullness_bins; bin-- > 0;) {
        SpanRecord* span = bins_[size_class][bin].front();
        if (span == nullptr) continue;
        const unsigned cell = span->lowest_free();
        if (!has_memory(*span, cell)) {
            const Status status = commit_cell(*span, cell);
            if (!status.ok()) return status.failure();
        }
        return Cell{span, cell};
    }
    return Failure{Error::out_of_nodes};
}

// A free cell with memory behind it, of a new span when all are full.
Result<HeapCore::Cell> HeapCore::find_cell(unsigned size_class) {
    const Result<Cell> cell = find_cell_in_spans(size_class);
    if (cell.ok() || cell.error() != Error::out_of_nodes) return cell;
    const Result<SpanRecord*> span = create_span(size_class);
    if (!span.ok()) return span.failure();
    return Cell{*span, 0};
}

// When no more pages can be had. O(spans of the class).
Result<HeapCore::Cell> HeapCore::find_cell_with_memory(unsigned size_class) const {
    for (const Bin& bin : bins_[size_class]) {
        for (SpanRecord& span : bin) {
            const unsigned cell = span.lowest_free();
            if (has_memory(span, cell)) return Cell{&span, cell};
        }
    }
    return Failure{Error::out_of_nodes};
}

// The last resort: a larger cell than the request deserves, of spans that are there.
Result<HeapCore::Cell> HeapCore::find_larger_cell(unsigned size_class, size_t alignment) {
    for (unsigned larger = size_class + 1; larger < ordinary_classes; ++larger) {
        if ((size_classes.entries[larger].cell_bytes & (alignment - 1)) != 0) continue;
        Result<Cell> cell = find_cell_with_memory(larger);
        if (!cell.ok()) cell = find_cell_in_spans(larger);
        if (cell.ok()) return cell;
    }
    return Failure{Error::out_of_nodes};
}

Result<void*> HeapCore::allocate_cell(unsigned size_class, size_t bytes, size_t alignment,
                                      LargerCell larger) {
    Result<Cell> found = find_cell(size_class);
    if (!found.ok()) found = find_cell_with_memory(size_class);
    if (!found.ok() && give_back_empty_spans()) found = find_cell(size_class);
    if (!found.ok() && larger == LargerCell::if_need_be) {
        found = find_larger_cell(size_class, alignment);
    }
    if (!found.ok()) return Failure{Error::out_of_memory, bytes};
    SpanRecord& span = *found->span;
    const SizeClass& shape = span.geometry();
    const unsigned from_bin = span.bin_link.linked() ? span.bin() : no_bin;
    span.take(found->index, static_cast<unsigned>(shape.cell_bytes - bytes));
    refile(span, from_bin);
    unsigned char* const block = span.base + size_t{found->index} * shape.stride;
    write_canary(block, bytes, shape.cell_bytes);
    ++live_blocks_;
    ++allocations_;
    live_bytes_ += bytes;
    usable_bytes_ += shape.cell_bytes;
    return static_cast<void*>(block);
}

void HeapCore::free_cell(const Block& block) {
    SpanRecord& span = *block.span;
    const unsigned from_bin = span.full() ? no_bin : span.bin();
    span.put_back(block.cell);
    refile(span, from_bin);
    --live_blocks_;
    ++frees_;
    live_bytes_ -= block.requested;
    usable_bytes_ -= block.capacity;
    while (cached_bytes_ > options_.cached_bytes && give_back(*empty_spans_.front())) {
    }
}

void HeapCore::resize_cell(const Block& block, size_t bytes) {
    block.span->set_slack(block.cell, static_cast<unsigned>(block.capacity - bytes));
    write_canary(block.start, bytes, block.capacity);
    live_bytes_ += bytes - block.requested;
}

}  // namespace quire::heap_internal
