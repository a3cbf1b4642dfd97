// SPDX-License-Identifier: MIT
// Every format and the simulator's MMU read random page tables alike. ./quire model layouts reads
// more of them.
#include "model/layouts/layout_world.hpp"
#include "model/model_test.hpp"

namespace quire::model {
namespace {

constexpr uint64_t steps = 60000;

template <class Layouts>
void read_alike() {
    run_as_test([] { return std::make_unique<LayoutWorld<Layouts>>(); }, Layouts::name, steps);
}

TEST(RandomLayoutsTest, X86_32) {
    read_alike<Layouts32>();
}
TEST(RandomLayoutsTest, Pae) {
    read_alike<LayoutsPae>();
}
TEST(RandomLayoutsTest, X86_64WithFourLevels) {
    read_alike<Layouts64<false>>();
}
TEST(RandomLayoutsTest, X86_64WithFiveLevels) {
    read_alike<Layouts64<true>>();
}

}  // namespace
}  // namespace quire::model
