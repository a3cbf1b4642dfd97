// SPDX-License-Identifier: MIT
// How frames come back.
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"

namespace quire {

Status FrameCore::free(Frame frame) {
    const BlockPiece piece = sections_.piece(FrameRange(frame, FrameCount(1)));
    const bool given_out = piece.block != BlockPiece::outside &&
                           !bits_[piece.block].test(piece.first) &&
                           next_reserved(piece.block, piece.first) != piece.first;
    if (!given_out) return refusal(piece, frame.value(), Expect::given_out);
    give_piece(piece.block, piece.first, 1);
    return {};
}

Status FrameCore::free(const FrameRange& frames) {
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
        take(FrameRange(frame, FrameCount(1)));
}

Status FrameCore::release_reserved(const FrameRange& frames) {
    if (frames.empty()) return Failure{Error::zero_size, frames.first().value()};
    const Status releasable = check_releasable(frames);
    if (!releasable.ok()) return releasable;
    for (FrameRange rest = frames; !rest.empty();) {
        const BlockPiece piece = sections_.piece(rest);
        const unsigned count = static_cast<unsigned>(piece.count);
        const BlockHeader& header = headers_[piece.block];
        masks_[header.mask].set(piece.first, count);
        counters_[static_cast<size_t>(header.zone)].total += FrameCount(count);
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
        const unsigned released = next_usable(piece.block, piece.first);
        if (released < piece.first + piece.count) {
            const Frame frame = rest.first() + FrameCount(released - piece.first);
            return Failure{Error::in_use, frame.value()};
        }
        rest = rest.without_prefix(FrameCount(piece.count));
    }
    if (good == frames.count()) return {};
    const FrameRange bad = frames.without_prefix(good);
    return refusal(sections_.piece(bad), bad.first().value(), Expect::free);
}

}  // namespace quire
