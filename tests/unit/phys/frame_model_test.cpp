// SPDX-License-Identifier: MIT
// Random operations against the naive model, on machines of several shapes with several fronts.
// `./quire model frames` makes longer runs; model_test.hpp says how to see a failure again.
#include <gtest/gtest.h>

#include "model/frames/frame_model.hpp"
#include "model/model_test.hpp"

namespace quire {
namespace {

class FrameModelTest : public ::testing::TestWithParam<size_t> {};

TEST_P(FrameModelTest, AgreesWithTheOracle) {
    const test::FrameWorld world = test::frame_worlds()[GetParam()];
    model::run_as_test(world.make, world.name, 100'000);
}

INSTANTIATE_TEST_SUITE_P(Machines, FrameModelTest,
                         ::testing::Range(size_t{0}, test::frame_worlds().size()));

}  // namespace
}  // namespace quire
