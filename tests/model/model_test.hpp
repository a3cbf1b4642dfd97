// SPDX-License-Identifier: MIT
// A model as one of the unit tests. To see a failure again, set QUIRE_MODEL_SEED, and
// QUIRE_MODEL_REPLAY to the steps that the message names; QUIRE_MODEL_STEPS asks for more or fewer
// steps, QUIRE_MODEL_SHRINK_SECONDS for more or less patience with a failure.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "model/driver.hpp"

namespace quire::model {

inline uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

// Fails the running test when the model fails. `name` says which world it was.
inline void run_as_test(const WorldMaker& make, const std::string& name, uint64_t steps) {
    Run run;
    run.seed = from_environment("QUIRE_MODEL_SEED", 1);
    run.steps = from_environment("QUIRE_MODEL_STEPS", steps);
    if (const char* only = std::getenv("QUIRE_MODEL_REPLAY")) {
        run.indices = from_text(only);
        run.validate_every = 1;
    }
    const Outcome outcome = run_here(make, run);
    if (outcome.passed) return;

    std::ostringstream message;
    message << outcome.what << ", after " << outcome.failed_at << " steps on " << name
            << ": QUIRE_MODEL_SEED=" << run.seed;
    const auto seconds = static_cast<unsigned>(from_environment("QUIRE_MODEL_SHRINK_SECONDS", 20));
    if (seconds != 0) {
        run.indices = shrink(make, run, outcome.failed_at, seconds);
        run.validate_every = 1;
        message << " QUIRE_MODEL_REPLAY=" << to_text(run.indices) << " ("
                << run_in_child(make, run).what << ")";
    }
    ADD_FAILURE() << message.str();
}

}  // namespace quire::model
