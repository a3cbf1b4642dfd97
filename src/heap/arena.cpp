// SPDX-License-Identifier: MIT
#include "quire/heap/arena.hpp"

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

namespace {

constexpr size_t slots_in(unsigned order) {
    return size_t{1} << order;
}

}  // namespace

Status Arena::create(PageAccount& pages, size_t bytes) {
    const size_t slots = bytes / slot_bytes;
    const size_t bits_bytes = round_up_to_pages(SlotBits::bytes_for(slots));
    const size_t table_bytes = round_up_to_pages(slots * sizeof(SpanRecord));
    // States take a sixteenth when all cells are of the smallest class; the rest is for pieces
    // that are free in another size than is wanted, and for large blocks' records.
    const size_t store_bytes = round_up_to_pages(bytes / 16 + bytes / 32);
    const size_t total = bytes + page_size + bits_bytes + table_bytes + store_bytes;
    const Result<unsigned char*> base = pages.reserve(total, largest_span);
    if (!base.ok()) return base.failure();
    unsigned char* const bits = *base + bytes + page_size;
    const Status status = pages.commit(bits, bits_bytes);
    if (!status.ok()) {
        undo_reserve(pages, *base, total);
        return status;
    }
    *this = Arena();
    base_ = *base;
    reserved_bytes_ = total;
    slots_ = slots;
    bits_bytes_ = bits_bytes;
    bits_.start(reinterpret_cast<size_t*>(bits), slots);
    table_ = reinterpret_cast<SpanRecord*>(bits + bits_bytes);
    store_.start(bits + bits_bytes + table_bytes, store_bytes);
    return {};
}

Status Arena::destroy(PageAccount& pages) {
    size_t committed = bookkeeping_bytes();
    for (size_t slot = 0; slot < recorded_slots_; ++slot) {
        if (table_[slot].kind == SlotKind::first) committed += table_[slot].committed_bytes();
    }
    const Status status = pages.release(base_, reserved_bytes_, committed);
    if (!status.ok()) return status;
    *this = Arena();
    return {};
}

size_t Arena::slot_of(const void* address) const {
    return (reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_)) >>
           slot_shift;
}

bool Arena::contains(const void* address) const {
    return slot_of(address) < slots_;
}

SpanRecord* Arena::span_at(const void* address) const {
    const size_t slot = slot_of(address);
    if (slot >= recorded_slots_) return nullptr;
    SpanRecord& here = table_[slot];
    if (here.kind == SlotKind::unused) return nullptr;
    SpanRecord& first = table_[slot - here.slots_back];
    if (here.kind != SlotKind::retired) return &first;
    // Parts of a retired span may have been taken for others since.
    const bool whole = first.kind == SlotKind::retired && first.slots_back == 0 &&
                       here.slots_back < slots_in(first.geometry().order);
    return whole ? &first : nullptr;
}

Status Arena::record_slots(PageAccount& pages, size_t slots) {
    if (slots <= recorded_slots_) return {};
    const size_t wanted = round_up_to_pages(slots * sizeof(SpanRecord));
    if (wanted > table_committed_bytes_) {
        unsigned char* const from = reinterpret_cast<unsigned char*>(table_);
        const Status status =
            pages.commit(from + table_committed_bytes_, wanted - table_committed_bytes_);
        if (!status.ok()) return status;
        table_committed_bytes_ = wanted;
    }
    // Whole records in what is committed now; fresh memory reads as unused slots.
    const size_t fitting = table_committed_bytes_ / sizeof(SpanRecord);
    recorded_slots_ = fitting < slots_ ? fitting : slots_;
    return {};
}

// Brings the table back to what it was when it held so many records.
void Arena::undo_record_slots(PageAccount& pages, size_t slots) {
    const size_t committed = round_up_to_pages(slots * sizeof(SpanRecord));
    if (committed >= table_committed_bytes_) return;
    unsigned char* const from = reinterpret_cast<unsigned char*>(table_) + committed;
    const size_t bytes = table_committed_bytes_ - committed;
    if (!pages.decommit(from, bytes, bytes).ok()) return;
    table_committed_bytes_ = committed;
    recorded_slots_ = slots;
}

void Arena::undo_reserve(PageAccount& pages, unsigned char* base, size_t bytes) {
    static_cast<void>(pages.release(base, bytes, 0));
}

void Arena::undo_commit(PageAccount& pages, unsigned char* address, size_t bytes) {
    static_cast<void>(pages.decommit(address, bytes, bytes));
}

Result<SpanRecord*> Arena::create_span(PageAccount& pages, unsigned size_class) {
    const SizeClass& shape = size_classes.entries[size_class];
    const size_t slot = bits_.find(shape.order);
    if (slot == SlotBits::none) return Failure{Error::out_of_memory, shape.span_bytes()};
    unsigned char* const base = base_ + slot * slot_bytes;
    const size_t bytes = round_up_to_pages(shape.cell_bytes);
    const Status data = pages.commit(base, bytes);
    if (!data.ok()) return data.failure();
    const size_t recorded_before = recorded_slots_;
    const Status recorded = record_slots(pages, slot + slots_in(shape.order));
    if (!recorded.ok()) {
        undo_commit(pages, base, bytes);
        return recorded.failure();
    }
    const Result<unsigned char*> states = store_.allocate(pages, shape.chunk_shift);
    if (!states.ok()) {
        undo_record_slots(pages, recorded_before);
        undo_commit(pages, base, bytes);
        return states.failure();
    }
    for (size_t i = slots_in(shape.order); i-- > 0;) {
        SpanRecord* record = construct_at(&table_[slot + i]);
        record->kind = i == 0 ? SlotKind::first : SlotKind::further;
        record->slots_back = static_cast<uint8_t>(i);
    }
    SpanRecord& span = table_[slot];
    span.base = base;
    span.begin(size_class, *states);
    span.committed_pages = static_cast<uint16_t>(bytes >> page_shift);
    bits_.take(slot, shape.order);
    return &span;
}

Status Arena::give_back_span(PageAccount& pages, SpanRecord& span) {
    const SizeClass& shape = span.geometry();
    const Status status = pages.decommit(span.base, shape.span_bytes(), span.committed_bytes());
    if (!status.ok()) return status;
    store_.free(span.states, shape.chunk_shift);
    for (size_t i = 0; i < slots_in(shape.order); ++i)
        (&span)[i].kind = SlotKind::retired;
    bits_.put_back(slot_of(span.base), shape.order);
    return {};
}

size_t Arena::bookkeeping_bytes() const {
    return bits_bytes_ + table_committed_bytes_ + store_.committed_bytes();
}

bool Arena::consistent() const {
    size_t taken = 0;
    for (size_t slot = 0; slot < recorded_slots_; ++slot) {
        const SpanRecord& here = table_[slot];
        const bool live = here.kind == SlotKind::first || here.kind == SlotKind::further;
        if (here.kind > SlotKind::retired || here.slots_back > slot) return false;
        if (live != bits_.taken(slot)) return false;
        if (!live) continue;
        ++taken;
        const SpanRecord& first = table_[slot - here.slots_back];
        if (first.kind != SlotKind::first || first.size_class >= class_count) return false;
        if (here.slots_back >= slots_in(first.geometry().order)) return false;
        if ((here.kind == SlotKind::first) != (here.slots_back == 0)) return false;
        if (first.base != base_ + (slot - here.slots_back) * slot_bytes) return false;
        if (!store_.contains(first.states)) return false;
    }
    return taken == bits_.taken_slots() && store_.consistent();
}

}  // namespace quire::heap_internal
