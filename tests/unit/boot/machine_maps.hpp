// SPDX-License-Identifier: MIT
// The memory maps of real machines, and of worse ones, in tests/data/memory-maps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quire::test {

struct E820Entry {
    uint64_t base = 0;
    uint64_t bytes = 0;
    uint32_t type = 0;
};
struct MachineMap {
    std::string name;
    std::vector<E820Entry> entries;
};

// All of them, sorted by name. Throws when a file cannot be understood.
const std::vector<MachineMap>& machine_maps();
// Throws when there is none of that name.
const MachineMap& machine_map(const std::string& name);

}  // namespace quire::test
