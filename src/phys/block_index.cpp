// SPDX-License-Identifier: MIT
#include "quire/phys/block_index.hpp"

#include "quire/base/bits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

void BlockIndex::insert(Headers headers, uint32_t block) {
    BlockHeader& header = headers[block];
    if (header.free == 0) return;
    const unsigned order = header.largest;
    const unsigned fullness_class = fullness(header.free);
    if (order >= orders || fullness_class >= classes) trap();
    uint32_t& first = first_[order][fullness_class];
    header.previous = no_block;
    header.next = first;
    if (first != no_block) headers[first].previous = block;
    first = block;
    note_present(order, fullness_class);
}

void BlockIndex::remove(Headers headers, uint32_t block) {
    const BlockHeader& header = headers[block];
    if (header.free == 0) return;
    if (header.next != no_block) headers[header.next].previous = header.previous;
    if (header.previous != no_block) {
        headers[header.previous].next = header.next;
        return;
    }
    const unsigned order = header.largest;
    const unsigned fullness_class = fullness(header.free);
    if (order >= orders || first_[order][fullness_class] != block) trap();
    first_[order][fullness_class] = header.next;
    if (header.next == no_block) {
        note_absent(order, fullness_class);
    }
}

uint32_t BlockIndex::find(unsigned order, unsigned least) const {
    const uint32_t sufficient = (0xffffu >> order << order & 0xffffu) * 0x10001u;
    for (unsigned i = classes; i > 0; i -= 2) {
        const uint32_t found = orders_present_[i / 2 - 1] & sufficient;
        if (found == 0) continue;
        if (found >> 16 != 0) return first_[lowest_bit(found >> 16)][i - 1];
        return i - 2 < least ? no_block : first_[lowest_bit(found)][i - 2];
    }
    return no_block;
}

BlockIndex::Choice BlockIndex::choice() const {
    for (unsigned i = classes / 2; i > 0; --i) {
        const uint32_t present = atomic::load(orders_present_[i - 1]);
        const unsigned fuller = present >> 16 != 0 ? 1 : 0;
        const unsigned fullness_class = 2 * (i - 1) + fuller;
        if (present == 0 || fullness_class == 0) continue;
        const unsigned least_used = 1u << (fullness_class - 1);
        return {static_cast<uint16_t>(block_frames - least_used),
                static_cast<int8_t>(lowest_bit(fuller != 0 ? present >> 16 : present))};
    }
    return {block_frames - 1, block_order};
}

Result<uint32_t> BlockIndex::check(Span<const BlockHeader> headers, unsigned index) const {
    constexpr uint32_t known = ((1u << orders) - 1) * 0x10001u;
    for (const uint32_t present : orders_present_)
        if ((present & ~known) != 0) return Failure{Error::corrupted, no_block};
    uint32_t listed = 0;
    for (unsigned order = 0; order < orders; ++order) {
        for (unsigned i = 0; i < classes; ++i) {
            uint32_t previous = no_block;
            uint32_t block = first_[order][i];
            const bool present = (orders_present_[i / 2] & present_bit(order, i)) != 0;
            if (present != (block != no_block)) return Failure{Error::corrupted, block};
            for (; block != no_block; block = headers[block].next) {
                if (block >= headers.size()) return Failure{Error::corrupted, block};
                const BlockHeader& header = headers[block];
                const bool belongs = header.index == index && header.free != 0 &&
                                     header.largest == order && fullness(header.free) == i;
                if (!belongs || header.previous != previous)
                    return Failure{Error::corrupted, block};
                // A list that returns to where it was does not get past the comparison above: the
                // block it returns to has another predecessor.
                previous = block;
                ++listed;
            }
        }
    }
    return listed;
}

}  // namespace quire
