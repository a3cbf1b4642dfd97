// SPDX-License-Identifier: MIT
// What a canonical map should be, worked out the slow way: every stretch of memory between two
// addresses that anybody named is looked at by itself, against all entries, in no order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quire/boot/memory_map.hpp"

namespace quire::test {

struct FirmwareEntry {
    uint64_t base = 0;
    uint64_t bytes = 0;
    MemoryKind kind = MemoryKind::usable;
};
struct Reservation {
    uint64_t first = 0;
    uint64_t last = 0;
    MemoryKind kind = MemoryKind::kernel;
};

struct MapInput {
    std::vector<FirmwareEntry> firmware;
    std::vector<Reservation> reservations;
    uint64_t highest = UINT64_MAX;
};

// From first to last, both included.
struct Stretch {
    uint64_t first = 0;
    uint64_t last = 0;
    MemoryKind kind = MemoryKind::usable;
    bool operator==(const Stretch&) const = default;
};

struct ExpectedMap {
    std::vector<Stretch> entries;  // merged, ascending
    uint64_t usable_raw = 0;
    uint64_t usable_whole = 0;
    uint64_t usable_left = 0;
    std::map<MemoryKind, uint64_t> taken;

    std::optional<MemoryKind> kind_at(uint64_t address) const;
};

ExpectedMap expected_map(const MapInput& input);

// What the map holds, in the oracle's words.
std::vector<Stretch> entries_of(const MemoryMap& map);
std::string describe(const std::vector<Stretch>& entries);

// The first promise of the header that the map breaks; empty when it keeps them all.
std::string broken_promise(const MemoryMap& map);

// The first difference between the map and what was expected; empty when there is none.
std::string difference(const MemoryMap& map, const ExpectedMap& expected);

}  // namespace quire::test
