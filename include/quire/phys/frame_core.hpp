// SPDX-License-Identifier: MIT
// The frame allocator without its locks. Use it through FrameAllocator (frame_allocator.hpp), where
// each operation's contract stands.
//
// A bitmap and a header for each block of 512 frames, blocks indexed by their largest hole and by
// how full they are (block_index.hpp). Requests that fit in a block and ask for no more than the
// alignment that a hole of their size has anyway are answered from the index; everything else by a
// walk over the free runs, block by block and word by word.
//
// Blocks belong to pools (frame_pool.hpp), a zone's part in each home. What an operation may touch
// is said by home: `take_some` and `give_some` the pools and blocks of the home they are given, all
// others every home. Whoever calls holds the locks of these.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/block_bits.hpp"
#include "quire/phys/block_index.hpp"
#include "quire/phys/block_table.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_mask.hpp"
#include "quire/phys/frame_pool.hpp"
#include "quire/phys/frame_sections.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

class FrameCore {
  public:
    static Bytes metadata_bytes(const MemoryMap& map, const FrameTopology& topology = {},
                                unsigned homes = 1) {
        return metadata_bytes(frame_layout(map, topology), homes);
    }
    static constexpr Bytes metadata_bytes(const FrameLayout& layout, unsigned homes = 1) {
        return Bytes(sizeof(BlockBits)) * (layout.blocks + layout.masks + BlockTable::spare_masks) +
               Bytes(sizeof(FramePool)) * (uint64_t{zones} * homes) +
               Bytes(sizeof(BlockHeader)) * layout.blocks +
               Bytes(sizeof(FrameSection)) * layout.sections +
               Bytes(sizeof(BlockTable::Group)) * BlockTable::groups_for(layout.blocks);
    }

    FrameCore() = default;
    FrameCore(const FrameCore&) = delete;
    FrameCore& operator=(const FrameCore&) = delete;

