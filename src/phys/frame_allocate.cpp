// SPDX-License-Identifier: MIT
// Where frames are taken from.
#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/phys/frame_core.hpp"
#include "quire/phys/free_runs.hpp"

namespace quire {

namespace {

// Orders whose frames are more than physical memory can have.
constexpr unsigned order_limit = 64 - page_shift;

// The lowest place in a run where `count` frames meet the constraints; an empty range when none.
FrameRange place_in(const FrameRange& run, FrameCount count, const FrameConstraints& constraints) {
    const uint64_t alignment = constraints.alignment.value();
    uint64_t first = round_up(run.first().value(), alignment);
    const uint64_t boundary = constraints.boundary.value();
    if (boundary != 0) {
        // What starts at a multiple of the boundary is no longer than to the next. So what would
        // cross one does not start at one, its alignment is less, and the boundary is aligned.
        const uint64_t to_boundary = boundary - (first & (boundary - 1));
        if (to_boundary < count.value()) first += to_boundary;
    }
    const uint64_t last = run.last().value();
    if (first > last || last - first < count.value() - 1) return FrameRange();
    return FrameRange(Frame(first), count);
}

}  // namespace

Result<FrameRange> FrameCore::allocate_order(unsigned order, Zone zone, Mobility mobility) {
    if (order >= order_limit) return Failure{Error::bad_argument, order};
    const FrameCount count(uint64_t{1} << order);
    return allocate_run(count, {.zone = zone, .mobility = mobility, .alignment = count});
}

Result<FrameRange> FrameCore::allocate_run(FrameCount count, const FrameConstraints& constraints) {
    const uint64_t alignment = constraints.alignment.value();
    const uint64_t boundary = constraints.boundary.value();
    if (count == FrameCount(0)) return Failure{Error::zero_size, 0};
    if (!is_power_of_two(alignment)) return Failure{Error::misaligned, alignment};
    if (boundary != 0 && !is_power_of_two(boundary)) return Failure{Error::misaligned, boundary};
    if (boundary != 0 && count.value() > boundary) {
        return Failure{Error::bad_argument, count.value()};
    }
    if (home_for(0, constraints.node) >= homes_) {
        return Failure{Error::bad_argument, constraints.node};
    }

    const unsigned order = log2_ceil(count.value());
    const uint64_t hole_frames = order <= block_order ? uint64_t{1} << order : 0;
    // Any hole of that order will do: it is aligned, and crosses no boundary that the run's own
    // length permits. When the run fills it, nothing but such a hole will.
    const bool any_hole_does = hole_frames != 0 && alignment <= hole_frames;
    const bool only_hole_does =
        any_hole_does && hole_frames == count.value() && alignment == hole_frames;

    // Zones are looked at from the best one down. Each round adds one, and considers runs that
    // reach from it into those before.
    FrameCount free;
    for (size_t i = static_cast<size_t>(constraints.zone) + 1; i-- > 0;) {
        const Zone zone = static_cast<Zone>(i);
        free += free_frames(zone);
        const bool whole_zone = lies_below(zone, constraints.highest);
        Found found;
        if (any_hole_does && whole_zone && find_hole(order, zone, constraints, found)) {
            return take_from_hole(found, count, constraints.mobility);
        }
        // Holes do not reach across the end of a zone that is a multiple of their size.
        const bool crosses = zone != constraints.zone && (ends_.end(zone) & (hole_frames - 1)) != 0;
        const bool searched = only_hole_does && whole_zone && !crosses;
        if (!searched && free >= count) {
            const FrameRange run = search(count, constraints, window_of(zone, constraints));
            if (!run.empty()) {
                take(run, constraints.mobility);
                return run;
            }
        }
        if (!constraints.fallback) break;
    }
    return Failure{Error::out_of_frames, count.value()};
}

Status FrameCore::allocate_at(const FrameRange& frames) {
    const Status free = check(frames, Expect::free);
    if (!free.ok()) return free;
    take(frames, Mobility::unmovable);
    return {};
}

Status FrameCore::allocate_batch(Span<Frame> frames, Zone zone) {
    FrameCount free;
    for (size_t i = 0; i <= static_cast<size_t>(zone); ++i)
        free += free_frames(static_cast<Zone>(i));
    if (frames.size() > free.value()) return Failure{Error::out_of_frames, frames.size()};
    size_t taken = 0;
    unsigned any_blocks = UINT32_MAX;
    for (size_t i = static_cast<size_t>(zone) + 1; i-- > 0;)
        for (unsigned n = 0; n < homes_; ++n)
            taken += take_some(static_cast<Zone>(i), nth_home(0, n), Mobility::unmovable,
                               Reach::all_blocks, frames.data() + taken, frames.size() - taken,
                               any_blocks);
    return {};
}

// The block of a pool to serve a request for a hole of `order` from, at most block_order: one that
// is in use for the same mobility, then one that is free as a whole, then any other. None is fresh:
// see keep_one_whole.
uint32_t FrameCore::find_block(const FramePool& pool, unsigned order, Mobility mobility,
                               Reach reach) {
    const size_t wanted = static_cast<size_t>(mobility);
    if (order < block_order) {
        const uint32_t block = pool.index[wanted].find(order, 1);
        if (block != no_block) return block;
    }
    if (reach == Reach::used_blocks) return no_block;
    const uint32_t whole = pool.index[0].first_whole();
    return whole != no_block ? whole : pool.index[1 - wanted].find(order, 1);
}

bool FrameCore::find_hole(unsigned order, Zone zone, const FrameConstraints& constraints,
                          Found& found) {
    if (pools_.empty()) return false;
    const unsigned home = home_for(0, constraints.node);
    const unsigned others = constraints.only_node ? 1u << share_order_ : homes_;
    for (unsigned n = 0; n < others; ++n) {
        FramePool& here = pool(zone, nth_home(home, n));
        keep_one_whole(here);
        const uint32_t block = find_block(here, order, constraints.mobility, Reach::all_blocks);
        if (block == no_block) continue;
        found = {block, hole_in(block, order)};
        return true;
    }
    return false;
}

// The hole of a block to serve a request for a hole of `order` from.
Hole FrameCore::hole_in(uint32_t block, unsigned order) const {
    if (table_.headers.data()[block].largest == block_order) return {0, block_order};
    return table_.bits.data()[block].smallest_hole(order);
}

bool FrameCore::take_hole(Wanted wanted, unsigned home, unsigned order, Frame& frame) {
    if (pools_.empty()) return false;
    const uint32_t block =
        find_block(pool(wanted.zone, home), order, wanted.mobility, wanted.reach);
    return block != no_block && take_hole_of(block, wanted.mobility, order, frame);
}
// Apart, and jumped to, since single frames are wanted deep in the stack.
[[gnu::noinline]] bool FrameCore::take_hole_of(uint32_t block, Mobility mobility, unsigned order,
                                               Frame& frame) {
    const Hole hole = hole_in(block, order);
    take_piece(block, hole.first, 1u << order, hole.order, mobility);
    frame = sections_.frame(block, hole.first);
    return true;
}

FrameRange FrameCore::take_from_hole(const Found& found, FrameCount count, Mobility mobility) {
    const FrameRange frames(sections_.frame(found.block, found.hole.first), count);
    take_piece(found.block, found.hole.first, static_cast<unsigned>(count.value()),
               found.hole.order, mobility);
    return frames;
}

// No managed frame of the zone lies above `highest`.
bool FrameCore::lies_below(Zone zone, Frame highest) const {
    const FrameRange hull = sections_.hull();
    return ends_.end(zone) <= highest.value() || hull.empty() || hull.last() <= highest;
}

FrameCore::Window FrameCore::window_of(Zone lowest, const FrameConstraints& constraints) const {
    return {ends_.first(lowest), min(constraints.highest.value() + 1, ends_.end(constraints.zone))};
}

// The lowest place in the shortest free run that has room, so that long runs stay long; an empty
// range when there is none.
FrameRange FrameCore::search(FrameCount count, const FrameConstraints& constraints,
                             const Window& window) const {
    FrameRange best;
    FrameCount best_length(UINT64_MAX);
    if (window.first >= window.end) return best;
    FreeRuns runs(sections_.all(), table_, window.first, window.end - 1);
    if (constraints.only_node) runs.keep_to_node(constraints.node);
    runs.skip_shorter_than(count);
    // What starts at a multiple of 2^n and is as long has a hole of that order in it.
    const unsigned aligned = lowest_bit(constraints.alignment.value());
    runs.skip_below_order(min(min(aligned, highest_bit(count.value())), block_order));
    for (FrameRange run = runs.next(); !run.empty(); run = runs.next()) {
        if (run.count() < count || run.count() >= best_length) continue;
        const FrameRange place = place_in(run, count, constraints);
        if (place.empty()) continue;
        best = place;
        best_length = run.count();
        if (best_length == count) break;
    }
    return best;
}

}  // namespace quire
