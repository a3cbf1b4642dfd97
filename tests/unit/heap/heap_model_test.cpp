// SPDX-License-Identifier: MIT
// A million random operations against the naive model, on heaps of several shapes. model_test.hpp
// says how to see a failure again.
#include <gtest/gtest.h>

#include <memory>

#include "model/heap/heap_model.hpp"
#include "model/model_test.hpp"

namespace quire::test {
namespace {

class HeapModelTest : public testing::TestWithParam<size_t> {};

TEST_P(HeapModelTest, AgreesWithTheList) {
    const HeapShape shape = heap_shapes()[GetParam()];
    model::run_as_test([&] { return std::make_unique<HeapModel>(shape); }, shape.name, 120'000);
}

INSTANTIATE_TEST_SUITE_P(Shapes, HeapModelTest, testing::Range(size_t{0}, heap_shapes().size()));

}  // namespace
}  // namespace quire::test
