// SPDX-License-Identifier: MIT
// What to say of a bad free.
#include "quire/heap/canary.hpp"
#include "quire/heap/heap_core.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

namespace {

const void* pointer_to(uint64_t address) {
    return reinterpret_cast<const void*>(static_cast<uintptr_t>(address));
}

}  // namespace

// The live block that holds the address or whose cell does; null when there is none.
const void* HeapCore::block_around(const void* address) const {
    if (samples_.contains(address)) return samples_.nearest(address).start;
    for (const Arena& arena : arenas()) {
        const SpanRecord* const span = arena.contains(address) ? arena.span_at(address) : nullptr;
        if (span == nullptr) continue;
        const SizeClass& shape = span->geometry();
        const auto offset =
            static_cast<size_t>(static_cast<const unsigned char*>(address) - span->base);
        const unsigned cell = shape.index_of(offset);
        const bool live = cell < span->touched && span->state(cell) >= cell_live;
        return live ? span->base + size_t{cell} * shape.stride : nullptr;
    }
    const LargeBlock* const large = large_.find(address);
    return large == nullptr ? nullptr : large->base;
}

// Whether that is a byte of a free cell, and not as it was left when the cell was freed.
bool HeapCore::is_written_free_byte(const void* address) const {
    if (!options_.poison_freed) return false;
    for (const Arena& arena : arenas()) {
        const SpanRecord* const span = arena.contains(address) ? arena.span_at(address) : nullptr;
        if (span == nullptr) continue;
        const auto* const at = static_cast<const unsigned char*>(address);
        const unsigned cell = span->geometry().index_of(static_cast<size_t>(at - span->base));
        return cell < span->touched && span->state(cell) < cell_live && *at != poison_byte;
    }
    return false;
}

// Whether what the books say of the block at the address can be believed.
bool HeapCore::books_agree_at(const void* address) const {
    for (const Arena& arena : arenas()) {
        if (!arena.consistent()) return false;
        const SpanRecord* const span = arena.contains(address) ? arena.span_at(address) : nullptr;
        if (span != nullptr && !span->consistent()) return false;
    }
    if (!large_.consistent()) return false;
    const LargeBlock* const large = large_.find(address);
    return large == nullptr || large->consistent();
}

// What validate found: what it says of a block is looked at again, and otherwise it is the books
// that are wrong.
Report HeapCore::explain_corrupted(const Failure& failure) const {
    const void* const where = pointer_to(failure.where);
    if (books_agree_at(where)) {
        const Result<Block> block = locate(block_around(where));
        if (block.ok() && broken_byte(*block) != nullptr) return explain(block->start, 0, failure);
        if (is_written_free_byte(where)) return explain(nullptr, 0, failure);
    }
    return Report{.what = "heap: bookkeeping was overwritten",
                  .error = failure.error,
                  .address = failure.where,
                  .likely_cause = nullptr};
}

// What a block was asked for; 0 when several sizes may be the one.
size_t HeapCore::asked_of(const Block& block) const {
    if (watches_slack()) return block.requested;
    if (block.large != nullptr) return block.large->requested;
    size_t asked = 0;
    for (size_t bytes = block.capacity; bytes != 0 && stays_in_cell(bytes, block.capacity);
         --bytes) {
        if (!is_size_of(block, bytes, 1)) continue;
        if (asked != 0) return 0;
        asked = bytes;
    }
    return asked;
}

Report HeapCore::explain_refused(const void* block, const Failure& failure) {
    Report report{.what = "heap: a block was freed by the heap's own page source",
                  .error = failure.error,
                  .address = reinterpret_cast<uintptr_t>(block),
                  .likely_cause = "what the page source calls frees memory, which it must not"};
    if (failure.error == Error::too_many) {
        report.what = "heap: too many blocks wait to be freed on this CPU";
        report.likely_cause = "handlers free them, and no thread calls the heap in between";
    }
    return report;
}

Report HeapCore::explain(const void* block, size_t bytes, const Failure& failure) const {
    Report report{.what = "heap: a block could not be given back to the page source",
                  .error = failure.error,
                  .address = reinterpret_cast<uintptr_t>(block),
                  .likely_cause = nullptr};
    switch (failure.error) {
        case Error::already_free:
            report.what = "heap: a block was freed twice";
            report.likely_cause = "two owners free it, or one keeps a pointer after freeing it";
            break;
        case Error::foreign:
            report.what = "heap: a pointer was freed that the heap never gave out";
            report.likely_cause =
                "it is from elsewhere (the stack, static data, another heap), or was overwritten";
            break;
        case Error::misaligned:
            report.what = "heap: a pointer into the middle of a block was freed";
            report.likely_cause = "the pointer was moved on since it was allocated";
            break;
        default:
            break;
    }
    if (block == nullptr) {
        report.what = "heap: a block was written to after it was freed";
        report.address = failure.where;
        report.likely_cause = "somebody keeps a pointer after freeing it, or writes past a block";
        return report;
    }
    const void* const around = failure.error == Error::misaligned ? block_around(block) : block;
    const Result<Block> located = locate(around);
    if (!located.ok()) return report;
    report.block = reinterpret_cast<uintptr_t>(around);
    const size_t asked = asked_of(*located);
    report.block_bytes = asked != 0 ? asked : located->requested;
    if (failure.error == Error::corrupted) {
        report.what = "heap: the bytes behind a block were overwritten";
        report.address = failure.where;
        report.has_values = true;
        report.expected = canary_byte;
        const unsigned char* const broken = broken_byte(*located);
        report.found = broken != nullptr ? *broken : report.expected;
        report.likely_cause = "its owner wrote more bytes than it had asked for";
    } else if (failure.error == Error::bad_argument) {
        report.what = "heap: a block was freed with another size than it was allocated with";
        report.has_values = asked != 0;
        report.expected = asked;
        report.found = bytes;
        report.likely_cause =
            "it is deleted as another type, or through a base without a virtual "
            "destructor";
    }
    return report;
}

}  // namespace quire::heap_internal
