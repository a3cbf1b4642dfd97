// SPDX-License-Identifier: MIT
// Drives a model: runs its random steps, and when it fails, replays it and shrinks it to few steps.
// Tests (model_test.hpp) and programs (program.hpp) stand on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace quire::model {

// What a model drives: a real system beside a naive one. Every step is decided by its number, one
// random word and the state so far, so any selection of a run's steps is a legal run.
class World {
  public:
    virtual ~World() = default;
    // Does one operation on both and compares what can be compared at once. Throws Mismatch.
    virtual void step(uint64_t number, uint64_t word) = 0;
    // Compares everything. Throws Mismatch.
    virtual void validate() = 0;
    // What the last step was, for people.
    virtual std::string last_step() const { return {}; }
    // How often each kind of operation was done, and with which outcome.
    virtual std::string summary() const { return {}; }
};

struct Mismatch {
    std::string what;
};

// What decides step `number` of a run.
uint64_t word_of(uint64_t seed, uint64_t number);

struct Run {
    uint64_t seed = 1;
    std::vector<uint64_t> indices;  // the steps, ascending; empty: 0 to steps - 1
    uint64_t steps = 0;
    uint64_t validate_every = 4096;
    bool trace = false;  // print every step
};

using WorldMaker = std::function<std::unique_ptr<World>()>;

// `failed_at` is the number of steps done when it failed.
struct Outcome {
    bool passed = false;
    uint64_t failed_at = 0;
    std::string what;
    std::string summary;
};
// In this process, which a crash takes along.
Outcome run_here(const WorldMaker& make, const Run& run);
// In a child process, which may crash.
Outcome run_in_child(const WorldMaker& make, const Run& run);

// Steps of a failed run that still fail, as few as can be found in `seconds`. None when the run was
// so long that only its last steps were tried, and they do not fail alone.
std::vector<uint64_t> shrink(const WorldMaker& make, const Run& run, uint64_t failed_at,
                             unsigned seconds);

// "3,7-9,12" and back; throws std::invalid_argument.
std::string to_text(const std::vector<uint64_t>& indices);
std::vector<uint64_t> from_text(const std::string& text);

}  // namespace quire::model
