// SPDX-License-Identifier: MIT
// The free runs of a stretch of memory, one after the other.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/block_table.hpp"
#include "quire/phys/frame_sections.hpp"

namespace quire {

// Walks upward from the first frame of a window to its last, both included. Runs are as long as
// they can be inside the window: they cross blocks, sections and zones. What is walked over must
// not change meanwhile. O(blocks of the window) for the whole walk, when short runs are skipped.
class FreeRuns {
  public:
    FreeRuns(Span<const FrameSection> sections, const BlockTable& table, uint64_t first,
             uint64_t last);

    // From now on, blocks without a hole of this order may be skipped: only runs that reach from
    // one block into another are shown of them.
    void skip_below_order(unsigned order);
    // The same for blocks that have no run of `count` frames.
    void skip_shorter_than(FrameCount count);

    // From now on, only frames of this node are shown.
    void keep_to_node(Node node) { node_ = node; }

    // The next run, or an empty range when there are no more.
    FrameRange next();

  private:
    static constexpr unsigned any_node = UINT32_MAX;
    bool excludes(const FrameSection& section) const {
        return node_ != any_node && section.node != node_;
    }
    bool skip_to_free();
    uint64_t end_of_run() const;

    Span<const FrameSection> sections_;
    const BlockTable& table_;
    size_t section_ = 0;  // that `position_` lies in or below
    uint64_t position_;
    unsigned least_order_ = 0;
    unsigned node_ = any_node;
    uint64_t last_;
};

}  // namespace quire
