// SPDX-License-Identifier: MIT
#include "quire/heap/arena.hpp"

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

bool Arena::create(PageAccount& pages, size_t bytes) {
    slots_ = bytes / slot_bytes;
    plan();
    base_ = pages.reserve(reserved_bytes_, largest_span);
    if (base_ == nullptr) return false;
    if (!pages.commit(bits_start(), bits_bytes_)) {
        undo_reserve(pages);
        return false;
    }
    begin();
    return true;
}

Arena::Layout Arena::layout() const {
    const size_t bytes = slots_ * slot_bytes;
    Layout layout{};
    // States take a sixteenth when all cells are of the smallest class, and records of spans at
    // most a 128th; the rest is for pieces that are free in another size than is wanted, for large
    // blocks' records and for magazines.
    const size_t store = round_up_to_pages(bytes / 16 + bytes / 32 + bytes / 64);
    layout.bits = bytes + page_size;
    layout.map = layout.bits + round_up_to_pages(SlotBits::bytes_for(slots_));
    layout.table = layout.map + round_up_to_pages(slots_ * sizeof(SlotEntry));
    // A page further, or map and store of a large arena would begin at addresses that differ in
    // high bits alone. A CPU that guesses a cache's way from some of the lower ones confuses these,
    // and a free, which reads from the one and writes to the other, takes twice its time.
    layout.store = layout.table + round_up_to_pages(slots_ * sizeof(SlotRecord)) + page_size;
    layout.end = layout.store + store;
    return layout;
}

void Arena::plan() {
    const Layout parts = layout();
    reserved_bytes_ = parts.end;
    bits_bytes_ = parts.map - parts.bits;
}

void Arena::begin() {
    const Layout parts = layout();
    bits_.start(reinterpret_cast<size_t*>(base_ + parts.bits), slots_);
    map_ = reinterpret_cast<SlotEntry*>(base_ + parts.map);
    table_ = reinterpret_cast<SlotRecord*>(base_ + parts.table);
    recorded_slots_ = map_committed_bytes_ = table_committed_bytes_ = 0;
    store_.start(base_ + parts.store, parts.end - parts.store);
}

