// SPDX-License-Identifier: MIT
#include "quire/phys/free_runs.hpp"

#include "quire/base/traits.hpp"

namespace quire {

namespace {
constexpr unsigned position_in_block(uint64_t frame) {
    return static_cast<unsigned>(frame % block_frames);
}
}  // namespace

FreeRuns::FreeRuns(Span<const FrameSection> sections, const BlockTable& table, uint64_t first,
                   uint64_t last)
    : sections_(sections), table_(table), position_(first), last_(last) {}

void FreeRuns::skip_shorter_than(FrameCount count) {
    // 2^(n + 2) - 1 frames in a row have 2^n at a multiple of 2^n among them wherever they lie,
    // so a block whose largest hole is of order n has no run of that length or longer.
    const uint64_t length = min(count.value(), uint64_t{block_frames});
    unsigned order = 0;
    while ((uint64_t{4} << order) - 2 < length)
        ++order;
    skip_below_order(order);
}

void FreeRuns::skip_below_order(unsigned order) {
    least_order_ = max(least_order_, order);
}

FrameRange FreeRuns::next() {
    if (!skip_to_free()) return FrameRange();
    const uint64_t first = position_;
    position_ = end_of_run();
    return FrameRange(Frame(first), FrameCount(position_ - first));
}

// Moves `position_` up to the next free frame; false when there is none in the window.
bool FreeRuns::skip_to_free() {
    while (section_ < sections_.size() && position_ <= last_) {
        const FrameSection& section = sections_[section_];
        if (position_ > section.last || excludes(section)) {
            ++section_;
            continue;
        }
        position_ = max(position_, section.first);
        const uint32_t block = section.block_of(position_);
        const unsigned from = position_in_block(position_);
        unsigned free = BlockBits::nowhere;
        if (table_.free(block) == block_frames) {
            free = from;
        } else if (table_.free(block) != 0) {
            unsigned first = from;
            if (table_.headers[block].largest < least_order_) {
                // Only a run that goes on in the next block is of interest. A run that comes from
                // the one before has been passed already.
                const uint64_t left = section.last - (position_ - from);
                const unsigned end =
                    static_cast<unsigned>(min(left, uint64_t{block_frames - 1})) + 1;
                first = max(first, table_.bits[block].start_of_run_below(end));
            }
            free = table_.bits[block].next_set(first);
        }
        if (free != BlockBits::nowhere) {
            position_ += free - from;
            return position_ <= last_;
        }
        // The next section may begin inside this block.
        position_ = min(position_ + (block_frames - from), section.last + 1);
    }
    return false;
}

// The first frame above the run that starts at `position_`, or above the window.
uint64_t FreeRuns::end_of_run() const {
    size_t section = section_;
    uint64_t frame = position_;
    while (frame <= last_) {
        if (frame > sections_[section].last) {
            ++section;
            if (section == sections_.size() || sections_[section].first != frame) break;
            if (excludes(sections_[section])) break;
        }
        const uint32_t block = sections_[section].block_of(frame);
        const unsigned from = position_in_block(frame);
        if (table_.is_fresh(block)) {
            const uint32_t open = table_.next_open_group(block >> BlockTable::group_order);
            const uint64_t blocks = (uint64_t{open} << BlockTable::group_order) - block;
            frame = min(frame - from + blocks * block_frames, sections_[section].last + 1);
            continue;
        }
        const unsigned end = table_.next_taken(block, from);
        frame += end - from;
        if (end < block_frames && frame <= sections_[section].last) break;
    }
    return min(frame, last_ + 1);
}

}  // namespace quire
