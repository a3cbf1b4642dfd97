// SPDX-License-Identifier: MIT
// Questions that the books of the frame allocator answer.
#include "quire/phys/frame_core.hpp"

#include "quire/base/traits.hpp"
#include "quire/phys/free_runs.hpp"

namespace quire {

bool FrameCore::is_free(Frame frame) const {
    const FrameSection* const section = sections_.section_of(frame.value());
    if (section == nullptr) return false;
    return table_.is_free(section->block_of(frame.value()),
                          static_cast<unsigned>(frame.value() % block_frames));
}

FrameCount FrameCore::free_frames(Zone zone) const {
    FrameCount sum;
    for (unsigned home = 0; home < homes_ && !pools_.empty(); ++home)
        sum += FrameCount(pool(zone, home).free);
    return sum;
}

FrameCounters FrameCore::counters() const {
    FrameCounters sums;
    for (size_t i = 0; i < pools_.size(); ++i) {
        ZoneCounters& zone = sums.zone[i / homes_];
        zone.total += FrameCount(pools_[i].total);
        zone.free += FrameCount(pools_[i].free);
        sums.total += FrameCount(pools_[i].total);
        sums.free += FrameCount(pools_[i].free);
    }
    return sums;
}

FrameStatistics FrameCore::statistics() const {
    FrameStatistics sums;
    for (const FramePool& pool : pools_) {
        sums.total += FrameCount(pool.total);
        sums.free += FrameCount(pool.free);
        sums.whole_blocks += pool.whole;
    }
    return sums;
}

HoleHistogram FrameCore::holes() const {
    HoleHistogram histogram;
    for (uint32_t block = 0; block < table_.headers.size(); ++block) {
        if (table_.free(block) == block_frames) {
            ++histogram.holes[block_order];
        } else {
            table_.bits[block].count_holes(histogram.holes);
        }
    }
    return histogram;
}

FrameCount FrameCore::largest_free_run() const {
    FrameCount largest;
    FreeRuns runs(sections_.all(), table_, 0, Frame::highest);
    for (FrameRange run = runs.next(); !run.empty(); run = runs.next()) {
        if (run.count() <= largest) continue;
        largest = run.count();
        runs.skip_shorter_than(largest + FrameCount(1));
    }
    return largest;
}

}  // namespace quire
