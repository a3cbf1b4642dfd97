// SPDX-License-Identifier: MIT
// What is known of a slot for as long as its arena lives, whatever spans come and go there.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

enum class SlotKind : uint8_t {
    unused,   // never part of a span; what fresh memory reads as
    first,    // the first slot of a span
    further,  // another slot of a span
    retired,  // of a span that is no more, or not here; kept to recognise late frees
};

struct SlotRecord {
    uint32_t value;      // of a span: where its record lies; retired: how many cells were given out
    uint8_t size_class;  // retired: what the span was of
    uint8_t slots_back;  // to the span's first slot
    SlotKind kind;

    bool in_span() const { return kind == SlotKind::first || kind == SlotKind::further; }
    // Whether a block of the retired slot's span began so many bytes behind the slot's start.
    bool began_block(size_t offset) const {
        const SizeClass& shape = size_classes.entries[size_class];
        const size_t in_span = slots_back * slot_bytes + offset;
        const unsigned cell = shape.index_of(in_span);
        return size_t{cell} * shape.stride == in_span && cell < value;
    }
};
static_assert(sizeof(SlotRecord) == 8);

}  // namespace quire::heap_internal
