// SPDX-License-Identifier: MIT
// Random operations on a frame allocator, each compared with what FrameOracle says of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "model/driver.hpp"
#include "model/frames/frame_oracle.hpp"
#include "model/frames/fronts.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::test {

// The choices of one step, from its random word (SplitMix64).
class StepRandom {
  public:
    explicit StepRandom(uint64_t word) : state_(word) {}
    uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }
    // 0 to n - 1; n at most 2^32.
    uint64_t below(uint64_t n) { return (next() >> 32) * n >> 32; }
    // 1 to n, small numbers as likely as all large ones together.
    uint64_t size_up_to(uint64_t n) {
        uint64_t bits = 1;
        while (n >> bits != 0)
            ++bits;
        return 1 + below(std::min(n, uint64_t{1} << below(bits)));
    }
    bool one_in(uint64_t n) { return below(n) == 0; }

  private:
    static uint64_t mix(uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t state_;
};

// A machine for the model to run on.
struct ModelMachine {
    const char* name;
    std::vector<Memory> memory;
    uint64_t direct_limit;
};

inline std::vector<ModelMachine> model_machines() {
    return {
        {"one-block", {{1, 511}}, Frame::highest},
        {"islands",
         {{1, 1},
          {3, 1},
          {5, 2},
          {505, 10},
          {520, 1},
          {700, 30, MemoryKind::module},
          {730, 300},
          {1200, 1},
          {1535, 2}},
         800},
        {"small-pc",
         {{0, 159},
          {0, 16, MemoryKind::low_memory},
          {256, 7900},
          {256, 300, MemoryKind::kernel},
          {600, 9, MemoryKind::boot_information},
          {2000, 700, MemoryKind::module},
          {6000, 4, MemoryKind::reserved},
          {8156, 16, MemoryKind::acpi_reclaimable}},
         6500},
        {"clusters",
         {{1, 700},
          {1048576 - 300, 300},
          {1048576, 900},
          {1048700, 5, MemoryKind::bad},
          {1ull << 28, 513},
          {(1ull << 28) + 600, 40, MemoryKind::acpi_reclaimable}},
         1048576 + 77},
    };
}

// Frames is one of fronts.hpp. Frames in magazines are neither free nor owned. So with magazines
// the counters may be lower than the oracle's, the scarcest zone is not judged, and wrong frees, of
// which magazines do not notice all at once, are tried when nothing lies there.
template <class Frames>
class FrameModel final : public model::World {
  public:
    explicit FrameModel(const ModelMachine& kind)
        : map_(make_map(kind.memory)),
          boot_(*map_, everything),
          books_(decltype(Frames::blocks)::metadata_bytes(*map_).value()),
          oracle_(*map_, Frame(kind.direct_limit)) {
        const Status started = all_.blocks.start(boot_, books_.span(), Frame(kind.direct_limit));
        if (!started.ok()) complain("start: ", describe(started.failure()));
    }

    void step(uint64_t number, uint64_t word) override {
        StepRandom random(word);
        // Phases in which memory fills and empties.
        const bool filling = number / 3000 % 2 == 0;
        const uint64_t choice = random.below(100);
        if (choice < (filling ? 55u : 25u)) {
            allocate_something(random);
        } else if (choice < 95) {
            free_something(random);
        } else {
            look_at_something(random);
        }
        check_counters(Frames::most_kept);
    }
    // The allocator's own view, and each frame's.
    void validate() override {
        all_.drain();
        check_counters(0);
        const Status valid = all_.blocks.validate();
        if (!valid.ok()) complain("validate: ", describe(valid.failure()));
        for (size_t i = 0; i < oracle_.managed(); ++i) {
            const bool free = oracle_.nth_state(i) == FrameOracle::State::free;
            if (all_.blocks.is_free(Frame(oracle_.nth(i))) != free) {
                complain("frame ", oracle_.nth(i),
                         free ? " should be free" : " should not be free");
            }
        }
        if (all_.blocks.largest_free_run().value() != oracle_.largest_free_run()) {
            complain("the largest free run is ", oracle_.largest_free_run());
        }
    }
    std::string last_step() const override {
        return std::string(did_) + " " + std::to_string(run_.count().value()) + " frames at " +
               std::to_string(run_.first().value());
    }

