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

// Calls `visit` for each run of frames without a large hole in it.
void for_each_cluster(const MemoryMap& map, FunctionRef<void(const FrameRange&)> visit) {
    FrameRange cluster;
    for_each_managed_run(map, [&](const FrameRange& run, MemoryKind) {
        if (cluster.empty()) {
            cluster = run;
            return;
        }
        if (block_number(run.first()) > block_number(cluster.last()) + hole_blocks) {
            visit(cluster);
            cluster = run;
            return;
        }
        cluster = FrameRange::between(cluster.first(), run.last());
    });
    if (!cluster.empty()) visit(cluster);
}

// Calls `visit` for each cluster's part in each zone.
void for_each_section(const MemoryMap& map, const ZoneEnds& ends,
                      FunctionRef<void(const FrameSection&)> visit) {
    FrameSection section;
    for_each_cluster(map, [&](const FrameRange& cluster) {
        section.first = cluster.first().value();
        while (section.first <= cluster.last().value()) {
            section.zone = ends.of(section.first);
            section.last = min(cluster.last().value(), ends.end(section.zone) - 1);
            visit(section);
            section.first_block += section.blocks();
            section.first = section.last + 1;
        }
    });
}

}  // namespace

void for_each_managed_run(const MemoryMap& map,
                          FunctionRef<void(const FrameRange& run, MemoryKind kind)> visit) {
    const FrameRange usable = map.usable_hull();
    if (usable.empty()) return;
    const uint64_t lowest = usable.first().value();
    const uint64_t highest = usable.last().value();
    const FrameRange window =
        FrameRange::between(Frame(lowest - min(lowest, margin_frames)),
                            Frame(highest + min(Frame::highest - highest, margin_frames)));
    for (const MemoryEntry& entry : map.entries()) {
        if (entry.kind != MemoryKind::usable && !is_releasable(entry.kind)) continue;
        const FrameRange run = frames_inside(entry.range).intersection(window);
        if (!run.empty()) visit(run, entry.kind);
    }
}

FrameLayout frame_layout(const MemoryMap& map) {
    FrameLayout layout;
    for_each_cluster(map, [&](const FrameRange& cluster) {
        ++layout.sections;
        layout.blocks += block_number(cluster.last()) - block_number(cluster.first()) + 1;
    });
    // Blocks below this number have been counted.
    uint64_t counted = 0;
    const auto count_mask = [&](uint64_t block) {
        if (block < counted) return;
        ++layout.masks;
        counted = block + 1;
    };
    for_each_managed_run(map, [&](const FrameRange& run, MemoryKind kind) {
        const uint64_t first = block_number(run.first());
        const uint64_t last = block_number(run.last());
        if (kind == MemoryKind::usable) {
            if (run.first().value() % block_frames != 0) count_mask(first);
            if (run.last().value() % block_frames != block_frames - 1) count_mask(last);
            return;
        }
        count_mask(first);
        if (last >= counted) {
            layout.masks += last + 1 - counted;
            counted = last + 1;
        }
    });
    // The ends of two zones, each of which may cut a block in two.
    layout.sections += 2;
    layout.blocks += 2;
    layout.masks += 4;
    return layout;
}

FrameSections::FrameSections(const MemoryMap& map, const ZoneEnds& ends, Span<FrameSection> table) {
    size_t used = 0;
    for_each_section(map, ends, [&](const FrameSection& section) { table[used++] = section; });
    table_ = table.first(used);
}

bool FrameSections::agrees_with(const MemoryMap& map, const ZoneEnds& ends) const {
    size_t seen = 0;
    bool same = true;
    for_each_section(map, ends, [&](const FrameSection& section) {
        same = same && seen < table_.size() && table_[seen] == section;
        ++seen;
    });
    return same && seen == table_.size();
}

uint32_t FrameSections::blocks() const {
    if (table_.empty()) return 0;
    const FrameSection& last = table_[table_.size() - 1];
    return last.first_block + last.blocks();
}

BlockPiece FrameSections::piece(const FrameRange& frames) const {
    const uint64_t first = frames.first().value();
    const uint64_t last = frames.last().value();
    // The first section that does not end below the frame.
    size_t low = 0;
    size_t high = table_.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (table_[middle].last < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == table_.size()) return {BlockPiece::outside, 0, last - first + 1};
    const FrameSection& section = table_[low];
    if (first < section.first) {
        return {BlockPiece::outside, 0, min(last, section.first - 1) - first + 1};
    }
    const uint64_t block = (first >> block_order) - (section.first >> block_order);
    const uint64_t end_of_block = first | (block_frames - 1);
    return {section.first_block + static_cast<uint32_t>(block),
            static_cast<unsigned>(first % block_frames),
            min(min(last, section.last), end_of_block) - first + 1};
}

const FrameSection& FrameSections::section_of_block(uint32_t block) const {
    size_t low = 0;
    size_t high = table_.size();
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (table_[middle].first_block <= block) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return table_[low];
}

Frame FrameSections::first_frame(uint32_t block) const {
    const FrameSection& section = section_of_block(block);
    return Frame(max(section.first, frame(block, 0).value()));
}

Frame FrameSections::frame(uint32_t block, unsigned position) const {
    const FrameSection& section = section_of_block(block);
    const uint64_t number = (section.first >> block_order) + (block - section.first_block);
    return Frame((number << block_order) + position);
}

FrameRange FrameSections::hull() const {
    if (table_.empty()) return FrameRange();
    return FrameRange::between(Frame(table_[0].first), Frame(table_[table_.size() - 1].last));
}

}  // namespace quire
