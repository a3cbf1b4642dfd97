// SPDX-License-Identifier: MIT
// How the books of the frame allocator come to be, and the questions they answer at once.
#include "quire/phys/frame_core.hpp"

#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"
#include "quire/phys/free_runs.hpp"

namespace quire {

namespace {

// Block and mask numbers are 32 bits wide, and the topmost have meanings of their own.
constexpr uint64_t most_blocks = BlockHeader::none_usable;

constexpr Bytes bytes_of(const FrameLayout& layout) {
    return Bytes(sizeof(BlockBits)) * (layout.blocks + layout.masks) +
           Bytes(sizeof(BlockHeader)) * layout.blocks +
           Bytes(sizeof(FrameSection)) * layout.sections;
}

// Takes room for `count` objects off the front of `memory`.
template <class T>
Span<T> carve(Span<unsigned char>& memory, uint64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    T* objects = reinterpret_cast<T*>(memory.data());
    memory = memory.subspan(bytes, memory.size() - bytes);
    return {objects, static_cast<size_t>(count)};
}

}  // namespace

Bytes FrameCore::metadata_bytes(const MemoryMap& map) {
    return bytes_of(frame_layout(map));
}

Status FrameCore::start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit) {
    if (map_ != nullptr) return Failure{Error::bad_argument, 0};
    if (boot.closed()) return Failure{Error::bad_argument, 0};
    const uintptr_t address = reinterpret_cast<uintptr_t>(metadata.data());
    if (address % alignof(BlockBits) != 0) return Failure{Error::misaligned, address};
    const FrameLayout layout = frame_layout(boot.map());
    const uint64_t wanted = bytes_of(layout).value();
    if (metadata.size() < wanted) return Failure{Error::bad_argument, wanted};
    if (layout.blocks >= most_blocks) return Failure{Error::bad_argument, layout.blocks};

    map_ = &boot.map();
    ends_ = ZoneEnds(direct_limit);
    place_books(layout, metadata);
    fill_bitmaps();
    add_masks();
    list_blocks();
    take_given(boot.given());
    boot.close();
    return {};
}

void FrameCore::place_books(const FrameLayout& layout, Span<unsigned char> metadata) {
    // From the strictest alignment to the least, so that each is aligned when the first is.
    bits_ = carve<BlockBits>(metadata, layout.blocks);
    masks_ = carve<BlockBits>(metadata, layout.masks);
    headers_ = carve<BlockHeader>(metadata, layout.blocks);
    const Span<FrameSection> table = carve<FrameSection>(metadata, layout.sections);
    for (FrameSection& section : table)
        construct_at(&section);
    sections_ = FrameSections(*map_, ends_, table);
    bits_ = bits_.first(sections_.blocks());
    headers_ = headers_.first(sections_.blocks());
}

void FrameCore::fill_bitmaps() {
    for (const FrameSection& section : sections_.all()) {
        for (uint32_t i = 0; i < section.blocks(); ++i) {
            bits_[section.first_block + i].clear_all();
            construct_at(&headers_[section.first_block + i])->zone = section.zone;
        }
    }
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        if (run.kind != MemoryKind::usable) continue;
        for (FrameRange rest = run.frames; !rest.empty();) {
            const BlockPiece piece = sections_.piece(rest);
            const unsigned count = static_cast<unsigned>(piece.count);
            BlockHeader& header = headers_[piece.block];
            bits_[piece.block].set(piece.first, count);
            header.free = static_cast<uint16_t>(header.free + count);
            ZoneCounters& counters = counters_[static_cast<size_t>(header.zone)];
            counters.total += FrameCount(count);
            counters.free += FrameCount(count);
            rest = rest.without_prefix(FrameCount(count));
        }
    }
}

// Blocks that are usable in part, now or after a release, get a bitmap that says which part.
void FrameCore::add_masks() {
    for (uint32_t block = 0; block < headers_.size(); ++block) {
        BlockHeader& header = headers_[block];
        if (header.free == block_frames) {
            header.mask = BlockHeader::all_usable;
        } else if (header.free != 0) {
            header.mask = masks_used_++;
            masks_[header.mask] = bits_[block];
        }
    }
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next()) {
        if (run.kind == MemoryKind::usable) continue;
        for (FrameRange rest = run.frames; !rest.empty();) {
            const BlockPiece piece = sections_.piece(rest);
            BlockHeader& header = headers_[piece.block];
            if (header.mask == BlockHeader::none_usable) {
                header.mask = masks_used_++;
                masks_[header.mask].clear_all();
            }
            rest = rest.without_prefix(FrameCount(piece.count));
        }
    }
}

void FrameCore::list_blocks() {
    // Downward, since each goes to the front of its list: the lowest is used first.
    for (uint32_t block = static_cast<uint32_t>(headers_.size()); block-- > 0;) {
        BlockHeader& header = headers_[block];
        header.largest = static_cast<uint8_t>(bits_[block].largest_order());
        index_[static_cast<size_t>(header.zone)].insert(headers_, block);
    }
}

void FrameCore::take_given(Span<const FrameRange> given) {
    for (const FrameRange& run : given) {
        // BootFrames gives out usable frames of its map only, each once.
        if (!check(run, Expect::free).ok()) trap();
        take(run);
    }
}

bool FrameCore::is_free(Frame frame) const {
    const BlockPiece piece = sections_.piece(FrameRange(frame, FrameCount(1)));
    return piece.block != BlockPiece::outside && bits_[piece.block].test(piece.first);
}

FrameCounters FrameCore::counters() const {
    FrameCounters sums;
    for (size_t i = 0; i < zones; ++i) {
        sums.zone[i] = counters_[i];
        sums.total += counters_[i].total;
        sums.free += counters_[i].free;
    }
    return sums;
}

FrameCount FrameCore::largest_free_run() const {
    FrameCount largest;
    FreeRuns runs(sections_.all(), headers_, bits_, 0, Frame::highest);
    for (FrameRange run = runs.next(); !run.empty(); run = runs.next()) {
        if (run.count() <= largest) continue;
        largest = run.count();
        runs.skip_shorter_than(largest + FrameCount(1));
    }
    return largest;
}

}  // namespace quire
