// SPDX-License-Identifier: MIT
// From which span a CPU gets its cells. The states of a span's cells lie in one or a few cache
// lines, which every allocation and every free writes to: where the cells go to one CPU, no other
// waits for the line. So spans are in lanes, as CPUs are, and a CPU keeps to those of its own.
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

namespace {

// Spans of a bin, in search of one of a lane.
constexpr unsigned most_looked_at = 4;

}  // namespace

// The one with the fewest CPUs.
void HeapCore::enter_lane(CpuBlocks& cpu) {
    unsigned best = 1;
    for (unsigned lane = 2; lane <= lanes; ++lane)
        if (cpus_of_lane_[lane] < cpus_of_lane_[best]) best = lane;
    ++cpus_of_lane_[best];
    cpu.lane_ = static_cast<uint8_t>(best);
}

void HeapCore::leave_lane(CpuBlocks& cpu) {
    if (cpu.lane_ != no_lane) --cpus_of_lane_[cpu.lane_];
    cpu.lane_ = no_lane;
}

// The span that the lane has open, or the fullest of its own and of no lane. Null when none stands
// in front of its bin.
SpanRecord* HeapCore::own_span(unsigned size_class, unsigned lane) {
    for (SpanRecord& span : bins_[size_class][open_bin])
        if (span.lane == lane) return &span;
    for (unsigned bin = fullness_bins; bin-- > 0;) {
        unsigned seen = 0;
        for (SpanRecord& span : bins_[size_class][bin]) {
            if (span.lane == lane || span.lane == no_lane) return &span;
            if (++seen == most_looked_at) break;
        }
    }
    return nullptr;
}

// The lane's own span, or one of another lane that is three quarters full at most: so others' free
// cells that it passes over for new ones are never more than a quarter. Open from now on. Null when
// there is none.
SpanRecord* HeapCore::choose_span(unsigned size_class, unsigned lane) {
    SpanRecord* chosen = own_span(size_class, lane);
    for (unsigned bin = fullness_bins - 1; chosen == nullptr && bin-- > 0;)
        chosen = bins_[size_class][bin].front();
    if (chosen != nullptr && lane != no_lane) open_span(*chosen, lane);
    return chosen;
}

// A span with a free cell, whose lowest one has memory behind it: one that is there, or a new one.
// Null when the page source fails. Its frame is gone when it calls what calls the source.
SpanRecord* HeapCore::find_span(unsigned size_class, unsigned lane) {
    SpanRecord* const span = choose_span(size_class, lane);
    if (span == nullptr) {
        give_back_for_growth();
        return create_span(size_class, lane);
    }
    const unsigned cell = span->lowest_free();
    if (span->has_memory(cell)) return span;
    return commit_cell(*span, cell) ? span : nullptr;
}

void HeapCore::open_span(SpanRecord& span, unsigned lane) {
    if (span.open) return;
    bins_[span.size_class][span.bin()].remove(span);
    give_to_lane(span, lane);
    bins_[span.size_class][open_bin].push_front(span);
}

// No span is open any more.
void HeapCore::close_spans() {
    for (Bin(&bins)[span_bins] : bins_) {
        while (SpanRecord* const span = bins[open_bin].front()) {
            bins[open_bin].remove(*span);
            span->open = false;
            span->used == 0 ? bins[span->bin()].push_back(*span)
                            : bins[span->bin()].push_front(*span);
        }
    }
}

}  // namespace quire::heap_internal