  private:
    using State = FrameOracle::State;

    static std::string describe(const Failure& failure) {
        return std::string(to_string(failure.error)) + ", " + std::to_string(failure.where);
    }
    static std::string text_of(const FrameConstraints& constraints) {
        return std::string("zone ") + to_string(constraints.zone) +
               (constraints.fallback ? "" : " alone") + ", alignment " +
               std::to_string(constraints.alignment.value()) + ", boundary " +
               std::to_string(constraints.boundary.value()) + ", up to " +
               std::to_string(constraints.highest.value());
    }
    template <class... Parts>
    [[noreturn]] static void complain(const Parts&... parts) {
        std::ostringstream text;
        (text << ... << parts);
        throw model::Mismatch{text.str()};
    }
    // What last_step tells.
    void note(const char* did, const FrameRange& run) {
        did_ = did;
        run_ = run;
    }

    // A frame's number, now and then of no frame at all.
    uint64_t some_frame(StepRandom& random) {
        if (random.one_in(50)) return random.below(oracle_.highest() + 1000);
        return oracle_.nth(random.below(oracle_.managed())) + (random.one_in(50) ? 1 : 0);
    }
    // The start of a run of frames that are taken, if one is found nearby.
    uint64_t some_taken_frame(StepRandom& random) {
        size_t at = random.below(oracle_.managed());
        for (int i = 0; i < 64 && oracle_.nth_state(at) != State::taken; ++i)
            at = (at + 1) % oracle_.managed();
        return oracle_.nth(at);
    }
    uint64_t taken_from(uint64_t first, uint64_t most) {
        return std::max(uint64_t{1}, oracle_.length_of(first, most, State::taken));
    }
    void set_all(const FrameRange& run, State state) {
        oracle_.set(run.first().value(), run.count().value(), state);
    }
    // The result must be what the oracle refuses with, or success when it does not.
    bool as_expected(const char* what, const FrameRange& run, const Status& result,
                     const std::optional<Failure>& expected) {
        note(what, run);
        const std::optional<Failure> found =
            result.ok() ? std::nullopt : std::optional(result.failure());
        if (found == expected) return result.ok();
        complain(what, " ", run.count().value(), " frames at ", run.first().value(), ": ",
                 found ? describe(*found) : "success", " instead of ",
                 expected ? describe(*expected) : "success");
    }

