// SPDX-License-Identifier: MIT
// The frame allocator's books, checked against themselves and against the map. Nothing found in
// them is trusted: a wrong number must end in Error::corrupted, not in a trap.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

Status FrameCore::validate() const {
    if (map_ == nullptr) return {};
    if (!sections_.agrees_with(*map_, ends_)) return Failure{Error::corrupted, 0};
    const Status groups = check_groups();
    if (!groups.ok()) return groups;
    for (const FrameSection& section : sections_.all()) {
        for (uint32_t i = 0; i < section.blocks(); ++i) {
            const Status block = check_block(section, section.first_block + i);
            if (!block.ok()) return block;
        }
    }
    for (size_t i = 0; i < pools_.size(); ++i) {
        const Status pool = check_pool(i);
        if (!pool.ok()) return pool;
    }
    const Status usable = check_usable();
    if (!usable.ok()) return usable;
    return check_index();
}

// A group is fresh only where all of it lies in one section and counts as such; it is mixed exactly
// when one of its blocks is not usable as a whole.
Status FrameCore::check_groups() const {
    for (uint32_t group = 0; group < table_.groups.size(); ++group) {
        const uint32_t first = group << BlockTable::group_order;
        const uint32_t end =
            min(first + BlockTable::group_blocks, static_cast<uint32_t>(table_.headers.size()));
        const BlockTable::Group state = table_.groups[group];
        if (state == BlockTable::Group::fresh) {
            const FrameSection& section = sections_.section_of_block(first);
            const bool inside =
                end - first == BlockTable::group_blocks &&
                end <= section.first_block + section.blocks() &&
                group >= pools_[index_number(section, first) / mobilities].fresh_cursor;
            if (!inside) return corrupted(first);
            continue;
        }
        bool mixed = false;
        for (uint32_t block = first; block < end; ++block)
            mixed = mixed || table_.headers[block].mask != BlockHeader::all_usable;
        if (state != (mixed ? BlockTable::Group::mixed : BlockTable::Group::plain)) {
            return corrupted(first);
        }
    }
    return {};
}

// The header tells of the bitmap what it shows, and nothing is free that is not usable.
Status FrameCore::check_block(const FrameSection& section, uint32_t block) const {
    if (table_.is_fresh(block)) return {};
    const BlockHeader& header = table_.headers[block];
    const BlockBits& bits = table_.bits[block];
    const unsigned free = bits.count();
    const unsigned index = index_number(section, block);
    const bool indexed =
        header.index == index || (header.index == index + 1 && free != block_frames);
    if (header.free != free || header.largest != bits.largest_order() || !indexed) {
        return corrupted(block);
    }
    if (header.mask == BlockHeader::all_usable) return {};
    if (header.mask == BlockHeader::none_usable) return free == 0 ? Status() : corrupted(block);
    const uint32_t masks = static_cast<uint32_t>(table_.masks.size());
    const uint32_t first_spare = masks - BlockTable::spare_masks;
    const bool known = header.mask < table_.masks_used ||
                       (header.mask >= first_spare && header.mask < masks &&
                        (spare_masks_used_ >> (header.mask - first_spare) & 1) != 0);
    if (!known || !bits.is_subset_of(table_.masks[header.mask])) return corrupted(block);
    return {};
}

// A pool's counters are the sums over its blocks.
Status FrameCore::check_pool(size_t number) const {
    const FramePool& pool = pools_[number];
    size_t total = 0;
    size_t free = 0;
    size_t whole = 0;
    uint32_t fresh_groups = 0;
    for (const FrameSection& section : sections_.all()) {
        if (static_cast<size_t>(section.zone) != number / homes_) continue;
        for (uint32_t i = 0; i < section.blocks(); ++i) {
            const uint32_t block = section.first_block + i;
            if (index_number(section, block) / mobilities != number) continue;
            const unsigned free_here = table_.free(block);
            total += usable_in(block);
            free += free_here;
            whole += free_here == block_frames ? 1 : 0;
            const bool first_of_fresh =
                table_.is_fresh(block) && block % BlockTable::group_blocks == 0;
            fresh_groups += first_of_fresh ? 1 : 0;
        }
    }
    const bool right = pool.total == total && pool.free == free && pool.whole == whole &&
                       pool.fresh_groups == fresh_groups;
    if (!right) return Failure{Error::corrupted, pool.free};
    return {};
}

// How many frames of a block may be given out at all.
unsigned FrameCore::usable_in(uint32_t block) const {
    const uint32_t mask =
        table_.is_fresh(block) ? BlockHeader::all_usable : table_.headers[block].mask;
    if (mask == BlockHeader::all_usable) return block_frames;
    return mask == BlockHeader::none_usable ? 0 : table_.masks[mask].count();
}

// What is usable is what the map says, and what was released since: every usable frame of the map
// but as many as are off line, as many releasable ones as were released, and no others.
Status FrameCore::check_usable() const {
    FrameCount released;
    FrameCount missing;
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        const FrameCount usable = usable_of(run.frames);
        if (is_releasable(run.kind)) {
            released += usable;
        } else {
            missing += run.frames.count() - usable;
        }
    }
    if (missing != offline_) return Failure{Error::corrupted, missing.value()};
    if (released != released_) return Failure{Error::corrupted, released.value()};
    const FrameCount total = counters().total;
    if (total + offline_ != map_->usable_frames() + released_) {
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
            const unsigned first = table_.next_usable(piece.block, position);
            if (first >= end) break;
            position = min(table_.next_reserved(piece.block, first), end);
            sum += FrameCount(position - first);
        }
    }
    return sum;
}

// Every block with free frames is in exactly the list that its header asks for.
Status FrameCore::check_index() const {
    for (size_t number = 0; number < pools_.size() * mobilities; ++number) {
        const BlockIndex& index = pools_[number / mobilities].index[number % mobilities];
        const Result<uint32_t> listed = index.check(table_.headers, static_cast<unsigned>(number));
        if (!listed.ok()) return corrupted(static_cast<uint32_t>(listed.failure().where));
        uint32_t with_free_frames = 0;
        for (uint32_t block = 0; block < table_.headers.size(); ++block) {
            if (table_.is_fresh(block)) continue;
            const BlockHeader& header = table_.headers[block];
            with_free_frames += header.free != 0 && header.index == number ? 1 : 0;
        }
        if (*listed != with_free_frames) return Failure{Error::corrupted, *listed};
    }
    return {};
}

// The block concerned, by its first frame; frame 0 when it is no block.
Failure FrameCore::corrupted(uint32_t block) const {
    if (block >= table_.headers.size()) return {Error::corrupted, 0};
    return {Error::corrupted, sections_.first_frame(block).value()};
}

}  // namespace quire
