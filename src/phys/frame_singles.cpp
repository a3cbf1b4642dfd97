// SPDX-License-Identifier: MIT
// Single frames, several at a time: what magazines are filled from and drained to. Blocks are filed
// once for all frames that came from or went to them.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

size_t FrameCore::take_some(Zone zone, unsigned home, Mobility mobility, Reach reach, Frame* out,
                            size_t wanted, unsigned& blocks_left) {
    if (pools_.empty()) return 0;
    FramePool& pool = this->pool(zone, home);
    size_t taken = 0;
    for (; taken < wanted && blocks_left != 0; --blocks_left) {
        if (reach == Reach::all_blocks) keep_one_whole(pool);
        const uint32_t block = find_block(pool, 0, mobility, reach);
        if (block == no_block) break;
        BlockHeader& header = table_.headers.data()[block];
        BlockBits& bits = table_.bits.data()[block];
        const unsigned count =
            wanted - taken < header.free ? static_cast<unsigned>(wanted - taken) : header.free;
        const BlockBits::Taken got =
            bits.take_smallest(count, sections_.frame(block, 0).value(), out + taken);
        const unsigned largest =
            got.order < header.largest ? header.largest : bits.largest_order(header.largest);
        file(block, {header.free - count, largest, mobility});
        pool.remove_free(count);
        taken += count;
    }
    return taken;
}

size_t FrameCore::give_some(Span<const Frame> frames, unsigned home, unsigned& blocks_left) {
    const Frame* const begin = frames.data();
    const Frame* const end = begin + frames.size();
    const Frame* next = begin;
    for (; next != end && blocks_left != 0; --blocks_left) {
        const FrameSection* const section = sections_.section_of(next->value());
        if (section == nullptr) break;
        const uint32_t block = section->block_of(next->value());
        if (table_.is_fresh(block) || home_of_block(*section, block) != home) break;
        const Frame* const before = next;
        next = give_to_block(*section, block, next, end);
        if (next == before) break;
    }
    return static_cast<size_t>(next - begin);
}

// Moves frames of blocks that `is_next` says are good to `next`, and the others to the front.
template <class IsNext>
size_t FrameCore::pick(Span<Frame> frames, Frame* next, IsNext is_next) const {
    const BlockHeader* const headers = table_.headers.data();
    const BlockBits* const bits = table_.bits.data();
    uint64_t good = no_block;  // others of a good block's frames may follow
    Frame* out = next;
    Frame* rest = frames.data();
    for (const Frame frame : frames) {
        const uint64_t bit = sections_.main_bit(frame.value());
        const uint64_t block = bit >> block_order;
        if (block != good && sections_.in_main(frame.value()) && is_next(headers[block])) {
            good = block;
        }
        if (block == good && BlockBits::peek_is_clear(bits, bit)) {
            *out++ = frame;
        } else {
            *rest++ = frame;
        }
    }
    return static_cast<size_t>(out - next);
}

size_t FrameCore::pick_next(Span<Frame> frames, Zone zone, unsigned home, Mobility mobility,
                            Frame* next) const {
    if (pools_.empty()) return 0;
    size_t best = static_cast<size_t>(zone);
    while (best > 0 && seems_empty(static_cast<Zone>(best)))
        --best;
    const unsigned shares = homes_of_node();
    const size_t kind = static_cast<size_t>(mobility);
    const FramePool* const pools =
        &pool(static_cast<Zone>(best), home >> share_order_ << share_order_);
    const size_t first = static_cast<size_t>(pools - pools_.data()) * mobilities + kind;
    if (shares == 1) {
        const BlockIndex::Choice choice = pools->index[kind].choice();
        return pick(frames, next, [=](const BlockHeader& header) {
            return atomic::load(header.index) == first && choice.permits(header);
        });
    }
    // Each home by what it would be served from itself.
    BlockIndex::Choice choices[most_homes * mobilities];
    for (unsigned n = 0; n < shares; ++n)
        choices[n * mobilities] = pools[n].index[kind].choice();
    // Their number is a power of two: other bits tell of other nodes, zones or kinds.
    const size_t others = ~size_t{(shares - 1) * mobilities};
    return pick(frames, next, [&choices, first, others](const BlockHeader& header) {
        const size_t index = atomic::load(header.index) - first;
        return (index & others) == 0 && choices[index].permits(header);
    });
}

// Gives back the frames that lie in the block which the first lies in, up to the first that does
// not or was not given out: where that one stands. A word of the bitmap at a time.
const Frame* FrameCore::give_to_block(const FrameSection& section, uint32_t block,
                                      const Frame* next, const Frame* end) {
    BlockHeader& header = table_.headers.data()[block];
    BlockBits& bits = table_.bits.data()[block];
    const uint64_t number = next->value() >> block_order;
    unsigned largest = header.largest;
    unsigned count = 0;
    while (next != end && next->value() >> block_order == number) {
        const uint64_t base = next->value() & ~uint64_t{BlockBits::word_bits - 1};
        const unsigned position = static_cast<unsigned>(base % block_frames);
        uint64_t taken = ~bits.word_at(position);
        if (header.mask != BlockHeader::all_usable) {
            taken &= table_.usable_word(block, position);
            if (!section.contains(next->value())) break;
        }
        uint64_t given = 0;
        for (; next != end; ++next) {
            const uint64_t bit = next->value() - base;
            if (bit >= BlockBits::word_bits || (taken >> bit & 1) == 0) break;
            taken ^= uint64_t{1} << bit;
            given |= uint64_t{1} << bit;
            ++count;
        }
        if (given == 0) break;
        largest = bits.set_in_word(position, given, largest);
    }
    if (count == 0) return next;
    pool_of(header).add_free(count);
    file(block, {header.free + count, largest, Mobility::unmovable});
    return next;
}

// Unchecked: the frame is given out.
void FrameCore::give_one(uint32_t block, unsigned position) {
    BlockHeader& header = table_.headers.data()[block];
    const unsigned largest = table_.bits.data()[block].set_in_word(
        position, uint64_t{1} << position % BlockBits::word_bits, header.largest);
    pool_of(header).add_free(1);
    file(block, {header.free + 1u, largest, Mobility::unmovable});
}

}  // namespace quire
