// SPDX-License-Identifier: MIT
// What a trial access finds, on either engine.
#pragma once

#include <optional>

#include "sim/mmu.hpp"

namespace quire::sim {

// A value (for stores, the value stored), or else the fault that nobody resolved.
template <class T>
struct Probe {
    std::optional<T> value;
    PageFault fault;

    bool ok() const { return value.has_value(); }
};

}  // namespace quire::sim
