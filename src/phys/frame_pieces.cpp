// SPDX-License-Identifier: MIT
// Runs of frames, taken and given back piece by piece: a piece is what lies in one block.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

// Success when every frame is as expected; otherwise the refusal of the first that is not.
// Error::zero_size for an empty range. O(blocks of the range).
Status FrameCore::check(const FrameRange& frames, Expect expected) const {
    if (frames.empty()) return Failure{Error::zero_size, frames.first().value()};
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        if (piece.block == BlockPiece::outside) {
            return refusal(rest.first().value(), expected);
        }
        const unsigned wrong = expected == Expect::free
                                   ? table_.next_taken(piece.block, piece.first)
                                   : min(table_.next_free(piece.block, piece.first),
                                         table_.next_reserved(piece.block, piece.first));
        if (wrong < piece.first + piece.count) {
            return refusal(rest.first().value() + (wrong - piece.first), expected);
        }
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    return {};
}

// Why a frame is not as it was expected to be.
Failure FrameCore::refusal(uint64_t frame, Expect expected) const {
    if (!sections_.reach_to(frame)) return {Error::out_of_range, frame};
    const FrameSection* const section = sections_.section_of(frame);
    const bool usable =
        section != nullptr &&
        table_.is_usable(section->block_of(frame), static_cast<unsigned>(frame % block_frames));
    if (!usable) return {Error::reserved, frame};
    return {expected == Expect::free ? Error::in_use : Error::already_free, frame};
}

// Unchecked: all frames are free. `take_piece` and `give_piece` alike move a block to another list
// only when it belongs there.
void FrameCore::take(const FrameRange& frames, Mobility mobility) {
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        if (table_.is_fresh(piece.block)) open_group(piece.block >> BlockTable::group_order);
        take_piece(piece.block, piece.first, static_cast<unsigned>(piece.count), block_order,
                   mobility);
        rest = rest.without_prefix(FrameCount(piece.count));
    }
}

// Unchecked: all frames are given out.
void FrameCore::give(const FrameRange& frames) {
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        give_piece(piece.block, piece.first, static_cast<unsigned>(piece.count));
        rest = rest.without_prefix(FrameCount(piece.count));
    }
}

// `hole_order` is the order of the hole that the frames are taken from, at least: where the block
// has a larger one, that stays the largest.
void FrameCore::take_piece(uint32_t block, unsigned first, unsigned count, unsigned hole_order,
                           Mobility mobility) {
    BlockHeader& header = table_.headers.data()[block];
    BlockBits& bits = table_.bits.data()[block];
    unsigned largest = header.largest;
    if (count == header.free) {
        bits.clear_all();
        largest = BlockBits::no_hole;
    } else {
        bits.clear(first, count);
        if (hole_order >= largest) largest = bits.largest_order(largest);
    }
    pool_of(header).remove_free(count);
    file(block, {header.free - count, largest, mobility});
}

void FrameCore::give_piece(uint32_t block, unsigned first, unsigned count) {
    BlockHeader& header = table_.headers.data()[block];
    BlockBits& bits = table_.bits.data()[block];
    unsigned largest = block_order;
    if (header.free + count == block_frames) {
        bits.set_all();
    } else {
        bits.set(first, count);
        largest = bits.largest_order_after_set(header.largest, first, count);
    }
    pool_of(header).add_free(count);
    file(block, {header.free + count, largest, Mobility::unmovable});
}

void FrameCore::refile(uint32_t block, BlockState state) {
    BlockHeader& header = table_.headers.data()[block];
    FramePool& pool = pool_of(header);
    unsigned kind = header.index % mobilities;
    const unsigned first = header.index - kind;
    pool.index[kind].remove(table_.headers, block);
    if (header.free == block_frames) {
        pool.remove_whole();
        kind = static_cast<unsigned>(state.mobility);
    }
    if (state.free == block_frames) {
        pool.add_whole();
        kind = 0;
    }
    atomic::store(header.index, static_cast<uint8_t>(first + kind));
    atomic::store(header.free, state.free);
    atomic::store(header.largest, state.largest);
    pool.index[kind].insert(table_.headers, block);
}

bool FrameCore::take_whole(Zone zone, unsigned home, Mobility mobility, Frame& frame) {
    if (pools_.empty()) return false;
    FramePool& pool = this->pool(zone, home);
    uint32_t block = pool.index[0].first_whole();
    if (block == no_block) {
        if (pool.fresh_groups == 0) return false;
        open_lowest(pool);
        block = pool.index[0].first_whole();
    }
    pool.index[0].pop_whole(table_.headers);
    pool.remove_whole();
    pool.remove_free(block_frames);
    BlockHeader& header = table_.headers.data()[block];
    atomic::store(header.free, 0);
    atomic::store(header.largest, BlockBits::no_hole);
    atomic::store(header.index,
                  static_cast<uint8_t>(header.index + static_cast<unsigned>(mobility)));
    table_.bits.data()[block].clear_all();
    frame = sections_.frame(block, 0);
    return true;
}

bool FrameCore::give_whole(const FrameRange& frames, unsigned home) {
    const uint64_t first = frames.first().value();
    const bool is_block = frames.count().value() == block_frames && first % block_frames == 0;
    const FrameSection* const section = is_block ? sections_.section_of(first) : nullptr;
    if (section == nullptr) return false;
    const uint32_t block = section->block_of(first);
    if (table_.is_fresh(block) || home_of_block(*section, block) != home) return false;
    BlockHeader& header = table_.headers.data()[block];
    // Such a block belongs to one section, and so do the frames.
    if (header.free != 0 || header.mask != BlockHeader::all_usable) return false;
    FramePool& pool = pool_of(header);
    atomic::store(header.free, block_frames);
    atomic::store(header.largest, block_order);
    atomic::store(header.index, static_cast<uint8_t>(header.index - header.index % mobilities));
    table_.bits.data()[block].set_all();
    pool.index[0].push_whole(table_.headers, block);
    pool.add_whole();
    pool.add_free(block_frames);
    return true;
}

// Writes the books of a fresh group, whose blocks have been counted already.
void FrameCore::open_group(uint32_t group) {
    const uint32_t first = group << BlockTable::group_order;
    const unsigned index = index_number(sections_.section_of_block(first), first);
    FramePool& pool = pools_.data()[index / mobilities];
    --pool.fresh_groups;
    // Downward, since each goes to the front of its list: the lowest is used first.
    for (uint32_t block = first + BlockTable::group_blocks; block-- > first;) {
        table_.write_whole(block, index);
        pool.index[0].insert(table_.headers, block);
    }
    table_.set_group(group, BlockTable::Group::plain);
}

// Opens the lowest fresh group of a pool; it must have one.
void FrameCore::open_lowest(FramePool& pool) {
    const size_t number = static_cast<size_t>(&pool - pools_.data());
    for (uint32_t group = pool.fresh_cursor;; ++group) {
        group = table_.next_fresh_group(group);
        const uint32_t first = group << BlockTable::group_order;
        if (index_number(sections_.section_of_block(first), first) / mobilities != number) continue;
        pool.fresh_cursor = group + 1;
        open_group(group);
        return;
    }
}

}  // namespace quire