bool Arena::destroy(PageAccount& pages) {
    size_t committed = bookkeeping_bytes();
    for (size_t slot = 0; slot < recorded_slots_; ++slot) {
        if (const SpanRecord* const span = span_from(slot)) committed += span->committed_bytes();
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
    return slot < recorded_slots_ && table_[slot].in_span() ? record_of(slot) : nullptr;
}

bool Arena::began_block(const void* address) const {
    const size_t slot = slot_of(address);
    if (slot >= recorded_slots_ || table_[slot].kind != SlotKind::retired) return false;
    const unsigned char* const start = base_ + slot * slot_bytes;
    return table_[slot].began_block(
        static_cast<size_t>(static_cast<const unsigned char*>(address) - start));
}

size_t Arena::map_offset(const void* in_store) const {
    return reinterpret_cast<uintptr_t>(in_store) - reinterpret_cast<uintptr_t>(map_);
}

namespace {

// Commits a table, of which so many bytes are committed, as far as `wanted`.
bool extend(PageAccount& pages, void* table, size_t& committed, size_t wanted) {
    if (wanted <= committed) return true;
    unsigned char* const from = static_cast<unsigned char*>(table) + committed;
    if (!pages.commit(from, wanted - committed)) return false;
    committed = wanted;
    return true;
}

// False when the page source refuses.
bool cut_back(PageAccount& pages, void* table, size_t& committed, size_t wanted) {
    if (committed <= wanted) return true;
    unsigned char* const from = static_cast<unsigned char*>(table) + wanted;
    if (!pages.decommit(from, committed - wanted, committed - wanted)) return false;
    committed = wanted;
    return true;
}

}  // namespace

bool Arena::record_slots(PageAccount& pages, size_t slots) {
    if (slots <= recorded_slots_) return true;
    const size_t map_before = map_committed_bytes_;
    const size_t map_wanted = round_up_to_pages(slots * sizeof(SlotEntry));
    if (!extend(pages, map_, map_committed_bytes_, map_wanted)) return false;
    const size_t wanted = round_up_to_pages(slots * sizeof(SlotRecord));
    if (!extend(pages, table_, table_committed_bytes_, wanted)) {
        undo_extend_map(pages, map_before);
        return false;
    }
    // Whole records in what is committed now; fresh memory reads as unused slots.
    recorded_slots_ = min(
        min(table_committed_bytes_ / sizeof(SlotRecord), map_committed_bytes_ / sizeof(SlotEntry)),
        slots_);
    return true;
}

void Arena::undo_extend_map(PageAccount& pages, size_t committed) {
    cut_back(pages, map_, map_committed_bytes_, committed);
}

// Brings the tables back to what they were when they held so many slots.
void Arena::undo_record_slots(PageAccount& pages, size_t slots) {
    if (slots == recorded_slots_) return;
    undo_extend_map(pages, round_up_to_pages(slots * sizeof(SlotEntry)));
    if (cut_back(pages, table_, table_committed_bytes_,
                 round_up_to_pages(slots * sizeof(SlotRecord)))) {
        recorded_slots_ = slots;
    }
}

void Arena::undo_reserve(PageAccount& pages) {
    pages.release(base_, reserved_bytes_, 0);
}

void Arena::undo_commit(PageAccount& pages, void* address, size_t bytes) {
    pages.decommit(static_cast<unsigned char*>(address), bytes, bytes);
}

// The store has pieces that hold a span's record and its states.
static_assert([] {
    unsigned most = log2_ceil(sizeof(SpanRecord));
    for (const SizeClass& shape : size_classes.entries)
        most = max(most, max(shape.chunk_shift(true), shape.chunk_shift(false)));
    return most < MetadataStore::largest_shift;
}());

bool Arena::has_room(unsigned size_class, bool with_slack) {
    const SizeClass& shape = size_classes.entries[size_class];
    // The larger half of such a piece is for the one, and the other half for the other.
    return bits_.find(shape.slots) != SlotBits::none &&
           store_.has_room(max(shape.chunk_shift(with_slack), record_shift) + 1);
}

SpanRecord* Arena::create_span(PageAccount& pages, unsigned size_class, bool with_slack) {
    const SizeClass& shape = size_classes.entries[size_class];
    const size_t slot = bits_.find(shape.slots);
    unsigned char* const base = base_ + slot * slot_bytes;
    const size_t bytes = round_up_to_pages(shape.cell_bytes);
    if (!pages.commit(base, bytes)) return nullptr;
    const size_t recorded_before = recorded_slots_;
    if (!record_slots(pages, slot + shape.slots)) {
        undo_commit(pages, base, bytes);
        return nullptr;
    }
    unsigned char* const states = store_.allocate(pages, shape.chunk_shift(with_slack));
    unsigned char* const record =
        states == nullptr ? nullptr : store_.allocate(pages, record_shift);
    if (record == nullptr) {
        if (states != nullptr) store_.free(states, shape.chunk_shift(with_slack));
        undo_record_slots(pages, recorded_before);
        undo_commit(pages, base, bytes);
        return nullptr;
    }
    SpanRecord& span = *construct_at(reinterpret_cast<SpanRecord*>(record));
    span.base = base;
    span.begin(size_class, states, with_slack);
    span.committed_pages = static_cast<uint16_t>(bytes >> page_shift);
    enter_span(span);
    return &span;
}

void Arena::enter_span(const SpanRecord& span) {
    const size_t slot = slot_of(span.base);
    const unsigned slots = span.geometry().slots;
    for (size_t i = slots; i-- > 0;)
        enter(slot, i, span);
    bits_.take(slot, slots);
}

// Makes a slot the span's i-th. No cell begins in a further slot of a medium one.
void Arena::enter(size_t slot, size_t i, const SpanRecord& span) {
    const auto offset =
        static_cast<size_t>(reinterpret_cast<const unsigned char*>(&span) - store_.base());
    table_[slot + i] = SlotRecord{.value = static_cast<uint32_t>(offset >> record_shift),
                                  .size_class = 0,
                                  .slots_back = static_cast<uint8_t>(i),
                                  .kind = i == 0 ? SlotKind::first : SlotKind::further};
    if (i == 0 || span.size_class < first_medium)
        map_[slot + i].set(map_offset(span.states), span.size_class);
}

// The span's slots [from, to) are its own no more.
void Arena::retire(const SpanRecord& span, unsigned from, unsigned to) {
    const size_t slot = slot_of(span.base);
    for (unsigned i = from; i < to; ++i) {
        table_[slot + i] = SlotRecord{.value = span.touched,
                                      .size_class = span.size_class,
                                      .slots_back = static_cast<uint8_t>(i),
                                      .kind = SlotKind::retired};
        map_[slot + i].clear();
    }
    bits_.put_back(slot + from, to - from);
}

bool Arena::take_memory(PageAccount& pages, SpanRecord& span) {
    return pages.decommit(span.base, span.geometry().span_bytes(), span.committed_bytes());
}

void Arena::forget_span(SpanRecord& span) {
    const SizeClass& shape = span.geometry();
    retire(span, 0, shape.slots);
    store_.free(span.states, shape.chunk_shift(span.with_slack));
    store_.free(reinterpret_cast<unsigned char*>(&span), record_shift);
}

bool Arena::resize_pages(PageAccount& pages, SpanRecord& span, size_t bytes) {
    const size_t before = span.committed_bytes();
    if (bytes == before) return true;
    const bool done = bytes > before
                          ? pages.commit(span.base + before, bytes - before)
                          : pages.decommit(span.base + bytes, before - bytes, before - bytes);
    if (done) span.committed_pages = static_cast<uint16_t>(bytes >> page_shift);
    return done;
}

bool Arena::resize_span(PageAccount& pages, SpanRecord& span, unsigned size_class) {
    const SizeClass& shape = size_classes.entries[size_class];
    const size_t slot = slot_of(span.base);
    const unsigned before = span.geometry().slots;
    const bool grows = shape.slots > before;
    if (grows && !bits_.free_at(slot + before, shape.slots - before)) return false;
    const size_t recorded_before = recorded_slots_;
    if (!record_slots(pages, slot + shape.slots)) return false;
    if (!resize_pages(pages, span, round_up_to_pages(shape.cell_bytes))) {
        undo_record_slots(pages, recorded_before);
        return false;
    }
    if (before > shape.slots) retire(span, shape.slots, before);
    if (grows) bits_.take(slot + before, shape.slots - before);
    span.size_class = static_cast<uint8_t>(size_class);
    enter(slot, 0, span);
    for (size_t i = before; i < shape.slots; ++i)
        enter(slot, i, span);
    return true;
}

size_t Arena::bookkeeping_bytes() const {
    return bits_bytes_ + map_committed_bytes_ + table_committed_bytes_ + store_.committed_bytes();
}

// Of a slot that has a record.
bool Arena::is_consistent_slot(size_t slot) const {
    const SlotRecord& here = table_[slot];
    if (here.kind > SlotKind::retired || here.slots_back > slot) return false;
    if (here.in_span() != bits_.taken(slot)) return false;
    if (!here.in_span()) {
        return here.size_class < class_count && map_[slot].bin() == 0 && map_[slot].states() == 0;
    }
    if ((here.kind == SlotKind::first) != (here.slots_back == 0)) return false;
    const SpanRecord& span = *record_of(slot);
    if (!store_.has_memory(&span) || span.size_class >= class_count) return false;
    if (here.slots_back >= span.geometry().slots) return false;
    if (span.base != base_ + (slot - here.slots_back) * slot_bytes) return false;
    if (!store_.has_memory(span.states)) return false;
    const bool inner = here.slots_back != 0 && span.geometry().medium();
    const uint32_t bin = inner ? 0 : SlotEntry::bin_of_class(span.size_class);
    if (map_[slot].bin() != bin) return false;
    return inner || map_[slot].states() == map_offset(span.states);
}

bool Arena::consistent() const {
    size_t taken = 0;
    for (size_t slot = 0; slot < recorded_slots_; ++slot) {
        if (!is_consistent_slot(slot)) return false;
        taken += table_[slot].in_span() ? 1 : 0;
    }
    return taken == bits_.taken_slots() && store_.consistent();
}

}  // namespace quire::heap_internal
