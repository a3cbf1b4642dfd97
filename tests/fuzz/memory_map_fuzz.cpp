// SPDX-License-Identifier: MIT
// The input is a map: eight bytes of the highest address in reach, then entries of 17 bytes, base,
// size and kind. Whatever it is, the map that comes out is the naive oracle's.
#include <cstring>
#include <memory>
#include <string>

#include "boot_input.hpp"
#include "unit/boot/map_oracle.hpp"

namespace {

uint64_t take(const uint8_t*& data, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, data, bytes);
    data += bytes;
    return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace quire;
    constexpr size_t entry_bytes = 17;
    // Every entry makes three at most; more than fit is another test's matter.
    if (size < 8 || (size - 8) / entry_bytes > memory_map_capacity / 4) return 0;
    const uint8_t* const end = data + size;
    test::MapInput input;
    input.highest = take(data, 8);
    const auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    while (static_cast<size_t>(end - data) >= entry_bytes) {
        const uint64_t first = take(data, 8);
        const uint64_t bytes = take(data, 8);
        const auto kind = static_cast<MemoryKind>(take(data, 1) % memory_kinds);
        if (kind < MemoryKind::beyond_reach) {
            builder.add(first, bytes, kind);
            input.firmware.push_back({first, bytes, kind});
            continue;
        }
        const auto range = PhysicalRange::from(PhysicalAddress(first), Bytes(bytes));
        if (range.ok() && builder.reserve(*range, kind).ok()) {
            input.reservations.push_back({first, range->last().value(), kind});
        }
    }
    const Status built = builder.finish(PhysicalAddress(input.highest));
    const test::ExpectedMap expected = test::expected_map(input);
    const std::string wrong = test::broken_promise(*map) + test::difference(*map, expected);
    if (!wrong.empty()) test::broken(wrong.c_str());
    if (built.ok() != (expected.usable_left != 0)) test::broken("finish");
    return 0;
}
