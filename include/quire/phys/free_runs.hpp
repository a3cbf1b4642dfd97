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
// not change meanwhile. O(blocks of the window) for the whole walk, and 8 words a block that is
// neither full nor free.
class FreeRuns {
  public:
    FreeRuns(Span<const FrameSection> sections, Span<const BlockHeader> headers,
             Span<const BlockBits> bits, uint64_t first, uint64_t last);

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
    uint64_t last_;
};

}  // namespace quire
