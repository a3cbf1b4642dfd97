// SPDX-License-Identifier: MIT
#include "quire/phys/boot_frames.hpp"

#include "quire/base/traits.hpp"

namespace quire {

namespace {
// True when nothing lies between `high` and `low`, which lies below it.
bool adjoin(const FrameRange& high, const FrameRange& low) {
    return high.first() - low.last() == FrameCount(1);
}
}  // namespace

BootFrames::BootFrames(const MemoryMap& map, const FrameRange& reachable)
    : map_(map), reachable_(reachable) {}

Result<FrameRange> BootFrames::allocate_run(FrameCount count) {
    if (count == FrameCount(0)) return Failure{Error::zero_size, 0};
    const Result<Frame> first = take_highest(count);
    if (!first.ok()) return first.failure();
    return FrameRange(*first, count);
}

// The first frame of the highest run there is.
Result<Frame> BootFrames::take_highest(FrameCount count) {
    if (closed_) return Failure{Error::out_of_frames, count.value()};
    const Gap gap = highest_gap(count);
    if (!gap.found) return Failure{Error::out_of_frames, count.value()};
    const Frame first = gap.last - (count - FrameCount(1));
    if (!give(FrameRange(first, count), gap.run_below)) return Failure{Error::too_many, capacity};
    return first;
}

Result<Frame> BootFrames::allocate_frame_up_to(Frame highest) {
    const FrameRange permitted = reachable_.intersection(FrameRange::between(Frame(0), highest));
    const FrameRange all = exchange(reachable_, permitted);
    const Result<Frame> frame = take_highest(FrameCount(1));
    reachable_ = all;
    return frame;
}

// Remembers a run that starts at the top of a gap above the given run `below`. It adjoins the given
// run above, unless a hole of the map ends the gap; one that fills its gap adjoins the one below as
// well. False, and no change, when there is no room for a run more.
bool BootFrames::give(const FrameRange& run, size_t below) {
    const bool joins_above = below > 0 && adjoin(given_[below - 1], run);
    const bool joins_below = below < runs_ && adjoin(run, given_[below]);
    if (joins_above && joins_below) {
        given_[below - 1] = FrameRange::between(given_[below].first(), given_[below - 1].last());
        remove_run(below);
    } else if (joins_above) {
        given_[below - 1] = FrameRange::between(run.first(), given_[below - 1].last());
    } else if (joins_below) {
        given_[below] = FrameRange::between(given_[below].first(), run.last());
    } else {
        if (runs_ == capacity) return false;
        insert_run(below, run);
    }
    return true;
}

Status BootFrames::free_frame(Frame frame) {
    const bool ours =
        !closed_ && reachable_.contains(frame) && map_.is_usable(FrameRange(frame, FrameCount(1)));
    if (!ours) return Failure{Error::foreign, frame.value()};
    size_t at = 0;
    while (at < runs_ && !given_[at].contains(frame))
        ++at;
    if (at == runs_) return Failure{Error::already_free, frame.value()};

    return remove_frame(at, frame);
}

// Takes a frame out of a run.
Status BootFrames::remove_frame(size_t at, Frame frame) {
    const FrameRange run = given_[at];
    const FrameRange below = run.prefix(frame - run.first());
    const FrameRange above = run.without_prefix(below.count() + FrameCount(1));
    if (!below.empty() && !above.empty()) {
        if (runs_ == capacity) return Failure{Error::too_many, capacity};
        given_[at] = above;
        insert_run(at + 1, below);
    } else if (below.empty() && above.empty()) {
        remove_run(at);
    } else {
        given_[at] = below.empty() ? above : below;
    }
    return {};
}

FrameCount BootFrames::given_frames() const {
    FrameCount sum;
    for (const FrameRange& run : given())
        sum += run.count();
    return sum;
}

// The highest free run of at least `count` frames: where it ends. A given run may reach past what
// is reachable just now.
BootFrames::Gap BootFrames::highest_gap(FrameCount count) const {
    const Span<const MemoryEntry> entries = map_.entries();
    size_t run = 0;  // the highest that does not lie wholly above what is looked at
    for (size_t i = entries.size(); i-- > 0;) {
        if (entries[i].kind != MemoryKind::usable) continue;
        FrameRange rest = frames_inside(entries[i].range).intersection(reachable_);
        while (!rest.empty()) {
            const Frame last = rest.last();
            while (run < runs_ && given_[run].first() > last)
                ++run;
            // What is above the next given run, or all.
            if (run == runs_ || !given_[run].overlaps(rest)) {
                if (rest.count() >= count) return {true, last, run};
                break;
            }
            const Frame below = given_[run].last();
            if (last > below && last - below >= count) return {true, last, run};
            rest = rest.prefix(given_[run].first() - rest.first());
        }
    }
    return {};
}

void BootFrames::insert_run(size_t at, const FrameRange& run) {
    for (size_t i = runs_; i > at; --i)
        given_[i] = given_[i - 1];
    given_[at] = run;
    ++runs_;
}

void BootFrames::remove_run(size_t at) {
    --runs_;
    for (size_t i = at; i < runs_; ++i)
        given_[i] = given_[i + 1];
}

}  // namespace quire