    void allocate_something(StepRandom& random) {
        const Zone zone = static_cast<Zone>(random.below(zones));
        switch (random.below(8)) {
            case 0:
            case 1: {
                const auto frame = all_.front().allocate(zone);
                const FrameConstraints constraints{.zone = zone};
                if (frame.ok()) {
                    took(FrameRange(*frame, FrameCount(1)), FrameCount(1), constraints);
                } else {
                    refused(frame.failure(), FrameCount(1), constraints);
                }
                return;
            }
            case 2:
            case 3: {
                const unsigned order = static_cast<unsigned>(random.below(12));
                const FrameCount count(uint64_t{1} << order);
                check_run(all_.front().allocate_order(order, zone), count,
                          {.zone = zone, .alignment = count});
                return;
            }
            case 4:
            case 5:
                return allocate_run(random, zone);
            case 6:
                return allocate_at(random);
            default:
                return allocate_batch(random, zone);
        }
    }
    void allocate_run(StepRandom& random, Zone zone) {
        const FrameCount count(random.size_up_to(3000));
        FrameConstraints constraints{.zone = zone, .fallback = !random.one_in(3)};
        if (random.one_in(2)) constraints.alignment = FrameCount(uint64_t{1} << random.below(12));
        if (random.one_in(3)) {
            constraints.boundary = FrameCount(uint64_t{1} << random.below(13));
        }
        if (random.one_in(3)) constraints.highest = Frame(some_frame(random));
        const auto run = all_.front().allocate_run(count, constraints);
        if (constraints.boundary != FrameCount(0) && count > constraints.boundary) {
            const bool refusal =
                !run.ok() && run.failure() == Failure{Error::bad_argument, count.value()};
            if (!refusal) complain("a run longer than its boundary was not refused");
            return;
        }
        check_run(run, count, constraints);
    }
    void check_run(const Result<FrameRange>& run, FrameCount count,
                   const FrameConstraints& constraints) {
        if (run.ok()) {
            took(*run, count, constraints);
        } else {
            refused(run.failure(), count, constraints);
        }
    }
    void took(const FrameRange& run, FrameCount count, const FrameConstraints& constraints) {
        const uint64_t first = run.first().value();
        note("got", run);
        if (run.count() != count || !oracle_.meets(first, count.value(), constraints)) {
            complain("got ", run.count().value(), " frames at ", first, " for ", count.value(),
                     ", against the constraints");
        }
        const auto not_free = oracle_.refusal_of_allocate_at(first, count.value());
        if (not_free) complain("gave out frame ", not_free->where, " that was not free");
        // Nothing scarcer than needed.
        const Zone scarcest = oracle_.zone_of(first);
        if (!keeps && scarcest != constraints.zone) {
            const Zone better = static_cast<Zone>(static_cast<size_t>(scarcest) + 1);
            if (oracle_.fits(count.value(), constraints, better)) {
                complain(count.value(), " frames at ", first, " lie in a scarcer zone than ",
                         text_of(constraints), " needs");
            }
        }
        set_all(run, State::taken);
    }
    void refused(const Failure& failure, FrameCount count, const FrameConstraints& constraints) {
        note("was refused", FrameRange(Frame(0), count));
        if (failure != Failure{Error::out_of_frames, count.value()}) {
            complain("a run of ", count.value(), " was refused: ", describe(failure));
        }
        if (oracle_.fits(count.value(), constraints, Zone::dma)) {
            complain("there was room for a run of ", count.value(), " with ", text_of(constraints));
        }
    }
    void allocate_at(StepRandom& random) {
        const uint64_t first = some_frame(random);
        const FrameRange run = run_of(first, random.one_in(100) ? 0 : random.size_up_to(600));
        const auto expected = oracle_.refusal_of_allocate_at(first, run.count().value());
        if (as_expected("allocate_at", run, all_.front().allocate_at(run), expected)) {
            set_all(run, State::taken);
        }
    }
    void allocate_batch(StepRandom& random, Zone zone) {
        std::vector<Frame>& batch = batch_;
        batch.resize(random.size_up_to(200));
        const Status taken = all_.front().allocate_batch({batch.data(), batch.size()}, zone);
        const bool enough = oracle_.free_up_to(zone) >= batch.size();
        note("was refused a batch of", FrameRange(Frame(0), FrameCount(batch.size())));
        if (taken.ok() != enough)
            complain("a batch of ", batch.size(), enough ? " was refused" : " was given");
        if (!enough) return;
        for (const Frame frame : batch)
            took(FrameRange(frame, FrameCount(1)), FrameCount(1), {.zone = zone});
    }

