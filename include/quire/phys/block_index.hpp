// SPDX-License-Identifier: MIT
// The index that says at once which block a request is best served from.
//
// Blocks with free frames are kept in lists by (order of the largest hole, fullness class). Classes
// are logarithmic in the frames that are not free: a block with 3 frames in use, which may soon be
// whole again, is told from one with 30, while blocks half full and nearly full are alike. A
// request is served from the fullest class that can serve it, and there from the list of the
// smallest sufficient hole: few blocks are broken into, and those that are used fill up.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/bits.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/block_bits.hpp"

namespace quire {

inline constexpr uint32_t no_block = UINT32_MAX;

// What is known of a block beside its bitmap.
struct BlockHeader {
    // Values of `mask` that name no bitmap.
    static constexpr uint32_t all_usable = UINT32_MAX;
    static constexpr uint32_t none_usable = UINT32_MAX - 1;

    uint32_t next = no_block;      // in its list; meaningless while free is 0
    uint32_t previous = no_block;  // no_block for the first
    uint32_t mask = none_usable;   // which bitmap says what of it is usable, when not all is
    // These three may be read by whoever holds no lock.
    uint16_t free = 0;                     // frames
    uint8_t largest = BlockBits::no_hole;  // order of the largest hole
    uint8_t index = 0;                     // the number of the index that it belongs to
};
static_assert(sizeof(BlockHeader) == 16);

// The lists of one pool's blocks for one mobility. The headers are the caller's, and passed to each
// call: a block's number is its place among them. Not synchronised. All but `check` are O(1).
class BlockIndex {
  public:
    using Headers = Span<BlockHeader>;
    static constexpr unsigned orders = block_order + 1;
    static constexpr unsigned classes = block_order + 1;

    constexpr BlockIndex() {
        for (auto& row : first_)
            for (uint32_t& first : row)
                first = no_block;
    }

    // 0 when no frame is used, else 1 + log2 of their number; a block without free frames has none.
    static unsigned fullness(unsigned free) {
        const unsigned used = block_frames - free;
        return used == 0 ? 0 : 1 + highest_bit(used);
    }

    // Whether two such numbers of free frames are of one class: those of frames used have the same
    // highest bit, or none.
    static bool as_full(unsigned free, unsigned other_free) {
        const unsigned used = block_frames - free;
        const unsigned other_used = block_frames - other_free;
        return (used ^ other_used) <= (used & other_used);
    }

    // Puts a block with free frames in the list that its header asks for, as the first; what has
    // no free frame belongs in no list.
    void insert(Headers headers, uint32_t block);
    // Takes it out of the list that its header still asks for.
    void remove(Headers headers, uint32_t block);
    // The block to serve a request for a hole of `order` from, or no_block; from among those of
    // fullness `least` or more.
    uint32_t find(unsigned order, unsigned least = 0) const;
    // Which blocks a request for a single frame is served from, of those in use: none is fuller
    // than these, and of those as full, none has smaller holes. Any, when there are none.
    struct Choice {
        uint16_t most_free;
        int8_t largest;  // order of the largest hole, at most

        // Whether a block that is given back one more frame is as good. One without a free frame
        // always is: what it says of its largest hole is -1 here.
        bool permits(const BlockHeader& header) const {
            return atomic::load(header.free) < most_free &&
                   static_cast<int8_t>(atomic::load(header.largest)) <= largest;
        }
    };
    // May be asked by whoever holds no lock: what was so a moment ago.
    Choice choice() const;
    // A block whose frames are all free, or no_block.
    uint32_t first_whole() const { return first_[block_order][0]; }
    // As `insert` for such a block, and as `remove` for the first of them.
    void push_whole(Headers headers, uint32_t block) {
        uint32_t& first = first_[block_order][0];
        BlockHeader& header = headers.data()[block];
        header.previous = no_block;
        header.next = first;
        if (first != no_block) headers[first].previous = block;
        first = block;
        note_present(block_order, 0);
    }
    void pop_whole(Headers headers) {
        uint32_t& first = first_[block_order][0];
        first = headers[first].next;
        if (first != no_block) {
            headers[first].previous = no_block;
        } else {
            note_absent(block_order, 0);
        }
    }

    // Follows every list and counts the blocks in them. Error::corrupted with a block's number when
    // a list holds what does not belong there, or its links disagree. O(blocks).
    Result<uint32_t> check(Span<const BlockHeader> headers, unsigned index) const;

  private:
    // Two classes share a word, so that few are looked at where only emptier blocks will do.
    static constexpr uint32_t present_bit(unsigned order, unsigned fullness_class) {
        return uint32_t{1} << (order + fullness_class % 2 * 16);
    }
    void note_present(unsigned order, unsigned fullness_class) {
        uint32_t& word = orders_present_[fullness_class / 2];
        atomic::store(word, word | present_bit(order, fullness_class));
    }
    void note_absent(unsigned order, unsigned fullness_class) {
        uint32_t& word = orders_present_[fullness_class / 2];
        atomic::store(word, word & ~present_bit(order, fullness_class));
    }

    uint32_t first_[orders][classes] = {};
    // A bit for each order whose list is not empty, 16 bits for each class.
    uint32_t orders_present_[(classes + 1) / 2] = {};
};

}  // namespace quire
