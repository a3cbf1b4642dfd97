// SPDX-License-Identifier: MIT
// A million random operations against the naive model, on heaps of several shapes. To see a failure
// again, set QUIRE_MODEL_SEED, and QUIRE_MODEL_REPLAY to the steps that the message names (numbers
// with commas between); QUIRE_MODEL_STEPS asks for more or fewer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "model/heap/heap_model.hpp"

namespace quire::test {
namespace {

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

Outcome replay(const HeapShape& shape, uint64_t seed, const std::vector<uint64_t>& steps) {
    HeapModel model(shape, seed);
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

// Leaves out runs of steps, shorter and shorter ones, as long as it still fails.
std::vector<uint64_t> shrink(const HeapShape& shape, uint64_t seed, std::vector<uint64_t> steps) {
    for (size_t run = steps.size() / 2; run > 0; run /= 2) {
        for (size_t from = 0; from + run <= steps.size();) {
            std::vector<uint64_t> fewer = steps;
            fewer.erase(fewer.begin() + static_cast<long>(from),
                        fewer.begin() + static_cast<long>(from + run));
            if (!replay(shape, seed, fewer).wrong.empty()) {
                steps = std::move(fewer);
            } else {
                from += run;
            }
        }
    }
    return steps;
}

std::string listed(const std::vector<uint64_t>& steps) {
    std::string text;
    for (const uint64_t step : steps)
        text += (text.empty() ? "" : ",") + std::to_string(step);
    return text;
}

class HeapModelTest : public testing::TestWithParam<size_t> {};

TEST_P(HeapModelTest, AgreesWithTheList) {
    const HeapShape shape = heap_shapes()[GetParam()];
    const uint64_t seed = from_environment("QUIRE_MODEL_SEED", 1);
    std::vector<uint64_t> steps(from_environment("QUIRE_MODEL_STEPS", 260'000));
    std::iota(steps.begin(), steps.end(), uint64_t{0});
    if (const char* only = std::getenv("QUIRE_MODEL_REPLAY")) {
        steps.clear();
        for (char* end = nullptr; *only != '\0'; only = *end == ',' ? end + 1 : end)
            steps.push_back(std::strtoull(only, &end, 10));
    }
    const Outcome outcome = replay(shape, seed, steps);
    if (outcome.wrong.empty()) return;

    steps.resize(outcome.steps_done);
    const std::vector<uint64_t> fewest = shrink(shape, seed, steps);
    ADD_FAILURE() << outcome.wrong << ", in step " << steps.back() << " on " << shape.name
                  << ". The fewest steps that fail (" << replay(shape, seed, fewest).wrong
                  << "): QUIRE_MODEL_SEED=" << seed << " QUIRE_MODEL_REPLAY=" << listed(fewest);
}

INSTANTIATE_TEST_SUITE_P(Shapes, HeapModelTest, testing::Range(size_t{0}, heap_shapes().size()));

}  // namespace
}  // namespace quire::test
