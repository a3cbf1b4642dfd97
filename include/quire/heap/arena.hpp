// SPDX-License-Identifier: MIT
// A reservation in which spans live, with the bookkeeping that leads from an address to its span.
//
//     slots, 16 KiB each | a page | slot bits | slot map | slot records | a page | store
//
// The two pages are never committed.
// Map and records are committed as far as slots were ever taken; the store, which holds the records
// of spans and the states of their cells, a page at a time. So nothing about a block lies where an
// overrun could reach.
#pragma once

#include <stddef.h>

#include "quire/heap/metadata_store.hpp"
#include "quire/heap/page_account.hpp"
#include "quire/heap/slot_bits.hpp"
#include "quire/heap/slot_map.hpp"
#include "quire/heap/slot_record.hpp"
#include "quire/heap/span_record.hpp"

namespace quire::heap_internal {

// Not synchronised. Can be copied as long as only one copy is used.
class Arena {
  public:
    constexpr Arena() = default;

    // Reserves address space for `bytes` of spans, a multiple of largest_span, and commits the
    // slot bits. False, and nothing reserved, when the page source fails.
    bool create(PageAccount& pages, size_t bytes);
    // Gives everything back; the arena must be created again before it is used. False, and nothing
    // changed, when the page source refuses.
    bool destroy(PageAccount& pages);

    // Whether the address lies in a slot.
    bool contains(const void* address) const;
    // The span that the address lies in; null when there is none. `address` must lie in a slot.
    SpanRecord* span_at(const void* address) const;
    // Whether a block began there whose span was given back since. `address` must lie in a slot.
    bool began_block(const void* address) const;

    // Whether there are slots, and room in the store, for a span of the class.
    bool has_room(unsigned size_class, bool with_slack);
    // A span of the class with memory behind its first cell. There must be room. Null, and nothing
    // changed, when the page source fails.
    SpanRecord* create_span(PageAccount& pages, unsigned size_class, bool with_slack);
    // Takes the memory of a span without live cells away; it must be forgotten then. False, and
    // nothing changed, when the page source refuses.
    bool take_memory(PageAccount& pages, SpanRecord& span);
    // The record of a span without memory is no more, and its slots are free.
    void forget_span(SpanRecord& span);

    // Makes a medium span that of another medium class, where it stands. False, and nothing
    // changed, when other spans lie behind it, or the page source fails.
    bool resize_span(PageAccount& pages, SpanRecord& span, unsigned size_class);

    MetadataStore& store() { return store_; }
    const MetadataStore& store() const { return store_; }
    bool idle() const { return bits_.taken_slots() == 0 && store_.idle(); }
    size_t bytes() const { return slots_ * slot_bytes; }
    // Memory that the bookkeeping takes.
    size_t bookkeeping_bytes() const;

    // For CPUs that look cells up by themselves: where slots begin, and the map of those that have
    // a record.
    unsigned char* base() const { return base_; }
    SlotEntry* map() const { return map_; }
    // Slots that have a record.
    size_t recorded_slots() const { return recorded_slots_; }
    // The span whose first slot this is; null when there is none.
    const SpanRecord* span_from(size_t slot) const {
        return table_[slot].kind == SlotKind::first ? record_of(slot) : nullptr;
    }
    // False when slot bits, records or the store contradict each other. O(slots).
    bool consistent() const;

  private:
    static constexpr unsigned record_shift = log2_ceil(sizeof(SpanRecord));

    // Where the parts begin, from the base on.
    struct Layout {
        size_t bits;
        size_t map;
        size_t table;
        size_t store;
        size_t end;
    };
    // Apart from what calls the page source, whose stack is short.
    [[gnu::noinline]] Layout layout() const;
    [[gnu::noinline]] void plan();
    [[gnu::noinline]] void begin();
    unsigned char* bits_start() const { return base_ + slots_ * slot_bytes + page_size; }
    size_t slot_of(const void* address) const;
    size_t map_offset(const void* in_store) const;
    SpanRecord* record_of(size_t slot) const {
        return reinterpret_cast<SpanRecord*>(store_.base() +
                                             (size_t{table_[slot].value} << record_shift));
    }
    bool is_consistent_slot(size_t slot) const;
    [[gnu::noinline]] void enter_span(const SpanRecord& span);
    void enter(size_t slot, size_t i, const SpanRecord& span);
    void retire(const SpanRecord& span, unsigned from, unsigned to);
    bool resize_pages(PageAccount& pages, SpanRecord& span, size_t bytes);
    bool record_slots(PageAccount& pages, size_t slots);
    void undo_extend_map(PageAccount& pages, size_t committed);
    void undo_record_slots(PageAccount& pages, size_t slots);
    void undo_reserve(PageAccount& pages);
    static void undo_commit(PageAccount& pages, void* address, size_t bytes);

    unsigned char* base_ = nullptr;
    size_t reserved_bytes_ = 0;
    size_t slots_ = 0;
    SlotEntry* map_ = nullptr;
    size_t map_committed_bytes_ = 0;
    SlotRecord* table_ = nullptr;
    size_t recorded_slots_ = 0;
    size_t bits_bytes_ = 0;
    size_t table_committed_bytes_ = 0;
    SlotBits bits_;
    MetadataStore store_;
};

}  // namespace quire::heap_internal
