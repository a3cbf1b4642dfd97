// SPDX-License-Identifier: MIT
// Runs a world of random operations; when it fails, replays it and shrinks it to few steps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace quire::model {

// What a model drives: a real system beside a naive one. Every step is decided by one random word
// and by the state so far, so any subsequence of the words is a legal run.
class World {
  public:
    virtual ~World() = default;
    // Does one operation on both and compares what can be compared in O(1). Throws Mismatch.
    virtual void step(uint64_t word) = 0;
    // Compares everything. Throws Mismatch.
    virtual void validate() = 0;
    // What the last step was, for people.
    virtual std::string last_step() const = 0;
    // How often each kind of operation was done, and with which outcome.
    virtual std::string summary() const = 0;
};

struct Mismatch {
    std::string what;
};

// What decides step `index` of a run.
uint64_t word_of(uint64_t seed, uint64_t index);

struct Run {
    uint64_t seed = 1;
    std::vector<uint64_t> indices;  // the steps, ascending; empty: 0 to steps - 1
    uint64_t steps = 0;
    uint64_t validate_every = 4096;
    bool trace = false;  // print every step
};

using WorldMaker = std::function<std::unique_ptr<World>()>;

// Runs in a child process, which may crash. `failed_at` is the number of steps done when it failed.
struct Outcome {
    bool passed = false;
    uint64_t failed_at = 0;
    std::string what;
    std::string summary;
};
Outcome run_in_child(const WorldMaker& make, const Run& run);

// Steps of a failed run that still fail, as few as can be found in `seconds`.
std::vector<uint64_t> shrink(const WorldMaker& make, const Run& run, uint64_t failed_at,
                             unsigned seconds);

// "3,7-9,12" and back; throws std::invalid_argument.
std::string to_text(const std::vector<uint64_t>& indices);
std::vector<uint64_t> from_text(const std::string& text);

}  // namespace quire::model