    void free_something(StepRandom& random) {
        switch (random.below(10)) {
            case 0: {  // any range, rightly or wrongly
                const uint64_t first = some_frame(random);
                return free_run(run_of(first, random.one_in(100) ? 0 : random.size_up_to(300)));
            }
            case 1:
                return free_batch(random);
            case 2: {
                if (!random.one_in(200)) return;
                const uint64_t first = some_frame(random);
                const FrameRange run = run_of(first, random.size_up_to(100));
                const auto expected = oracle_.refusal_of_release(first, run.count().value());
                const Status released = all_.blocks.release_reserved(run);
                if (as_expected("release", run, released, expected)) set_all(run, State::free);
                return;
            }
            case 3: {
                const Frame frame(some_taken_frame(random));
                const FrameRange run(frame, FrameCount(1));
                const auto expected = oracle_.refusal_of_free(frame.value(), 1);
                if (expected) all_.drain();
                if (as_expected("free frame", run, all_.front().free(frame), expected)) {
                    set_all(run, State::free);
                }
                return;
            }
            default: {  // what is taken, in part or beyond what was asked for at once
                const uint64_t first = some_taken_frame(random);
                return free_run(run_of(first, taken_from(first, random.size_up_to(1000))));
            }
        }
    }
    void free_run(const FrameRange& run) {
        const auto expected = oracle_.refusal_of_free(run.first().value(), run.count().value());
        if (expected) all_.drain();
        if (as_expected("free", run, all_.front().free(run), expected)) set_all(run, State::free);
    }
    void free_batch(StepRandom& random) {
        std::vector<Frame>& batch = batch_;
        batch.resize(random.size_up_to(100));
        for (Frame& frame : batch)
            frame = Frame(some_taken_frame(random));
        // Now and then one that must not be there.
        if (random.one_in(4)) batch[random.below(batch.size())] = Frame(some_frame(random));
        std::optional<Failure> expected;
        size_t freed = 0;
        for (const Frame frame : batch) {
            expected = oracle_.refusal_of_free(frame.value(), 1);
            if (expected) break;
            oracle_.set(frame.value(), State::free);
            ++freed;
        }
        if (expected) all_.drain();
        const Status result = all_.front().free_batch({batch.data(), batch.size()});
        as_expected("free_batch", FrameRange(batch[0], FrameCount(1)), result, expected);
        if (!expected) return;
        for (size_t i = 0; i < freed; ++i)
            oracle_.set(batch[i].value(), State::taken);
    }

    void look_at_something(StepRandom& random) {
        const uint64_t frame = some_frame(random);
        const bool free = oracle_.state(frame) == State::free;
        note("looked at", FrameRange(Frame(frame), FrameCount(1)));
        if (all_.blocks.is_free(Frame(frame)) != free && (!keeps || !free))
            complain("is_free says no truth of ", frame);
        if (all_.blocks.zone_of(Frame(frame)) != oracle_.zone_of(frame))
            complain("zone of ", frame);
    }
    // What is missing from the free frames lies in magazines: at most `most_kept` frames.
    void check_counters(uint64_t most_kept) {
        const FrameCounters counters = all_.blocks.counters();
        uint64_t total = 0;
        uint64_t free = 0;
        uint64_t kept = 0;
        for (size_t i = 0; i < zones; ++i) {
            const Zone zone = static_cast<Zone>(i);
            const uint64_t free_here = counters.of(zone).free.value();
            total += counters.of(zone).total.value();
            free += free_here;
            kept += oracle_.free(zone) - free_here;
            const bool right = counters.of(zone).total.value() == oracle_.total(zone) &&
                               free_here <= oracle_.free(zone);
            if (!right) complain("the counters of zone ", to_string(zone), " are wrong");
        }
        if (kept > most_kept) complain(kept, " frames are lost");
        if (counters.total.value() != total || counters.free.value() != free) {
            complain("the counters do not add up");
        }
    }

    static constexpr bool keeps = Frames::most_kept != 0;

    std::unique_ptr<MemoryMap> map_;
    BootFrames boot_;
    Books books_;
    Frames all_;
    FrameOracle oracle_;
    std::vector<Frame> batch_;
    const char* did_ = "nothing";
    FrameRange run_;
};

// One of the machines with one of the fronts.
struct FrameWorld {
    std::string name;
    model::WorldMaker make;
};
inline std::vector<FrameWorld> frame_worlds() {
    std::vector<FrameWorld> worlds;
    const auto add = [&]<class Frames>(const ModelMachine& machine, const char* with) {
        worlds.push_back({std::string(machine.name) + with,
                          [machine] { return std::make_unique<FrameModel<Frames>>(machine); }});
    };
    for (const ModelMachine& machine : model_machines()) {
        add.template operator()<PlainFrames>(machine, "");
        add.template operator()<FramesWithHomes>(machine, "+homes");
        add.template operator()<FramesWithMagazines<Reuse::delayed, 8>>(machine, "+delayed");
        add.template operator()<FramesWithMagazines<Reuse::at_once, 8>>(machine, "+lifo");
    }
    return worlds;
}

}  // namespace quire::test
