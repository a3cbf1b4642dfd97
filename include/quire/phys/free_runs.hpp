// SPDX-License-Identifier: MIT
// The free runs of a stretch of memory, one after the other.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/block_bits.hpp"
#include "quire/phys/block_index.hpp"
#include "quire/phys/frame_sections.hpp"

namespace quire {

// Walks upward from the first frame of a window to its last, both included. Runs are as long as
// they can be inside the window: they cross blocks, sections and zones. What is walked over must
// not change meanwhile. O(blocks of the window) for the whole walk, when short runs are skipped.
class FreeRuns {
  public:
    FreeRuns(Span<const FrameSection> sections, Span<const BlockHeader> headers,
             Span<const BlockBits> bits, uint64_t first, uint64_t last);

    // From now on, blocks without a hole of this order may be skipped: only runs that reach from
    // one block into another are shown of them.
    void skip_below_order(unsigned order);
    // The same for blocks that have no run of `count` frames.
    void skip_shorter_than(FrameCount count);

    // The next run, or an empty range when there are no more.
    FrameRange next();

  private:
    bool skip_to_free();
    uint64_t end_of_run() const;

    Span<const FrameSection> sections_;
    Span<const BlockHeader> headers_;
    Span<const BlockBits> bits_;
    size_t section_ = 0;  // that `position_` lies in or below
    uint64_t position_;
    unsigned least_order_ = 0;
    uint64_t last_;
};

}  // namespace quire
