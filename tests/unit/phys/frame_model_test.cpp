// SPDX-License-Identifier: MIT
// A million random operations against the naive model, on machines of several shapes.
// `./quire model frames` makes longer runs; model_test.hpp says how to see a failure again.
#include <gtest/gtest.h>

#include <memory>

#include "model/frames/frame_model.hpp"
#include "model/model_test.hpp"

namespace quire {
namespace {

using test::FrameModel;
using test::ModelMachine;

class FrameModelTest : public ::testing::TestWithParam<size_t> {};

TEST_P(FrameModelTest, AgreesWithTheOracle) {
    const ModelMachine machine = test::model_machines()[GetParam()];
    model::run_as_test([&] { return std::make_unique<FrameModel>(machine); }, machine.name,
                       250'000);
}

INSTANTIATE_TEST_SUITE_P(Machines, FrameModelTest, ::testing::Range(size_t{0}, size_t{4}));

}  // namespace
}  // namespace quire
