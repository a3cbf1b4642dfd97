// SPDX-License-Identifier: MIT
// A million random operations against the naive model, on machines of several shapes. To see a
// failure again, set QUIRE_MODEL_SEED, and QUIRE_MODEL_REPLAY to the steps that the message names
// (numbers with commas between); QUIRE_MODEL_STEPS asks for more or fewer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "model/frames/frame_model.hpp"

namespace quire {
namespace {

using test::FrameModel;
using test::ModelMachine;

// Longer checks after so many steps.
constexpr uint64_t interval = 4096;

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

struct Outcome {
    uint64_t steps_done = 0;
    std::string wrong;
};

Outcome replay(const ModelMachine& machine, uint64_t seed, const std::vector<uint64_t>& steps) {
    FrameModel model(machine, seed);
    Outcome outcome;
    for (const uint64_t step : steps) {
        auto wrong = model.step(step);
        ++outcome.steps_done;
        const bool due = outcome.steps_done % interval == 0 || outcome.steps_done == steps.size();
        if (!wrong && due) wrong = model.check_all();
        if (wrong) {
            outcome.wrong = *wrong;
            break;
        }
    }
    return outcome;
}

std::string listed(const std::vector<uint64_t>& steps) {
    std::string text;
    for (const uint64_t step : steps)
        text += (text.empty() ? "" : ",") + std::to_string(step);
    return text;
}

class FrameModelTest : public ::testing::TestWithParam<size_t> {};

TEST_P(FrameModelTest, AgreesWithTheOracle) {
    const ModelMachine machine = test::model_machines()[GetParam()];
    const uint64_t seed = from_environment("QUIRE_MODEL_SEED", 1);
    std::vector<uint64_t> steps(from_environment("QUIRE_MODEL_STEPS", 250'000));
    std::iota(steps.begin(), steps.end(), uint64_t{0});
    if (const char* only = std::getenv("QUIRE_MODEL_REPLAY")) {
        steps.clear();
        for (char* end = nullptr; *only != '\0'; only = *end == ',' ? end + 1 : end)
            steps.push_back(std::strtoull(only, &end, 10));
    }
    const Outcome outcome = replay(machine, seed, steps);
    if (outcome.wrong.empty()) return;

    steps.resize(outcome.steps_done);
    const std::vector<uint64_t> fewest =
        test::shrink_steps(steps, [&](const std::vector<uint64_t>& fewer) {
            return !replay(machine, seed, fewer).wrong.empty();
        });
    ADD_FAILURE() << outcome.wrong << ", in step " << steps.back() << " on " << machine.name
                  << ". The fewest steps that fail (" << replay(machine, seed, fewest).wrong
                  << "): QUIRE_MODEL_SEED=" << seed << " QUIRE_MODEL_REPLAY=" << listed(fewest);
}

INSTANTIATE_TEST_SUITE_P(Machines, FrameModelTest, ::testing::Range(size_t{0}, size_t{4}));

// The model itself must notice: a frame taken behind its back.
TEST(FrameModelSelfTest, NoticesWhatItWasNotTold) {
    const std::vector<uint64_t> steps{3, 5, 7, 11};
    unsigned tried = 0;
    const auto fewest = test::shrink_steps(steps, [&](const std::vector<uint64_t>& fewer) {
        ++tried;
        return std::count(fewer.begin(), fewer.end(), uint64_t{7}) == 1;
    });
    EXPECT_EQ(fewest, std::vector<uint64_t>{7});
    EXPECT_GT(tried, 3u);
}

}  // namespace
}  // namespace quire
