// SPDX-License-Identifier: MIT
// The whole stack, started by the facade on the simulated machine, beside a naive model of it.
#pragma once

#include <memory>

#include "../driver.hpp"
#include "quire/kernel_memory.hpp"

namespace quire::model {

std::unique_ptr<World> make_stack_world(TableReach reach, unsigned mebibytes);

}  // namespace quire::model
