// SPDX-License-Identifier: MIT
// How frames come back.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

Status FrameCore::free(Frame frame) {
    const uint32_t block = block_given_out(frame.value());
    if (block == no_block) return refusal(frame.value(), Expect::given_out);
    give_one(block, static_cast<unsigned>(frame.value() % block_frames));
    return {};
}

Status FrameCore::free(const FrameRange& frames) {
    if (!frames.empty() && frames.count().value() <= block_frames) {
        // Most often all lie in one block.
        const BlockPiece piece = sections_.piece(frames);
        const unsigned count = static_cast<unsigned>(frames.count().value());
        const bool given_out = piece.block != BlockPiece::outside && piece.count == count &&
                               !table_.is_fresh(piece.block) &&
                               table_.headers[piece.block].mask == BlockHeader::all_usable &&
                               !table_.bits[piece.block].any_set(piece.first, count);
        if (given_out) {
            give_piece(piece.block, piece.first, count);
            return {};
        }
    }
    const Status given_out = check(frames, Expect::given_out);
    if (!given_out.ok()) return given_out;
    give(frames);
    return {};
}

Status FrameCore::free_batch(Span<const Frame> frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
        const Status freed = free(frames[i]);
        if (!freed.ok()) {
            undo_frees(frames.first(i));
            return freed;
        }
    }
    return {};
}

void FrameCore::undo_frees(Span<const Frame> frames) {
    for (const Frame frame : frames)
        take(FrameRange(frame, FrameCount(1)), Mobility::unmovable);
}

Status FrameCore::release_reserved(const FrameRange& frames) {
    if (frames.empty()) return Failure{Error::zero_size, frames.first().value()};
    const Status releasable = check_releasable(frames);
    if (!releasable.ok()) return releasable;
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned count = static_cast<unsigned>(piece.count);
        const BlockHeader& header = table_.headers[piece.block];
        table_.masks[header.mask].set(piece.first, count);
        pool_of(header).total += count;
        give_piece(piece.block, piece.first, count);
        rest = rest.without_prefix(FrameCount(count));
    }
    released_ += frames.count();
    return {};
}

// Every frame is reserved still, and for a reason that may pass.
Status FrameCore::check_releasable(const FrameRange& frames) const {
    // All frames below this one are usable or of kinds that may be released.
    uint64_t end = frames.first().value();
    if (map_ == nullptr) return Failure{Error::out_of_range, end};
    ManagedRuns runs(*map_);
    for (ManagedRun run = runs.next(); !run.frames.empty(); run = runs.next())
        if (run.frames.contains(Frame(end))) end = run.frames.last().value() + 1;
    const FrameCount good(min(end - frames.first().value(), frames.count().value()));
    // Those that are usable, or have been released before, cannot be released.
    for (FrameRange rest = frames.prefix(good); !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned released = table_.next_usable(piece.block, piece.first);
        if (released < piece.first + piece.count) {
            const Frame frame = rest.first() + FrameCount(released - piece.first);
            return Failure{Error::in_use, frame.value()};
        }
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    if (good == frames.count()) return {};
    return refusal((frames.first() + good).value(), Expect::free);
}

}  // namespace quire
