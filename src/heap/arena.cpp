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

bool Arena::create(PageAccount& pages, size_t bytes) {
    bits_bytes_ = round_up_to_pages(SlotBits::bytes_for(bytes / slot_bytes));
    const size_t table_bytes = round_up_to_pages(bytes / slot_bytes * sizeof(SpanRecord));
    // States take a sixteenth when all cells are of the smallest class; the rest is for pieces
    // that are free in another size than is wanted, and for large blocks' records.
    const size_t store_bytes = round_up_to_pages(bytes / 16 + bytes / 32);
    reserved_bytes_ = bytes + page_size + bits_bytes_ + table_bytes + store_bytes;
    base_ = pages.reserve(reserved_bytes_, largest_span);
    if (base_ == nullptr) return false;
    unsigned char* const bits = base_ + bytes + page_size;
    if (!pages.commit(bits, bits_bytes_)) {
        undo_reserve(pages);
        return false;
    }
    slots_ = bytes / slot_bytes;
    bits_.start(reinterpret_cast<size_t*>(bits), slots_);
    table_ = reinterpret_cast<SpanRecord*>(bits + bits_bytes_);
    recorded_slots_ = table_committed_bytes_ = 0;
    store_.start(bits + bits_bytes_ + table_bytes, store_bytes);
    return true;
}

bool Arena::destroy(PageAccount& pages) {
    size_t committed = bookkeeping_bytes();
    for (size_t slot = 0; slot < recorded_slots_; ++slot) {
        if (table_[slot].kind == SlotKind::first) committed += table_[slot].committed_bytes();
    }
    return pages.release(base_, reserved_bytes_, committed);
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
    // Its first slot may have been taken for another span since.
    return first.kind == SlotKind::retired ? &first : nullptr;
}

bool Arena::record_slots(PageAccount& pages, size_t slots) {
    if (slots <= recorded_slots_) return true;
    // What is committed holds recorded_slots_ records and no more, so it does not reach.
    const size_t wanted = round_up_to_pages(slots * sizeof(SpanRecord));
    unsigned char* const from = reinterpret_cast<unsigned char*>(table_) + table_committed_bytes_;
    if (!pages.commit(from, wanted - table_committed_bytes_)) return false;
    table_committed_bytes_ = wanted;
    // Whole records in what is committed now; fresh memory reads as unused slots.
    const size_t fitting = table_committed_bytes_ / sizeof(SpanRecord);
    recorded_slots_ = fitting < slots_ ? fitting : slots_;
    return true;
}

// Brings the table back to what it was when it held so many records.
void Arena::undo_record_slots(PageAccount& pages, size_t slots) {
    const size_t committed = round_up_to_pages(slots * sizeof(SpanRecord));
    if (committed >= table_committed_bytes_) return;
    unsigned char* const from = reinterpret_cast<unsigned char*>(table_) + committed;
    const size_t bytes = table_committed_bytes_ - committed;
    if (!pages.decommit(from, bytes, bytes)) return;
    table_committed_bytes_ = committed;
    recorded_slots_ = slots;
}

void Arena::undo_reserve(PageAccount& pages) {
    pages.release(base_, reserved_bytes_, 0);
}

void Arena::undo_commit(PageAccount& pages, unsigned char* address, size_t bytes) {
    pages.decommit(address, bytes, bytes);
}

bool Arena::has_room(unsigned size_class) {
    const SizeClass& shape = size_classes.entries[size_class];
    return bits_.find(shape.order) != SlotBits::none && store_.has_room(shape.chunk_shift);
}

SpanRecord* Arena::create_span(PageAccount& pages, unsigned size_class) {
    const SizeClass& shape = size_classes.entries[size_class];
    const size_t slot = bits_.find(shape.order);
    unsigned char* const base = base_ + slot * slot_bytes;
    const size_t bytes = round_up_to_pages(shape.cell_bytes);
    if (!pages.commit(base, bytes)) return nullptr;
    const size_t recorded_before = recorded_slots_;
    if (!record_slots(pages, slot + slots_in(shape.order))) {
        undo_commit(pages, base, bytes);
        return nullptr;
    }
    unsigned char* const states = store_.allocate(pages, shape.chunk_shift);
    if (states == nullptr) {
        undo_record_slots(pages, recorded_before);
        undo_commit(pages, base, bytes);
        return nullptr;
    }
    for (size_t i = slots_in(shape.order); i-- > 0;) {
        SpanRecord* record = construct_at(&table_[slot + i]);
        record->kind = i == 0 ? SlotKind::first : SlotKind::further;
        record->slots_back = static_cast<uint8_t>(i);
    }
    SpanRecord& span = table_[slot];
    span.base = base;
    span.begin(size_class, states);
    span.committed_pages = static_cast<uint16_t>(bytes >> page_shift);
    bits_.take(slot, shape.order);
    return &span;
}

bool Arena::give_back_span(PageAccount& pages, SpanRecord& span) {
    const SizeClass& shape = span.geometry();
    if (!pages.decommit(span.base, shape.span_bytes(), span.committed_bytes())) return false;
    store_.free(span.states, shape.chunk_shift);
    for (size_t i = 0; i < slots_in(shape.order); ++i)
        (&span)[i].kind = SlotKind::retired;
    bits_.put_back(slot_of(span.base), shape.order);
    return true;
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
