// SPDX-License-Identifier: MIT
// The frame allocator's books, checked against themselves and against the map. Nothing found in
// them is trusted: a wrong number must end in Error::corrupted, not in a trap.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

Status FrameCore::validate() const {
    if (map_ == nullptr) return {};
    if (!sections_.agrees_with(*map_, ends_)) return Failure{Error::corrupted, 0};
    ZoneCounters sums[zones];
    for (const FrameSection& section : sections_.all()) {
        for (uint32_t i = 0; i < section.blocks(); ++i) {
            const Status block = check_block(section, section.first_block + i,
                                             sums[static_cast<size_t>(section.zone)]);
            if (!block.ok()) return block;
        }
    }
    for (size_t i = 0; i < zones; ++i)
        if (sums[i] != counters_[i]) return Failure{Error::corrupted, counters_[i].free.value()};
    const Status usable = check_usable();
    if (!usable.ok()) return usable;
    return check_index();
}

// The header tells of the bitmap what it shows, and nothing is free that is not usable.
Status FrameCore::check_block(const FrameSection& section, uint32_t block,
                              ZoneCounters& sums) const {
    const BlockHeader& header = headers_[block];
    const BlockBits& bits = bits_[block];
    const unsigned free = bits.count();
    if (header.free != free || header.largest != bits.largest_order() ||
        header.zone != section.zone) {
        return corrupted(block);
    }
    unsigned usable = 0;
    if (header.mask == BlockHeader::all_usable) {
        usable = block_frames;
    } else if (header.mask == BlockHeader::none_usable) {
        if (free != 0) return corrupted(block);
    } else {
        if (header.mask >= masks_used_) return corrupted(block);
        const BlockBits& mask = masks_[header.mask];
        usable = mask.count();
        if (!bits.is_subset_of(mask)) return corrupted(block);
    }
    sums.total += FrameCount(usable);
    sums.free += FrameCount(free);
    return {};
}

// What is usable is what the map says, and what was released since: every usable frame of the map,
// as many releasable ones as were released, and no others.
Status FrameCore::check_usable() const {
    FrameCount released;
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        const FrameCount usable = usable_of(run.frames);
        if (is_releasable(run.kind)) {
            released += usable;
        } else if (usable != run.frames.count()) {
            return Failure{Error::corrupted, run.frames.first().value()};
        }
    }
    if (released != released_) return Failure{Error::corrupted, released.value()};
    const FrameCount total = counters().total;
    if (total != map_->usable_frames() + released_) {
        return Failure{Error::corrupted, total.value()};
    }
    return {};
}

// How many frames of a run are usable.
FrameCount FrameCore::usable_of(const FrameRange& run) const {
    FrameCount sum;
    for (FrameRange rest = run; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        rest = rest.without_prefix(FrameCount(piece.count));
        if (piece.block == BlockPiece::outside) continue;
        const unsigned end = piece.first + static_cast<unsigned>(piece.count);
        unsigned position = piece.first;
        while (position < end) {
            const unsigned first = next_usable(piece.block, position);
            if (first >= end) break;
            position = min(next_reserved(piece.block, first), end);
            sum += FrameCount(position - first);
        }
    }
    return sum;
}

// Every block with free frames is in exactly the list that its header asks for.
Status FrameCore::check_index() const {
    uint32_t with_free_frames[zones] = {};
    for (const BlockHeader& header : headers_)
        if (header.free != 0) ++with_free_frames[static_cast<size_t>(header.zone)];
    for (size_t i = 0; i < zones; ++i) {
        const Result<uint32_t> listed = index_[i].check(headers_, static_cast<Zone>(i));
        if (!listed.ok()) return corrupted(static_cast<uint32_t>(listed.failure().where));
        if (*listed != with_free_frames[i]) return Failure{Error::corrupted, *listed};
    }
    return {};
}

// The block concerned, by its first frame; frame 0 when it is no block.
Failure FrameCore::corrupted(uint32_t block) const {
    if (block >= headers_.size()) return {Error::corrupted, 0};
    return {Error::corrupted, sections_.first_frame(block).value()};
}

}  // namespace quire
