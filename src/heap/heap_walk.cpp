// SPDX-License-Identifier: MIT
// Every live block, from what the heap knows of its spans and large blocks.
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// False when `visit` says so.
bool visit_cells(const SpanRecord& span, FunctionRef<bool(const LiveBlock&)> visit) {
    const SizeClass& shape = span.geometry();
    for (unsigned cell = 0; cell < span.touched; ++cell) {
        if (span.state(cell) < cell_live) continue;
        const LiveBlock block{span.base + size_t{cell} * shape.stride,
                              shape.cell_bytes - span.slack(cell)};
        if (!visit(block)) return false;
    }
    return true;
}

}  // namespace

void HeapCore::for_each_block(FunctionRef<bool(const LiveBlock&)> visit) const {
    for (const Arena& arena : arenas()) {
        for (size_t slot = 0; slot < arena.recorded_slots(); ++slot) {
            const SpanRecord* const span = arena.span_from(slot);
            if (span != nullptr && !visit_cells(*span, visit)) return;
        }
    }
    for (const LargeBlock* large = large_.first(); large != nullptr; large = large_.after(*large))
        if (!visit(LiveBlock{large->base, kept_bytes(large->requested, large->committed)})) return;
    for (unsigned slot = 0; slot < GuardedBlocks::slots; ++slot) {
        const GuardedBlocks::Block& block = samples_.at(slot);
        if (block.live && !visit(LiveBlock{block.start, block.bytes})) return;
    }
}

}  // namespace quire::heap_internal
