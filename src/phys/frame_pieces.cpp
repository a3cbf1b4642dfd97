// SPDX-License-Identifier: MIT
// Runs of frames, taken and given back piece by piece: a piece is what lies in one block.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

// The first position of a block at or above `from` that is not usable, or nowhere.
unsigned FrameCore::next_reserved(uint32_t block, unsigned from) const {
    const uint32_t mask = headers_[block].mask;
    if (mask == BlockHeader::all_usable) return BlockBits::nowhere;
    if (mask == BlockHeader::none_usable) return from;
    return masks_[mask].next_clear(from);
}

// The first one that is usable, or nowhere.
unsigned FrameCore::next_usable(uint32_t block, unsigned from) const {
    const uint32_t mask = headers_[block].mask;
    if (mask == BlockHeader::all_usable) return from;
    if (mask == BlockHeader::none_usable) return BlockBits::nowhere;
    return masks_[mask].next_set(from);
}

// Success when every frame is as expected; otherwise the refusal of the first that is not.
// Error::zero_size for an empty range. O(blocks of the range).
Status FrameCore::check(const FrameRange& frames, Expect expected) const {
    if (frames.empty()) return Failure{Error::zero_size, frames.first().value()};
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        if (piece.block == BlockPiece::outside) {
            return refusal(piece, rest.first().value(), expected);
        }
        const BlockBits& bits = bits_[piece.block];
        const unsigned wrong =
            expected == Expect::free
                ? bits.next_clear(piece.first)
                : min(bits.next_set(piece.first), next_reserved(piece.block, piece.first));
        if (wrong < piece.first + piece.count) {
            return refusal({piece.block, wrong, 1}, rest.first().value() + (wrong - piece.first),
                           expected);
        }
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    return {};
}

// Why a frame is not as it was expected to be; `piece` begins with it.
Failure FrameCore::refusal(const BlockPiece& piece, uint64_t frame, Expect expected) const {
    if (!sections_.reach_to(frame)) return {Error::out_of_range, frame};
    const bool usable =
        piece.block != BlockPiece::outside && next_usable(piece.block, piece.first) == piece.first;
    if (!usable) return {Error::reserved, frame};
    return {expected == Expect::free ? Error::in_use : Error::already_free, frame};
}

// Unchecked: all frames are free. `take_piece` and `give_piece` alike move a block to another list
// only when it belongs there.
void FrameCore::take(const FrameRange& frames) {
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        take_piece(piece.block, piece.first, static_cast<unsigned>(piece.count), block_order);
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
void FrameCore::take_piece(uint32_t block, unsigned first, unsigned count, unsigned hole_order) {
    BlockHeader& header = headers_[block];
    bits_[block].clear(first, count);
    const unsigned largest =
        hole_order < header.largest ? header.largest : bits_[block].largest_order(header.largest);
    file(block, header.free - count, largest);
    counters_[static_cast<size_t>(header.zone)].free -= FrameCount(count);
}

void FrameCore::give_piece(uint32_t block, unsigned first, unsigned count) {
    BlockHeader& header = headers_[block];
    bits_[block].set(first, count);
    const unsigned largest = bits_[block].largest_order_after_set(header.largest, first, count);
    file(block, header.free + count, largest);
    counters_[static_cast<size_t>(header.zone)].free += FrameCount(count);
}

// Notes a block's new state, and moves it to the list where it is looked for.
void FrameCore::file(uint32_t block, unsigned free, unsigned largest) {
    BlockHeader& header = headers_[block];
    BlockIndex& index = index_[static_cast<size_t>(header.zone)];
    // From and to a block without free frames, the largest hole changes as well.
    const bool moves = largest != header.largest ||
                       BlockIndex::fullness(free) != BlockIndex::fullness(header.free);
    if (moves) index.remove(headers_, block);
    header.free = static_cast<uint16_t>(free);
    header.largest = static_cast<uint8_t>(largest);
    if (moves) index.insert(headers_, block);
}

}  // namespace quire
