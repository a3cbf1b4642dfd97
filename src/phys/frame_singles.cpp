// SPDX-License-Identifier: MIT
// Single frames, several at a time: what magazines are filled from and drained to. Blocks are filed
// once for all frames that came from or went to them.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

size_t FrameCore::take_some(Zone zone, unsigned home, Mobility mobility, Frame* out,
                            size_t wanted) {
    if (pools_.empty()) return 0;
    FramePool& pool = this->pool(zone, home);
    size_t taken = 0;
    while (taken < wanted) {
        const uint32_t block = find_block(pool, 0, mobility);
        if (block == no_block) break;
        BlockHeader& header = table_.headers.data()[block];
        BlockBits& bits = table_.bits.data()[block];
        const unsigned count =
            wanted - taken < header.free ? static_cast<unsigned>(wanted - taken) : header.free;
        const BlockBits::Taken got =
            bits.take_smallest(count, sections_.frame(block, 0).value(), out + taken);
        const unsigned largest =
            got.order < header.largest ? header.largest : bits.largest_order(header.largest);
        file(block, header.free - count, largest, mobility);
        pool.remove_free(count);
        taken += count;
    }
    return taken;
}

size_t FrameCore::give_some(Span<const Frame> frames, unsigned home) {
    const Frame* const all = frames.data();
    size_t given = 0;
    while (given < frames.size()) {
        const uint64_t first = all[given].value();
        const FrameSection* const section = sections_.section_of(first);
        if (section == nullptr) break;
        const uint32_t block = section->block_of(first);
        if (table_.is_fresh(block) || home_of_block(*section, block) != home) break;
        BlockHeader& header = table_.headers.data()[block];
        BlockBits& bits = table_.bits.data()[block];
        const bool all_usable = header.mask == BlockHeader::all_usable;
        unsigned largest = header.largest;
        const size_t before = given;
        do {
            const unsigned position = static_cast<unsigned>(all[given].value() % block_frames);
            if (bits.test(position)) break;
            if (!all_usable && !table_.is_usable(block, position)) break;
            largest = bits.set_one(position, largest);
            ++given;
        } while (given < frames.size() && (all[given].value() ^ first) < block_frames &&
                 section->contains(all[given].value()));
        const unsigned count = static_cast<unsigned>(given - before);
        if (count == 0) break;
        file(block, header.free + count, largest, Mobility::unmovable);
        pool_of(header).add_free(count);
    }
    return given;
}

bool FrameCore::take_one(Zone zone, unsigned home, Mobility mobility, Frame& frame) {
    if (pools_.empty()) return false;
    const uint32_t block = find_block(pool(zone, home), 0, mobility);
    if (block == no_block) return false;
    const Hole hole = table_.bits.data()[block].smallest_hole(0);
    frame = sections_.frame(block, hole.first);
    take_piece(block, hole.first, 1, hole.order, mobility);
    return true;
}

// Unchecked: the frame is given out.
void FrameCore::give_one(uint32_t block, unsigned position) {
    BlockHeader& header = table_.headers.data()[block];
    const unsigned largest = table_.bits.data()[block].set_one(position, header.largest);
    pool_of(header).add_free(1);
    file(block, header.free + 1u, largest, Mobility::unmovable);
}

// The block of a frame that is given out, no_block for any other frame.
uint32_t FrameCore::block_given_out(uint64_t frame) const {
    const FrameSection* const section = sections_.section_of(frame);
    if (section == nullptr) return no_block;
    const uint32_t block = section->block_of(frame);
    const unsigned position = static_cast<unsigned>(frame % block_frames);
    if (table_.is_fresh(block) || table_.bits.data()[block].peek(position)) return no_block;
    return table_.is_usable(block, position) ? block : no_block;
}

bool FrameCore::may_be_given_out(Frame frame) const {
    return block_given_out(frame.value()) != no_block;
}

}  // namespace quire
