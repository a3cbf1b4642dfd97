// SPDX-License-Identifier: MIT
// Frames that are taken out of use and brought back: bad memory, and memory that is pulled and
// plugged. While off line they are like reserved ones.
#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

Status FrameCore::offline(const FrameRange& frames) {
    const Status free = check(frames, Expect::free);
    if (!free.ok()) return free;
    const uint64_t first = frames.first().value();
    if (!map_->is_usable(frames)) return Failure{Error::reserved, first};
    open_all(frames);
    if (spare_masks_wanted(frames) > BlockTable::spare_masks - count_bits(spare_masks_used_)) {
        return Failure{Error::too_many, first};
    }
    take(frames, Mobility::unmovable);
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned count = static_cast<unsigned>(piece.count);
        BlockBits* const mask = mask_for(piece.block, count);
        if (mask != nullptr) mask->clear(piece.first, count);
        drop_mask(piece.block);
        note_group(piece.block);
        pool_of(table_.headers[piece.block]).total -= count;
        rest = rest.without_prefix(FrameCount(count));
    }
    offline_ += frames.count();
    return {};
}

Status FrameCore::online(const FrameRange& frames) {
    const uint64_t first = frames.first().value();
    if (frames.empty()) return Failure{Error::zero_size, first};
    const Status off = check_offline(frames);
    if (!off.ok()) return off;
    if (spare_masks_wanted(frames) > BlockTable::spare_masks - count_bits(spare_masks_used_)) {
        return Failure{Error::too_many, first};
    }
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned count = static_cast<unsigned>(piece.count);
        BlockBits* const mask = mask_for(piece.block, count);
        if (mask != nullptr) mask->set(piece.first, count);
        drop_mask(piece.block);
        note_group(piece.block);
        pool_of(table_.headers[piece.block]).total += count;
        give_piece(piece.block, piece.first, count);
        rest = rest.without_prefix(FrameCount(count));
    }
    offline_ -= frames.count();
    return {};
}

// Every frame is usable by the map, and not by the books.
Status FrameCore::check_offline(const FrameRange& frames) const {
    const uint64_t first = frames.first().value();
    if (map_ == nullptr || !sections_.reach_to(first)) return Failure{Error::out_of_range, first};
    if (!map_->is_usable(frames)) return Failure{Error::reserved, first};
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned usable = table_.next_usable(piece.block, piece.first);
        if (usable < piece.first + piece.count) {
            return Failure{Error::in_use, rest.first().value() + (usable - piece.first)};
        }
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    return {};
}

void FrameCore::open_all(const FrameRange& frames) {
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        if (table_.is_fresh(piece.block)) open_group(piece.block >> BlockTable::group_order);
        rest = rest.without_prefix(FrameCount(piece.count));
    }
}

// Whether a block that has no bitmap of what is usable needs one when `count` of its frames change.
bool FrameCore::needs_mask(uint32_t block, unsigned count) const {
    const uint32_t mask = table_.headers[block].mask;
    const bool has_none = mask == BlockHeader::all_usable || mask == BlockHeader::none_usable;
    return has_none && count != block_frames;
}

// At most two: only the first and the last block of a range change in part.
unsigned FrameCore::spare_masks_wanted(const FrameRange& frames) const {
    unsigned wanted = 0;
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        wanted += needs_mask(piece.block, static_cast<unsigned>(piece.count)) ? 1 : 0;
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    return wanted;
}

// The bitmap of what is usable of a block of which `count` frames change, made where there is none;
// nullptr when the whole block changes, which is then noted.
BlockBits* FrameCore::mask_for(uint32_t block, unsigned count) {
    uint32_t& mask = table_.headers[block].mask;
    const bool all = mask == BlockHeader::all_usable;
    const bool none = mask == BlockHeader::none_usable;
    if (!all && !none) return &table_.masks[mask];
    if (count == block_frames) {
        atomic::store(mask, all ? BlockHeader::none_usable : BlockHeader::all_usable);
        return nullptr;
    }
    const unsigned spare = lowest_bit(~uint64_t{spare_masks_used_});
    if (spare >= BlockTable::spare_masks) trap();
    spare_masks_used_ |= 1u << spare;
    const uint32_t number =
        static_cast<uint32_t>(table_.masks.size()) - BlockTable::spare_masks + spare;
    if (all) {
        table_.masks[number].set_all();
    } else {
        table_.masks[number].clear_all();
    }
    atomic::store(mask, number);
    return &table_.masks[number];
}

// A spare bitmap goes back when it says of all frames, or of none, that they are usable.
void FrameCore::drop_mask(uint32_t block) {
    BlockHeader& header = table_.headers[block];
    const uint32_t first_spare =
        static_cast<uint32_t>(table_.masks.size()) - BlockTable::spare_masks;
    if (header.mask >= table_.masks.size() || header.mask < first_spare) return;
    const unsigned usable = table_.masks[header.mask].count();
    if (usable != 0 && usable != block_frames) return;
    spare_masks_used_ &= ~(1u << (header.mask - first_spare));
    atomic::store(header.mask, usable == 0 ? BlockHeader::none_usable : BlockHeader::all_usable);
}

// Says of a block's group whether all of it is usable.
void FrameCore::note_group(uint32_t block) {
    const uint32_t group = block >> BlockTable::group_order;
    const uint32_t first = group << BlockTable::group_order;
    const uint32_t end =
        min(first + BlockTable::group_blocks, static_cast<uint32_t>(table_.headers.size()));
    BlockTable::Group state = BlockTable::Group::plain;
    for (uint32_t i = first; i < end; ++i)
        if (table_.headers[i].mask != BlockHeader::all_usable) state = BlockTable::Group::mixed;
    table_.set_group(group, state);
}

}  // namespace quire
