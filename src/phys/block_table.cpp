// SPDX-License-Identifier: MIT
#include "quire/phys/block_table.hpp"

#include "quire/base/traits.hpp"

namespace quire {

unsigned BlockTable::next_reserved(uint32_t block, unsigned from) const {
    const uint32_t mask = is_fresh(block) ? BlockHeader::all_usable : headers[block].mask;
    if (mask == BlockHeader::all_usable) return BlockBits::nowhere;
    if (mask == BlockHeader::none_usable) return from;
    return masks[mask].next_clear(from);
}

unsigned BlockTable::next_usable(uint32_t block, unsigned from) const {
    const uint32_t mask = is_fresh(block) ? BlockHeader::all_usable : headers[block].mask;
    if (mask == BlockHeader::all_usable) return from;
    if (mask == BlockHeader::none_usable) return BlockBits::nowhere;
    return masks[mask].next_set(from);
}

uint32_t BlockTable::next_fresh_group(uint32_t group) const {
    const uint32_t end = static_cast<uint32_t>(groups.size());
    while (group < end && groups[group] != Group::fresh)
        ++group;
    return group;
}

uint32_t BlockTable::next_open_group(uint32_t group) const {
    const uint32_t end = static_cast<uint32_t>(groups.size());
    for (; group < end; ++group) {
        // Eight at a time where eight are fresh.
        for (uint64_t eight = 0; end - group >= sizeof eight; group += sizeof eight) {
            __builtin_memcpy(&eight, &groups[group], sizeof eight);
            if (eight != 0) break;
        }
        if (group == end || groups[group] != Group::fresh) break;
    }
    return group;
}

void BlockTable::write_whole(uint32_t block, unsigned index) {
    bits[block].set_all();
    BlockHeader& header = *construct_at(&headers[block]);
    header.mask = BlockHeader::all_usable;
    header.free = block_frames;
    header.largest = block_order;
    header.index = static_cast<uint8_t>(index);
}

}  // namespace quire
