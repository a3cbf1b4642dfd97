// SPDX-License-Identifier: MIT
#include "frames_model.hpp"

#include <algorithm>

namespace quire::model {

namespace {

std::string text(const FrameRange& run) {
    return std::to_string(run.first().value()) + "+" + std::to_string(run.count().value());
}

}  // namespace

FramesModel::FramesModel(sim::BootedMachine& machine)
    : machine_(machine),
      end_(machine.map().usable_hull().last().value() + 1),
      owned_(static_cast<size_t>(end_)) {}

FrameAllocator& FramesModel::frames() {
    return machine_.memory().frames();
}

void FramesModel::fail(const std::string& what) const {
    throw Mismatch{"frames: " + what};
}

StepOutcome FramesModel::step(Random& random, std::string& told) {
    const unsigned kind = random.below(100);
    const unsigned allocating = random.growing() ? 50 : 35;
    if (kind < allocating) return allocate(random, told);
    if (kind < allocating + 5) return allocate_at(random, told);
    if (kind < 92) return free(random, told);
    return free_wrongly(random, told);
}

// What was given out must have been free and usable, and is now the model's.
StepOutcome FramesModel::take(const FrameRange& run, bool expected_free) {
    if (!machine_.map().is_usable(run)) fail("a run that is not all usable: " + text(run));
    if (!expected_free) fail("a run that was in use: " + text(run));
    for (const Frame frame : run) {
        if (owned_[frame.value()]) fail("frame " + std::to_string(frame.value()) + " twice");
        if (frames().is_free(frame)) fail("a frame given out is still free");
        owned_[frame.value()] = true;
    }
    owned_frames_ += run.count().value();
    runs_.push_back({run, 0});
    return StepOutcome::done;
}

StepOutcome FramesModel::allocate(Random& random, std::string& told) {
    const uint64_t free_before = frames().counters().free.value();
    Result<FrameRange> got = Error::bad_argument;
    uint64_t count = 1;
    bool satisfiable = true;  // by any free frames of that number, were they in one run
    const unsigned form = random.below(4);
    if (form == 0) {
        const Result<Frame> one = frames().allocate();
        got = one.ok() ? Result<FrameRange>(FrameRange(*one, FrameCount(1)))
                       : Result<FrameRange>(one.failure());
    } else if (form == 1) {
        const unsigned order = random.below(7);
        count = uint64_t{1} << order;
        got = frames().allocate_order(order);
        if (got.ok() && got->first().value() % count != 0) fail("an order is not aligned");
    } else if (form == 2) {
        count = random.skewed(80);
        got = frames().allocate_run(FrameCount(count));
    } else {
        FrameConstraints constraints;
        count = random.skewed(20);
        constraints.alignment = FrameCount(uint64_t{1} << random.below(6));
        constraints.boundary = FrameCount(random.chance(50) ? 0 : uint64_t{32} << random.below(4));
        constraints.highest = Frame(random.below64(end_));
        satisfiable = false;
        got = frames().allocate_run(FrameCount(count), constraints);
        if (got.ok()) {
            const uint64_t first = got->first().value();
            const uint64_t last = got->last().value();
            if (first % constraints.alignment.value() != 0) fail("the alignment is not kept");
            if (got->last() > constraints.highest) fail("the limit is not kept");
            const uint64_t boundary = constraints.boundary.value();
            if (boundary != 0 && first / boundary != last / boundary) {
                fail("the boundary is crossed");
            }
        }
    }
    told = "frames: allocate " + std::to_string(count) + " (form " + std::to_string(form) + ") -> ";
    if (!got.ok()) {
        told += to_string(got.error());
        if (got.error() != Error::out_of_frames) fail("allocation failed: " + told);
        if (count == 1 && satisfiable && free_before != 0)
            fail("one frame refused while some are free");
        return StepOutcome::refused;
    }
    told += text(*got);
    if (got->count().value() != count) fail("another number of frames than asked for");
    return take(*got, free_before >= count);
}

StepOutcome FramesModel::allocate_at(Random& random, std::string& told) {
    const uint64_t count = random.skewed(12);
    const FrameRange run(Frame(random.below64(end_)), FrameCount(count));
    bool all_free = true;
    for (const Frame frame : run)
        all_free = all_free && frames().is_free(frame);
    const Status got = frames().allocate_at(run);
    told = "frames: allocate at " + text(run) + " -> " + (got.ok() ? "ok" : to_string(got.error()));
    if (got.ok()) return take(run, all_free);
    if (all_free) fail("free frames refused: " + told);
    return StepOutcome::refused;
}

StepOutcome FramesModel::free(Random& random, std::string& told) {
    if (runs_.empty()) return StepOutcome::refused;
    const size_t index = random.below64(runs_.size());
    Run& run = runs_[index];
    if (run.holders != 0) return StepOutcome::refused;
    // The whole run, or one of its ends.
    const uint64_t count = run.frames.count().value();
    const uint64_t part = random.chance(70) ? count : 1 + random.below64(count);
    FrameRange freed = run.frames.prefix(FrameCount(part));
    FrameRange rest = run.frames.without_prefix(FrameCount(part));
    if (part < count && random.chance(50)) {
        rest = run.frames.prefix(FrameCount(count - part));
        freed = run.frames.without_prefix(FrameCount(count - part));
    }
    told = "frames: free " + text(freed);
    const Status done = freed.count().value() == 1 && random.chance(50)
                            ? frames().free(freed.first())
                            : frames().free(freed);
    if (!done.ok()) fail("free refused: " + told + ": " + to_string(done.error()));
    for (const Frame frame : freed) {
        owned_[frame.value()] = false;
        if (!frames().is_free(frame)) fail("a frame freed is not free");
    }
    owned_frames_ -= part;
    run.frames = rest;
    if (rest.empty()) {
        run = runs_.back();
        runs_.pop_back();
    }
    return StepOutcome::done;
}

// Only frames of which it is known that freeing them must fail: free ones and reserved ones.
StepOutcome FramesModel::free_wrongly(Random& random, std::string& told) {
    const Frame frame(random.below64(end_ + 64));
    const bool usable = machine_.map().is_usable(FrameRange(frame, FrameCount(1)));
    if (usable && !frames().is_free(frame)) return StepOutcome::refused;
    told = "frames: free wrongly " + std::to_string(frame.value());
    const FrameCounters before = frames().counters();
    const Status done = frames().free(frame);
    if (done.ok()) fail("a wrong free was accepted: " + told);
    const Error expected = usable ? Error::already_free : Error::reserved;
    if (done.error() != expected && done.error() != Error::out_of_range) {
        fail("a wrong free got: " + std::string(to_string(done.error())));
    }
    if (frames().counters().free != before.free) fail("a wrong free changed something");
    return StepOutcome::refused;
}

FrameRange FramesModel::hold(Random& random, uint64_t at_most) {
    if (runs_.empty()) return FrameRange();
    Run& run = runs_[random.below64(runs_.size())];
    ++run.holders;
    return run.frames.prefix(FrameCount(std::min(at_most, run.frames.count().value())));
}

void FramesModel::hold_again(const FrameRange& frames) {
    for (Run& run : runs_) {
        if (run.frames.contains(frames.first())) {
            ++run.holders;
            return;
        }
    }
    fail("a run that was held is gone");
}

void FramesModel::let_go(const FrameRange& frames) {
    for (Run& run : runs_) {
        if (run.frames.contains(frames.first())) {
            --run.holders;
            return;
        }
    }
    fail("a run that was held is gone");
}

void FramesModel::validate() {
    uint64_t count = 0;
    for (const Run& run : runs_) {
        for (const Frame frame : run.frames) {
            if (!owned_[frame.value()]) fail("the model lost a frame");
            if (frames().is_free(frame)) fail("an owned frame is free");
            ++count;
        }
    }
    if (count != owned_frames_) fail("the model miscounts");
}

}  // namespace quire::model
