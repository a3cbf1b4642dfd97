// SPDX-License-Identifier: MIT
#include "quire/phys/frame_sections.hpp"

#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

namespace {

// Holes of at least so many whole blocks (32 MiB) separate sections. Fewer cost less in books than
// another section costs in time.
constexpr uint64_t hole_blocks = 16;
constexpr uint64_t margin_frames = hole_blocks * block_frames;

constexpr uint64_t block_number(Frame frame) {
    return frame.value() >> block_order;
}

// Runs of frames without a large hole in them, in ascending order; an empty one ends them.
class Clusters {
  public:
    explicit Clusters(const MemoryMap& map) : runs_(map), ahead_(runs_.next().frames) {}
    FrameRange next() {
        FrameRange cluster = ahead_;
        while (!ahead_.empty()) {
            ahead_ = runs_.next().frames;
            const bool ends = ahead_.empty() || block_number(ahead_.first()) >
                                                    block_number(cluster.last()) + hole_blocks;
            if (ends) break;
            cluster = FrameRange::between(cluster.first(), ahead_.last());
        }
        return cluster;
    }

  private:
    ManagedRuns runs_;
    FrameRange ahead_;
};

// The parts of clusters in each zone and node, in ascending order.
class SectionCutter {
  public:
    SectionCutter(const MemoryMap& map, const ZoneEnds& ends, Span<const NodeRange> nodes)
        : clusters_(map), ends_(ends), nodes_(nodes) {}
    // False when there are no more.
    bool next(FrameSection& section) {
        if (rest_.empty()) rest_ = clusters_.next();
        if (rest_.empty()) return false;
        section.first = rest_.first().value();
        section.zone = ends_.of(section.first);
        section.last = min(rest_.last().value(), ends_.end(section.zone) - 1);
        section.node = 0;
        for (const NodeRange& range : nodes_) {
            if (range.frames.empty()) continue;
            if (range.frames.contains(rest_.first())) {
                section.node = range.node;
                section.last = min(section.last, range.frames.last().value());
            } else if (range.frames.first() > rest_.first()) {
                section.last = min(section.last, range.frames.first().value() - 1);
            }
        }
        section.first_block = next_block_;
        next_block_ += section.blocks();
        rest_ = rest_.without_prefix(FrameCount(section.last - section.first + 1));
        return true;
    }

  private:
    Clusters clusters_;
    const ZoneEnds& ends_;
    Span<const NodeRange> nodes_;
    FrameRange rest_;
    uint32_t next_block_ = 0;
};

}  // namespace

ManagedRuns::ManagedRuns(const MemoryMap& map) : entries_(map.entries()) {
    const FrameRange usable = map.usable_hull();
    if (usable.empty()) return;
    const uint64_t lowest = usable.first().value();
    const uint64_t highest = usable.last().value();
    window_ = FrameRange::between(Frame(lowest - min(lowest, margin_frames)),
                                  Frame(highest + min(Frame::highest - highest, margin_frames)));
}

ManagedRun ManagedRuns::next() {
    while (index_ < entries_.size()) {
        const MemoryEntry& entry = entries_[index_++];
        if (entry.kind != MemoryKind::usable && !is_releasable(entry.kind)) continue;
        const FrameRange frames = frames_inside(entry.range).intersection(window_);
        if (!frames.empty()) return {frames, entry.kind};
    }
    return {};
}

FrameLayout frame_layout(const MemoryMap& map, const FrameTopology& topology) {
    FrameLayout layout;
    Clusters clusters(map);
    for (FrameRange cluster = clusters.next(); !cluster.empty(); cluster = clusters.next()) {
        ++layout.sections;
        layout.blocks += block_number(cluster.last()) - block_number(cluster.first()) + 1;
    }
    // Blocks below this number have been counted.
    uint64_t counted = 0;
    const auto count_masks = [&](uint64_t first, uint64_t last) {
        layout.masks += last + 1 - max(first, counted);
        counted = last + 1;
    };
    ManagedRuns runs(map);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        const uint64_t first = block_number(run.frames.first());
        const uint64_t last = block_number(run.frames.last());
        if (run.kind != MemoryKind::usable) {
            count_masks(first, last);
            continue;
        }
        if (run.frames.first().value() % block_frames != 0) count_masks(first, first);
        if (run.frames.last().value() % block_frames != block_frames - 1) count_masks(last, last);
    }
    // The ends of two zones and both ends of nodes, each of which may cut a block in two.
    const uint64_t cuts = 2 + 2 * uint64_t{topology.ranges.size()};
    layout.sections += cuts;
    layout.blocks += cuts;
    layout.masks += 2 * cuts;
    return layout;
}

FrameSections::FrameSections(const MemoryMap& map, const ZoneEnds& ends, Span<FrameSection> table,
                             const FrameTopology& topology)
    : nodes_(topology.ranges) {
    SectionCutter cutter(map, ends, nodes_);
    size_t used = 0;
    for (FrameSection section; cutter.next(section); ++used) {
        table[used] = section;
        if (used == 0 || section.last - section.first > main_.last - main_.first) main_ = section;
    }
    table_ = table.first(used);
    main_span_ = main_.last - main_.first;
    main_shift_ = ((main_.first >> block_order) - main_.first_block) << block_order;
}

bool FrameSections::agrees_with(const MemoryMap& map, const ZoneEnds& ends) const {
    SectionCutter cutter(map, ends, nodes_);
    size_t seen = 0;
    for (FrameSection section; cutter.next(section); ++seen)
        if (seen == table_.size() || table_[seen] != section) return false;
    return seen == table_.size();
}

uint32_t FrameSections::blocks() const {
    if (table_.empty()) return 0;
    const FrameSection& last = table_[table_.size() - 1];
    return last.first_block + last.blocks();
}

const FrameSection* FrameSections::search(uint64_t frame) const {
    // The first section that does not end below the frame.
    size_t low = 0;
    size_t high = table_.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (table_[middle].last < frame) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < table_.size() && table_[low].contains(frame) ? &table_[low] : nullptr;
}

BlockPiece FrameSections::piece(const FrameRange& frames) const {
    const uint64_t first = frames.first().value();
    const uint64_t last = frames.last().value();
    const FrameSection* const section = section_of(first);
    if (section == nullptr) {
        uint64_t end = last;
        for (const FrameSection& above : table_)
            if (above.first > first) end = min(end, above.first - 1);
        return {BlockPiece::outside, 0, end - first + 1};
    }
    const uint64_t end_of_block = first | (block_frames - 1);
    return {section->block_of(first), static_cast<unsigned>(first % block_frames),
            min(min(last, section->last), end_of_block) - first + 1};
}

const FrameSection& FrameSections::search_block(uint32_t block) const {
    size_t i = table_.size() - 1;
    while (table_[i].first_block > block)
        --i;
    return table_[i];
}

Frame FrameSections::first_frame(uint32_t block) const {
    const FrameSection& section = section_of_block(block);
    return Frame(max(section.first, frame(block, 0).value()));
}

FrameRange FrameSections::hull() const {
    if (table_.empty()) return FrameRange();
    return FrameRange::between(Frame(table_[0].first), Frame(table_[table_.size() - 1].last));
}

}  // namespace quire
