// SPDX-License-Identifier: MIT
// Checks that all that the heap knows agrees.
#include "quire/heap/canary.hpp"
#include "quire/heap/heap_core.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

namespace {

Failure corrupted(const void* address) {
    return Failure{Error::corrupted, reinterpret_cast<uintptr_t>(address)};
}

}  // namespace

Status HeapCore::validate_span(const SpanRecord& span, Totals& totals) const {
    const SizeClass& shape = span.geometry();
    if (!span.consistent()) return corrupted(span.base);
    if (size_t{span.touched} * shape.cell_bytes > span.committed_bytes()) {
        return corrupted(span.base);
    }
    if (span.bin_link.linked() == span.full()) return corrupted(span.base);
    if (span.empty_link.linked() != (span.used == 0)) return corrupted(span.base);
    for (unsigned cell = 0; cell < span.touched; ++cell) {
        const unsigned state = span.state(cell);
        const unsigned char* block = span.base + size_t{cell} * shape.stride;
        if (options_.poison_freed && state < cell_live) {
            const unsigned char* written = broken_poison(block, shape.cell_bytes);
            if (written != nullptr) return corrupted(written);
        }
        if (state == cell_free) continue;
        const size_t requested =
            state == cell_cached ? shape.cell_bytes : shape.cell_bytes - span.slack(cell);
        const unsigned char* broken = state == cell_cached
                                          ? nullptr
                                          : broken_beside_owner(block, requested, shape.cell_bytes);
        if (broken != nullptr) return corrupted(broken);
        totals.add(requested, shape.cell_bytes);
    }
    totals.committed_bytes += span.committed_bytes();
    totals.listed_spans += span.full() ? 0 : 1;
    if (span.used == 0) {
        ++totals.empty_spans;
        totals.cached_bytes += span.committed_bytes();
    }
    return {};
}

Status HeapCore::validate_arena(const Arena& arena, Totals& totals) const {
    if (!arena.consistent()) return corrupted(&arena);
    totals.committed_bytes += arena.bookkeeping_bytes();
    for (size_t slot = 0; slot < arena.recorded_slots(); ++slot) {
        const SpanRecord* const span = arena.span_from(slot);
        if (span == nullptr) continue;
        const Status status = validate_span(*span, totals);
        if (!status.ok()) return status;
    }
    return {};
}

Status HeapCore::validate_large(Totals& totals) const {
    if (!large_.consistent()) return corrupted(&large_);
    for (const LargeBlock* large = large_.first(); large != nullptr; large = large_.after(*large)) {
        if (!large->consistent()) return corrupted(large->base);
        const size_t kept = kept_bytes(large->requested, large->committed);
        const unsigned char* broken = broken_beside_owner(large->base, kept, large->committed);
        if (broken != nullptr) return corrupted(broken);
        totals.add(kept, large->committed);
        totals.committed_bytes += large->committed;
    }
    return {};
}

Status HeapCore::validate_lists(const Totals& totals) const {
    size_t listed = 0;
    for (unsigned size_class = 0; size_class < class_count; ++size_class) {
        for (unsigned bin = 0; bin < span_bins; ++bin) {
            for (const SpanRecord& span : bins_[size_class][bin]) {
                // Counting also ends the walk when a list has become a ring.
                if (++listed > totals.listed_spans) return corrupted(&span);
                if (span_of(span.base) != &span) return corrupted(&span);
                if (span.size_class != size_class || span.bin() != bin) return corrupted(&span);
            }
        }
    }
    if (listed != totals.listed_spans) return corrupted(&bins_);
    size_t empty = 0;
    for (const SpanRecord& span : empty_spans_) {
        if (++empty > totals.empty_spans || span.used != 0) return corrupted(&span);
    }
    if (empty != totals.empty_spans) return corrupted(&empty_spans_);
    return {};
}

Status HeapCore::validate() const {
    Totals totals;
    for (const Arena& arena : arenas()) {
        const Status status = validate_arena(arena, totals);
        if (!status.ok()) return status;
    }
    const Status large = validate_large(totals);
    if (!large.ok()) return large;
    const Status samples = validate_samples(totals);
    if (!samples.ok()) return samples;
    const Status lists = validate_lists(totals);
    if (!lists.ok()) return lists;
    size_t retired = 0;
    for (const LargeBlock* next = retired_; next != nullptr; next = next->left)
        retired += next->committed;
    const bool agree =
        totals.blocks == use_.blocks && (shared_ || totals.live_bytes == use_.live_bytes) &&
        totals.usable_bytes == use_.usable_bytes && totals.cached_bytes == cached_bytes_ &&
        totals.committed_bytes + kept_.bytes() + retired == pages_.committed_bytes() &&
        retired == retired_bytes_;
    if (!agree) return corrupted(this);
    return {};
}

}  // namespace quire::heap_internal