    Status start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit,
                 const FrameTopology& topology = {}, unsigned homes = 1);

    // Single frames of one zone from one home, up to `wanted` of them into `out`, from at most
    // `blocks_left` blocks, which is counted down. How many.
    size_t take_some(Zone zone, unsigned home, Mobility mobility, Reach reach, Frame* out,
                     size_t wanted, unsigned& blocks_left);
    // Lets the next request find a block that is free as a whole, if there is any in a fresh group.
    // Apart from the requests, so that these stay shallow.
    void keep_one_whole(Zone zone, unsigned home) { keep_one_whole(pool(zone, home)); }
    // 2^order frames, aligned, order at most block_order, of one zone from one home: the first of
    // them; false when there are none.
    bool take_hole(Wanted wanted, unsigned home, unsigned order, Frame& frame);
    // A block that is free as a whole, of one zone from one home: its first frame; false when there
    // is none. O(1).
    bool take_whole(Zone zone, unsigned home, Mobility mobility, Frame& frame);
    // Gives back a block all of whose frames are given out; false, and nothing done, when these
    // frames are not such a block or it is another home's. O(1).
    bool give_whole(const FrameRange& frames, unsigned home);
    // Gives back frames of one home from the front of `frames`, up to the first that is another
    // home's or was not given out, or to `blocks_left` blocks, which is counted down. How many.
    size_t give_some(Span<const Frame> frames, unsigned home, unsigned& blocks_left);
    // Of frames that were given out, those of blocks that a request for single frames would be
    // served from next by the home that they belong to, one of the same node, or others as good:
    // moved to `next`, which has room for all. The others are moved to the front. How many were
    // moved. Needs no lock.
    size_t pick_next(Span<Frame> frames, Zone zone, unsigned home, Mobility mobility,
                     Frame* next) const;
    // The home that a frame belongs to; some home when it belongs to none. Needs no lock.
    unsigned home_of(Frame frame) const {
        if (homes_ == 1) return 0;
        const FrameSection* const section = sections_.section_of(frame.value());
        return section == nullptr ? 0 : home_of_block(*section, section->block_of(frame.value()));
    }
    // The n-th home to ask on behalf of `home`, n below homes(). Needs no lock.
    unsigned nth_home(unsigned home, unsigned n) const { return order_[home][n]; }
    unsigned homes() const { return homes_; }
    // Of those, how many a node has, where they can be shared out evenly. They follow one another.
    unsigned homes_of_node() const { return 1u << share_order_; }
    // The home for a CPU of a node, CPUs of one node in turn. Needs no lock.
    unsigned home_for(unsigned cpu, Node node) const {
        return (unsigned{node} << share_order_) + (cpu & ((1u << share_order_) - 1));
    }
    // Whether a pool has nothing to give, or nothing within that reach, as it seems to whoever does
    // not hold its lock.
    bool seems_empty(Zone zone, unsigned home) const {
        return pools_.empty() || pool(zone, home).seems_empty();
    }
    // Of all homes.
    bool seems_empty(Zone zone) const {
        unsigned home = 0;
        while (home < homes_ && seems_empty(zone, home))
            ++home;
        return home == homes_;
    }
    bool seems_empty(Zone zone, unsigned home, Reach reach) const {
        if (pools_.empty()) return true;
        const FramePool& here = pool(zone, home);
        return reach == Reach::used_blocks ? here.seems_whole() : here.seems_empty();
    }
    // False when the frame certainly is none that was given out. Needs no lock.
    bool may_be_given_out(Frame frame) const { return block_given_out(frame.value()) != no_block; }

    // Of the frames that share a word with this one, those that were given out, if it is of the
    // largest section and of a group that is usable as a whole; otherwise none: for whoever wants
    // to know at once. Needs no lock.
    FrameMask plainly_given_out_near(Frame frame) const {
        if (!sections_.in_main(frame.value())) return {};
        // Bitmaps follow one another, and so do the frames of a section.
        const uint64_t bit = sections_.main_bit(frame.value());
        const size_t group = static_cast<size_t>(bit >> (block_order + BlockTable::group_order));
        const bool plain = atomic::load(table_.groups.data()[group]) == BlockTable::Group::plain;
        if (!plain) return {};
        return {FrameMask::first_of(frame), ~BlockBits::peek_word_of(table_.bits.data(), bit)};
    }

    Result<FrameRange> allocate_order(unsigned order, Zone zone, Mobility mobility);
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints);
    Status allocate_at(const FrameRange& frames);
    Status allocate_batch(Span<Frame> frames, Zone zone);

    Status free(Frame frame);
    Status free(const FrameRange& frames);
    Status free_batch(Span<const Frame> frames);
    Status release_reserved(const FrameRange& frames);

    Status offline(const FrameRange& frames);
    Status online(const FrameRange& frames);

    // Free frames, as it seems to whoever holds no lock.
    size_t free_seen() const {
        size_t sum = 0;
        for (size_t i = 0; i < pools_.size(); ++i)
            sum += atomic::load(pools_.data()[i].free);
        return sum;
    }
    FrameStatistics statistics() const;
    HoleHistogram holes() const;
    bool is_free(Frame frame) const;
    Zone zone_of(Frame frame) const { return ends_.of(frame.value()); }
    FrameCounters counters() const;
    FrameCount largest_free_run() const;
    Status validate() const;

  private:
    // What a run of frames must be before an operation changes it.
    enum class Expect : uint8_t { given_out, free };
    // The frames that a search may use: from the first to below the end.
    struct Window {
        uint64_t first;
        uint64_t end;
    };
    struct Found {
        uint32_t block;
        Hole hole;
    };
    // What a block becomes. One word, so that `refile` can be jumped to from deep in the stack.
    struct BlockState {
        BlockState(unsigned free_frames, unsigned largest_order, Mobility kind)
            : free(static_cast<uint16_t>(free_frames)),
              largest(static_cast<uint8_t>(largest_order)),
              mobility(kind) {}
        uint16_t free;
        uint8_t largest;
        Mobility mobility;  // when all of its frames were free
    };

    // frame_start.cpp: how the books come to be
    void take_over(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit,
                   const FrameTopology& topology, unsigned homes, const FrameLayout& layout);
    void order_homes(const FrameTopology& topology);
    Span<FrameSection> place_books(const FrameLayout& layout, Span<unsigned char> metadata);
    void cut_books();
    // frame_books.cpp
    void mark_fresh_groups();
    void mark_fresh(const FrameSection& section, uint64_t first_frame, uint64_t last_frame);
    void clear_open_blocks();
    void fill_bitmaps();
    uint64_t fill_piece(const BlockPiece& piece, uint64_t frames);
    void add_masks();
    void list_blocks();
    void take_given(Span<const FrameRange> given);
    template <class Visit>
    void for_each_open_block(Visit visit);

    FramePool& pool(Zone zone, unsigned home) const {
        return pools_.data()[static_cast<size_t>(zone) * homes_ + home];
    }
    void keep_one_whole(FramePool& pool) {
        if (pool.fresh_groups != 0 && pool.index[0].first_whole() == no_block) open_lowest(pool);
    }
    FramePool& pool_of(const BlockHeader& header) const {
        return pools_.data()[header.index / mobilities];
    }
    BlockIndex& index_of(const BlockHeader& header) const {
        return pool_of(header).index[header.index % mobilities];
    }
    unsigned home_of_block(const FrameSection& section, uint32_t block) const {
        return homes_ == 1 ? 0 : home_for(block >> BlockTable::group_order, section.node);
    }
    // Of the pool that a block belongs to, the index for blocks free as a whole.
    unsigned index_number(const FrameSection& section, uint32_t block) const {
        const size_t zone = static_cast<size_t>(section.zone);
        return static_cast<unsigned>((zone * homes_ + home_of_block(section, block)) * mobilities);
    }

    // The block of a frame that is given out, no_block for any other frame.
    uint32_t block_given_out(uint64_t frame) const {
        const FrameSection* const section = sections_.section_of(frame);
        if (section == nullptr) return no_block;
        const uint32_t block = section->block_of(frame);
        const unsigned position = static_cast<unsigned>(frame % block_frames);
        if (table_.is_fresh(block) || table_.bits.data()[block].peek(position)) return no_block;
        return table_.is_usable(block, position) ? block : no_block;
    }

    // frame_singles.cpp
    template <class IsNext>
    size_t pick(Span<Frame> frames, Frame* next, IsNext is_next) const;
    void give_one(uint32_t block, unsigned position);
    const Frame* give_to_block(const FrameSection& section, uint32_t block, const Frame* next,
                               const Frame* end);

    // frame_pieces.cpp: runs, piece by piece
    Status check(const FrameRange& frames, Expect expected) const;
    Failure refusal(uint64_t frame, Expect expected) const;
    void take(const FrameRange& frames, Mobility mobility);
    void give(const FrameRange& frames);
    void take_piece(uint32_t block, unsigned first, unsigned count, unsigned hole_order,
                    Mobility mobility);
    void give_piece(uint32_t block, unsigned first, unsigned count);
    // Notes a block's new state, and moves it to the list where it is looked for. From and to a
    // block without free frames, the largest hole changes as well.
    void file(uint32_t block, BlockState state) {
        BlockHeader& header = table_.headers.data()[block];
        if (state.largest == header.largest && BlockIndex::as_full(state.free, header.free)) {
            atomic::store(header.free, state.free);
        } else {
            refile(block, state);
        }
    }
    void refile(uint32_t block, BlockState state);
    void open_group(uint32_t group);
    void open_lowest(FramePool& pool);

    // frame_allocate.cpp: where frames are taken from
    static uint32_t find_block(const FramePool& pool, unsigned order, Mobility mobility,
                               Reach reach);
    bool find_hole(unsigned order, Zone zone, const FrameConstraints& constraints, Found& found);
    Hole hole_in(uint32_t block, unsigned order) const;
    bool take_hole_of(uint32_t block, Mobility mobility, unsigned order, Frame& frame);
    FrameRange take_from_hole(const Found& found, FrameCount count, Mobility mobility);
    FrameRange search(FrameCount count, const FrameConstraints& constraints,
                      const Window& window) const;
    Window window_of(Zone lowest, const FrameConstraints& constraints) const;
    bool lies_below(Zone zone, Frame highest) const;
    FrameCount free_frames(Zone zone) const;

    // frame_free.cpp: how they come back
    void undo_frees(Span<const Frame> frames);
    Status check_releasable(const FrameRange& frames) const;

    // frame_offline.cpp
    Status check_offline(const FrameRange& frames) const;
    unsigned spare_masks_wanted(const FrameRange& frames) const;
    bool needs_mask(uint32_t block, unsigned count) const;
    void open_all(const FrameRange& frames);
    BlockBits* mask_for(uint32_t block, unsigned count);
    void drop_mask(uint32_t block);
    void note_group(uint32_t block);

    // frame_validate.cpp
    Status check_groups() const;
    Status check_block(const FrameSection& section, uint32_t block) const;
    Status check_pool(size_t number) const;
    unsigned usable_in(uint32_t block) const;
    Status check_usable() const;
    Status check_index() const;
    FrameCount usable_of(const FrameRange& run) const;
    Failure corrupted(uint32_t block) const;

    const MemoryMap* map_ = nullptr;  // set by start
    ZoneEnds ends_;
    FrameSections sections_;
    BlockTable table_;
    Span<FramePool> pools_;  // zones x homes
    unsigned homes_ = 1;
    unsigned share_order_ = 0;  // homes of a node, as a power of two
    uint8_t order_[most_homes][most_homes] = {};
    FrameCount released_;
    FrameCount offline_;
    uint32_t spare_masks_used_ = 0;  // a bit for each of those after the map's own
};

}  // namespace quire
