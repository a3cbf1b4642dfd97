// SPDX-License-Identifier: MIT
// What a start writes about blocks: groups of them that nothing is known of but that they are free,
// and the bitmaps and headers of all others.
#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

// Notes the groups that are usable and free as a whole, without touching their blocks.
void FrameCore::mark_fresh_groups() {
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        if (run.kind != MemoryKind::usable) continue;
        for (const FrameSection& section : sections_.all())
            mark_fresh(section, max(run.frames.first().value(), section.first),
                       min(run.frames.last().value(), section.last));
    }
}

// Of the frames `first` to `last` of a section, when these are any.
void FrameCore::mark_fresh(const FrameSection& section, uint64_t first_frame, uint64_t last_frame) {
    const uint64_t shift = section.first_block - (section.first >> block_order);
    const uint64_t first = ((first_frame + block_frames - 1) >> block_order) + shift;
    const uint64_t end = ((last_frame + 1) >> block_order) + shift;
    if (first_frame > last_frame || first >= end) return;
    const uint64_t first_group = BlockTable::groups_for(first);
    const uint64_t end_group = end >> BlockTable::group_order;
    if (first_group >= end_group) return;
    __builtin_memset(&table_.groups[static_cast<size_t>(first_group)],
                     static_cast<int>(BlockTable::Group::fresh),
                     static_cast<size_t>(end_group - first_group));
    // Homes of a node own groups in turn.
    const unsigned shares = 1u << share_order_;
    for (unsigned i = 0; i < shares && first_group + i < end_group; ++i) {
        const uint64_t groups = ((end_group - first_group - i - 1) >> share_order_) + 1;
        const uint32_t group = static_cast<uint32_t>(first_group + i);
        const unsigned home = home_of_block(section, group << BlockTable::group_order);
        FramePool& mine = pool(section.zone, home);
        const size_t blocks = static_cast<size_t>(groups << BlockTable::group_order);
        mine.total += blocks * block_frames;
        mine.free += blocks * block_frames;
        mine.whole += blocks;
        if (mine.fresh_groups == 0) mine.fresh_cursor = group;
        mine.fresh_groups += static_cast<uint32_t>(groups);
    }
}

template <class Visit>
void FrameCore::for_each_open_block(Visit visit) {
    const uint32_t groups = static_cast<uint32_t>(table_.groups.size());
    const uint32_t blocks = static_cast<uint32_t>(table_.headers.size());
    for (uint32_t group = table_.next_open_group(0); group < groups;
         group = table_.next_open_group(group + 1)) {
        const uint32_t first = group << BlockTable::group_order;
        for (uint32_t i = 0; i < BlockTable::group_blocks && i < blocks - first; ++i)
            visit(first + i);
    }
}

void FrameCore::clear_open_blocks() {
    for_each_open_block([this](uint32_t block) {
        table_.bits[block].clear_all();
        BlockHeader& header = *construct_at(&table_.headers[block]);
        header.index = static_cast<uint8_t>(index_number(sections_.section_of_block(block), block));
    });
}

void FrameCore::fill_bitmaps() {
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        if (run.kind != MemoryKind::usable) continue;
        for (FrameRange rest = run.frames; !rest.empty();) {
            const BlockPiece piece = sections_.piece(rest);
            rest = rest.without_prefix(FrameCount(fill_piece(piece, rest.count().value())));
        }
    }
}

// Fills the bitmap of the block that a run of frames begins in, or passes over the blocks of fresh
// groups. How many frames of the run are done with.
uint64_t FrameCore::fill_piece(const BlockPiece& piece, uint64_t frames) {
    if (table_.is_fresh(piece.block)) {
        const uint64_t open = table_.next_open_group(piece.block >> BlockTable::group_order);
        return min(((open << BlockTable::group_order) - piece.block) * block_frames, frames);
    }
    const unsigned count = static_cast<unsigned>(piece.count);
    BlockHeader& header = table_.headers[piece.block];
    table_.bits[piece.block].set(piece.first, count);
    header.free = static_cast<uint16_t>(header.free + count);
    FramePool& mine = pool_of(header);
    mine.total += count;
    mine.free += count;
    return count;
}

// Blocks that are usable in part, now or after a release, get a bitmap that says which part.
void FrameCore::add_masks() {
    for_each_open_block([this](uint32_t block) {
        BlockHeader& header = table_.headers[block];
        if (header.free == block_frames) {
            header.mask = BlockHeader::all_usable;
        } else if (header.free != 0) {
            header.mask = table_.masks_used++;
            table_.masks[header.mask] = table_.bits[block];
        }
    });
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        if (run.kind == MemoryKind::usable) continue;
        for (FrameRange rest = run.frames; !rest.empty();) {
            const BlockPiece piece = sections_.piece(rest);
            BlockHeader& header = table_.headers[piece.block];
            if (header.mask == BlockHeader::none_usable) {
                header.mask = table_.masks_used++;
                table_.masks[header.mask].clear_all();
            }
            rest = rest.without_prefix(FrameCount(piece.count));
        }
    }
}

void FrameCore::list_blocks() {
    // Downward, since each goes to the front of its list: the lowest is used first.
    for (uint32_t group = static_cast<uint32_t>(table_.groups.size()); group-- > 0;) {
        if (table_.groups.data()[group] == BlockTable::Group::fresh) continue;
        const uint32_t first = group << BlockTable::group_order;
        const uint32_t blocks = static_cast<uint32_t>(table_.headers.size());
        table_.set_group(group, BlockTable::Group::plain);
        for (uint32_t block = min(first + BlockTable::group_blocks, blocks); block-- > first;) {
            BlockHeader& header = table_.headers[block];
            if (header.mask != BlockHeader::all_usable) {
                table_.set_group(group, BlockTable::Group::mixed);
            }
            header.largest = static_cast<uint8_t>(table_.bits[block].largest_order());
            index_of(header).insert(table_.headers, block);
            if (header.free == block_frames) ++pool_of(header).whole;
        }
    }
}

void FrameCore::take_given(Span<const FrameRange> given) {
    for (const FrameRange& run : given) {
        // BootFrames gives out usable frames of its map only, each once.
        if (!check(run, Expect::free).ok()) trap();
        take(run, Mobility::unmovable);
    }
}

}  // namespace quire
