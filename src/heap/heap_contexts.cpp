// SPDX-License-Identifier: MIT
// What the heap does for those who may not wait, and what it puts off until somebody may.
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

Result<void*> HeapCore::try_allocate_for(CpuBlocks& cpu, size_t bytes, size_t alignment,
                                         Fill fill) {
    if (!started()) return Failure{Error::bad_argument};
    if (alignment == 0) alignment = natural_alignment(bytes);
    welcome(cpu);
    const unsigned size_class = class_of(bytes, alignment);
    void* block = nullptr;
    const bool at_hand = may_lie_at_hand(size_class);
    if (at_hand) block = take_at_hand(cpu, size_class, bytes);
    const bool single = !at_hand || size_class >= first_medium;
    if (block == nullptr && single && size_class != no_class) {
        SpanRecord* const span = find_span(size_class, no_lane);
        if (span != nullptr) block = take_cell(*span, bytes);
    }
    if (block == nullptr || broken_ != nullptr) return judge(block, bytes);
    if (fill == Fill::zero) __builtin_memset(block, 0, bytes);
    return block;
}

Result<void*> HeapCore::try_allocate_of_others(size_t bytes, size_t alignment, Fill fill) {
    if (alignment == 0) alignment = natural_alignment(bytes);
    const unsigned size_class = class_of(bytes, alignment);
    void* block = nullptr;
    for (unsigned bin = fullness_bins - 1; bin < span_bins && size_class != no_class; ++bin) {
        SpanRecord* const span = bins_[size_class][bin].front();
        if (span == nullptr || !span->has_memory(span->lowest_free())) continue;
        block = take_cell(*span, bytes);
        break;
    }
    if (block != nullptr && broken_ == nullptr && fill == Fill::zero)
        __builtin_memset(block, 0, bytes);
    return judge(block, bytes);
}

void HeapCore::retire(LargeBlock& large) {
    large.left = retired_;
    retired_ = &large;
    retired_bytes_ += large.committed;
}

// False when there is nothing, or the page source refuses.
bool HeapCore::give_back_retired() {
    LargeBlock* const large = retired_;
    if (large == nullptr) return false;
    if (!pages_.release(large->base, large->reserved, large->committed)) return false;
    retired_ = large->left;
    retired_bytes_ -= large->committed;
    free_large_record(*large);
    return true;
}

bool HeapCore::owes() const {
    return retired_ != nullptr || samples_.owes() || wanted_piece_ != 0 ||
           cached_bytes_ > options_.cached_bytes || kept_.exceeds(options_.cached_bytes);
}

void HeapCore::settle() {
    while (give_back_retired()) {
    }
    if (samples_.owes()) samples_.settle(pages_);
    give_back_surplus();
    while (kept_.exceeds(options_.cached_bytes) && give_back_kept()) {
    }
    if (wanted_piece_ == 0) return;
    MetadataStore& store = arenas_[0].store();
    unsigned char* const piece =
        store.has_room(wanted_piece_) ? store.allocate(pages_, wanted_piece_) : nullptr;
    if (piece != nullptr) store.free(piece, wanted_piece_);
    wanted_piece_ = 0;
}

}  // namespace quire::heap_internal
