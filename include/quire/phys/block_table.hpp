// SPDX-License-Identifier: MIT
// What is known of each block: a bitmap and a header, written when they are first needed.
//
// Blocks are opened by groups. A group all of whose frames were usable and free from the start, and
// of which nobody has asked for a frame yet, is fresh: its bitmaps and headers hold nothing that
// was ever written, and stand for blocks that are free as a whole. So a start writes one byte for
// each 128 MiB of such memory, however much there is.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/block_bits.hpp"
#include "quire/phys/block_index.hpp"

namespace quire {

class BlockTable {
  public:
    static constexpr unsigned group_order = 6;
    static constexpr uint32_t group_blocks = 1u << group_order;

    // Bitmaps for blocks that become usable in part because some of their frames are taken off
    // line.
    static constexpr uint32_t spare_masks = 16;

    enum class Group : uint8_t {
        fresh,
        plain,  // every frame of every block is usable
        mixed,  // the headers say what is usable
    };

    static constexpr uint64_t groups_for(uint64_t blocks) {
        return (blocks + group_blocks - 1) >> group_order;
    }

    // The group's state; may be asked by whoever holds no lock.
    Group group_of(uint32_t block) const {
        return atomic::load(groups.data()[block >> group_order]);
    }
    void set_group(uint32_t group, Group state) { atomic::store(groups.data()[group], state); }
    bool is_fresh(uint32_t block) const { return group_of(block) == Group::fresh; }

    // Whether a frame may be given out at all; may be asked by whoever holds no lock.
    bool is_usable(uint32_t block, unsigned position) const {
        if (group_of(block) != Group::mixed) return true;
        const uint32_t mask = atomic::load(headers.data()[block].mask);
        if (mask == BlockHeader::all_usable) return true;
        return mask != BlockHeader::none_usable && masks[mask].peek(position);
    }
    // The same for all frames of the word that a position lies in.
    uint64_t usable_word(uint32_t block, unsigned position) const {
        const uint32_t mask = headers[block].mask;
        if (mask == BlockHeader::all_usable) return ~uint64_t{0};
        return mask == BlockHeader::none_usable ? 0 : masks[mask].word_at(position);
    }
    // Frames of a block that are free, and whether one of them is.
    unsigned free(uint32_t block) const {
        return is_fresh(block) ? block_frames : headers[block].free;
    }
    bool is_free(uint32_t block, unsigned position) const {
        return is_fresh(block) || bits[block].test(position);
    }
    // The first position of a block at or above `from` that is free, that is not free, that is
    // usable, that is not usable; or nowhere.
    unsigned next_free(uint32_t block, unsigned from) const {
        return is_fresh(block) ? from : bits[block].next_set(from);
    }
    unsigned next_taken(uint32_t block, unsigned from) const {
        return free(block) == block_frames ? BlockBits::nowhere : bits[block].next_clear(from);
    }
    unsigned next_usable(uint32_t block, unsigned from) const;
    unsigned next_reserved(uint32_t block, unsigned from) const;

    // The first group from `group` on that is fresh, or that is not; groups.size() when there is
    // none. O(groups / 8).
    uint32_t next_fresh_group(uint32_t group) const;
    uint32_t next_open_group(uint32_t group) const;
    // Writes what a block of a fresh group stands for.
    void write_whole(uint32_t block, unsigned index);

    Span<BlockHeader> headers;
    Span<BlockBits> bits;   // set: free
    Span<BlockBits> masks;  // set: usable, free or not; one for each block usable in part
    Span<Group> groups;
    uint32_t masks_used = 0;  // without spare ones, which are the last
};

}  // namespace quire
