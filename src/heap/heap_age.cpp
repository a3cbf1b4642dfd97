// SPDX-License-Identifier: MIT
// Memory that goes back because nobody has wanted it for a while. Everything that is kept for reuse
// is marked with the tick at which it came, and the oldest of it is always at an end of its list.
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// A whole tick went by since.
bool is_old(uint32_t since, uint32_t now) {
    return now - since >= 2;
}

}  // namespace

void HeapCore::age(CpuBlocks& cpu) {
    CpuBlocks::MediumArrays& arrays = cpu.medium_;
    for (unsigned index = 0; index < CpuBlocks::MediumArrays::count; ++index) {
        CpuBlocks::Bin* const bin = arrays.bins[index];
        if (bin != nullptr && arrays.seen[index] == bin->top) empty_medium(cpu, index);
        arrays.seen[index] = arrays.bins[index] == nullptr ? nullptr : bin->top;
    }
    for (unsigned index = 0; index < class_count; ++index) {
        CpuBlocks::Bin& bin = cpu.bins_[index + 1];
        if (bin.spare_seen && bin.spare_count != 0) {
            put_cells(bin.spare, bin.spare_count);
            bin.spare_count = 0;
        }
        bin.spare_seen = true;
    }
}

// The last to come stands first.
void HeapCore::age_depot() {
    for (unsigned index = 0; index < class_count; ++index) {
        for (Magazine*& filled : depot_[index]) {
            Magazine** old = &filled;
            while (*old != nullptr && !is_old((*old)->since, tick_))
                old = &(*old)->next;
            Magazine* const rest = *old;
            *old = nullptr;
            drop_from_depot(rest, index);
        }
    }
}

size_t HeapCore::age() {
    const size_t before = pages_.committed_bytes();
    ++tick_;
    settle();
    close_spans();
    age_depot();
    // Of a tick, a span keeps eight bits; what stays longer, since the page source refuses, is
    // taken for younger now and then.
    while (!empty_spans_.empty()) {
        SpanRecord& oldest = *empty_spans_.front();
        const auto ticks = static_cast<uint8_t>(tick_ - oldest.empty_since);
        if (ticks < 2 || !give_back(oldest)) break;
    }
    while (kept_.oldest() != nullptr && is_old(kept_.oldest()->freed_at, tick_) &&
           give_back_kept()) {
    }
    return before - pages_.committed_bytes();
}

}  // namespace quire::heap_internal
