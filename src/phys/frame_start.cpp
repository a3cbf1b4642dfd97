// SPDX-License-Identifier: MIT
// How the books of the frame allocator come to be. What a start writes depends on the entries of
// the map, not on how much memory they stand for, but for one byte a group of blocks.
#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

namespace {

// Block and mask numbers are 32 bits wide, and the topmost have meanings of their own.
constexpr uint64_t most_blocks = BlockHeader::none_usable;

// Takes room for `count` objects off the front of `memory`.
template <class T>
Span<T> carve(Span<unsigned char>& memory, uint64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    T* objects = reinterpret_cast<T*>(memory.data());
    memory = memory.subspan(bytes, memory.size() - bytes);
    return {objects, static_cast<size_t>(count)};
}

}  // namespace

Status FrameCore::start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit,
                        const FrameTopology& topology, unsigned homes) {
    if (map_ != nullptr) return Failure{Error::bad_argument, 0};
    if (boot.closed()) return Failure{Error::bad_argument, 0};
    const unsigned nodes = topology.nodes();
    if (nodes > homes || homes > most_homes) return Failure{Error::bad_argument, nodes};
    const bool distances_fit =
        topology.distances.empty() || topology.distances.size() == size_t{nodes} * nodes;
    if (!distances_fit) return Failure{Error::bad_argument, topology.distances.size()};
    const uintptr_t address = reinterpret_cast<uintptr_t>(metadata.data());
    if (address % alignof(BlockBits) != 0) return Failure{Error::misaligned, address};
    const FrameLayout layout = frame_layout(boot.map(), topology);
    const uint64_t wanted = metadata_bytes(layout, homes).value();
    if (metadata.size() < wanted) return Failure{Error::bad_argument, wanted};
    if (layout.blocks >= most_blocks) return Failure{Error::bad_argument, layout.blocks};

    take_over(boot, metadata, direct_limit, topology, homes, layout);
    return {};
}

// As `start`, whose arguments have been found good.
void FrameCore::take_over(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit,
                          const FrameTopology& topology, unsigned homes,
                          const FrameLayout& layout) {
    map_ = &boot.map();
    ends_ = ZoneEnds(direct_limit);
    homes_ = homes;
    share_order_ = highest_bit(homes / topology.nodes());
    order_homes(topology);
    const Span<FrameSection> sections = place_books(layout, metadata);
    sections_ = FrameSections(*map_, ends_, sections, topology);
    cut_books();
    mark_fresh_groups();
    clear_open_blocks();
    fill_bitmaps();
    add_masks();
    list_blocks();
    take_given(boot.given());
    boot.close();
}

// Which homes to ask in which order: the nearest first, and of equally near ones those that follow
// in number, so that not everybody falls back to the same.
void FrameCore::order_homes(const FrameTopology& topology) {
    const unsigned nodes = topology.nodes();
    const auto cost = [&](unsigned from, unsigned to) {
        const unsigned a = from >> share_order_;
        const unsigned b = to >> share_order_;
        unsigned distance = a == b ? 0u : 1u;
        if (a < nodes && b < nodes && !topology.distances.empty()) {
            distance = topology.distances[size_t{a} * nodes + b];
        }
        return distance * most_homes + (to + homes_ - from) % homes_;
    };
    for (unsigned home = 0; home < homes_; ++home) {
        uint8_t* const order = order_[home];
        for (unsigned other = 0; other < homes_; ++other) {
            unsigned at = other;
            for (; at > 0 && cost(home, order[at - 1]) > cost(home, other); --at)
                order[at] = order[at - 1];
            order[at] = static_cast<uint8_t>(other);
        }
    }
}

Span<FrameSection> FrameCore::place_books(const FrameLayout& layout, Span<unsigned char> metadata) {
    // From the strictest alignment to the least, so that each is aligned when the first is.
    table_.bits = carve<BlockBits>(metadata, layout.blocks);
    table_.masks = carve<BlockBits>(metadata, layout.masks + BlockTable::spare_masks);
    pools_ = carve<FramePool>(metadata, uint64_t{zones} * homes_);
    for (FramePool& pool : pools_)
        construct_at(&pool);
    table_.headers = carve<BlockHeader>(metadata, layout.blocks);
    const Span<FrameSection> sections = carve<FrameSection>(metadata, layout.sections);
    for (FrameSection& section : sections)
        construct_at(&section);
    table_.groups = carve<BlockTable::Group>(metadata, BlockTable::groups_for(layout.blocks));
    return sections;
}

// The layout allowed for more blocks than there are now that the zones are known.
void FrameCore::cut_books() {
    const uint32_t blocks = sections_.blocks();
    table_.bits = table_.bits.first(blocks);
    table_.headers = table_.headers.first(blocks);
    table_.groups = table_.groups.first(static_cast<size_t>(BlockTable::groups_for(blocks)));
    __builtin_memset(table_.groups.data(), static_cast<int>(BlockTable::Group::mixed),
                     table_.groups.size());
}

}  // namespace quire
