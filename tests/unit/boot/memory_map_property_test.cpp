// SPDX-License-Identifier: MIT
// Random maps with every fault at once, against the naive oracle.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "map_oracle.hpp"

namespace quire::test {
namespace {

// RapidCheck reads this when the first property runs; whoever calls the test may say otherwise,
// seed=... to replay what a failure printed.
const int more_cases = setenv("RC_PARAMS", "max_success=200", 0);

// Addresses in a few dozen frames, so that entries meet, at frame boundaries or off them; now and
// then around 4 GiB or at the top of the space.
rc::Gen<uint64_t> addresses() {
    const auto small = rc::gen::inRange<uint64_t>(0, 40 * page_size);
    const auto aligned = rc::gen::map(rc::gen::inRange<uint64_t>(0, 40),
                                      [](uint64_t frame) { return frame * page_size; });
    const auto near_4g = rc::gen::map(rc::gen::inRange<uint64_t>(0, 8 * page_size),
                                      [](uint64_t at) { return 0xffffc000 + at; });
    const auto near_top = rc::gen::map(rc::gen::inRange<uint64_t>(0, 4 * page_size),
                                       [](uint64_t at) { return UINT64_MAX - at; });
    return rc::gen::weightedOneOf<uint64_t>(
        {{5, small}, {5, aligned}, {2, near_4g}, {1, near_top}});
}

// Huge ones are rare, or one of them would cover all the others.
rc::Gen<uint64_t> sizes() {
    return rc::gen::weightedOneOf<uint64_t>(
        {{40, rc::gen::inRange<uint64_t>(0, 12 * page_size)},
         {40, rc::gen::map(rc::gen::inRange<uint64_t>(0, 12),
                           [](uint64_t frames) { return frames * page_size; })},
         {4, rc::gen::just<uint64_t>(0)},
         {1, rc::gen::just<uint64_t>(uint64_t{1} << 32)},
         {1, rc::gen::map(rc::gen::inRange<uint64_t>(0, 3 * page_size),
                          [](uint64_t less) { return UINT64_MAX - less; })}});
}

rc::Gen<MemoryKind> kinds(MemoryKind lowest, MemoryKind highest) {
    return rc::gen::map(rc::gen::inRange(static_cast<int>(lowest), static_cast<int>(highest) + 1),
                        [](int kind) { return static_cast<MemoryKind>(kind); });
}

rc::Gen<FirmwareEntry> firmware_entries() {
    // Half of the entries usable, as in life.
    return rc::gen::build<FirmwareEntry>(
        rc::gen::set(&FirmwareEntry::base, addresses()),
        rc::gen::set(&FirmwareEntry::bytes, sizes()),
        rc::gen::set(&FirmwareEntry::kind,
                     rc::gen::oneOf(rc::gen::just(MemoryKind::usable),
                                    kinds(MemoryKind::usable, MemoryKind::bad))));
}

rc::Gen<Reservation> reservations() {
    return rc::gen::map(rc::gen::tuple(rc::gen::inRange<uint64_t>(0, 44 * page_size),
                                       rc::gen::inRange<uint64_t>(1, 6 * page_size),
                                       kinds(MemoryKind::low_memory, MemoryKind::kernel)),
                        [](const std::tuple<uint64_t, uint64_t, MemoryKind>& made) {
                            const auto [first, bytes, kind] = made;
                            return Reservation{first, first + bytes - 1, kind};
                        });
}

rc::Gen<MapInput> inputs() {
    return rc::gen::build<MapInput>(
        rc::gen::set(&MapInput::firmware,
                     rc::gen::container<std::vector<FirmwareEntry>>(firmware_entries())),
        rc::gen::set(&MapInput::reservations,
                     rc::gen::container<std::vector<Reservation>>(reservations())),
        rc::gen::set(&MapInput::highest,
                     rc::gen::oneOf(rc::gen::just<uint64_t>(0xffffffff),
                                    rc::gen::just<uint64_t>(UINT64_MAX), addresses())));
}

Status build(const MapInput& input, MemoryMap& map) {
    MemoryMapBuilder builder(map);
    for (const FirmwareEntry& entry : input.firmware)
        builder.add(entry.base, entry.bytes, entry.kind);
    for (const Reservation& reservation : input.reservations) {
        const Status reserved =
            builder.reserve(PhysicalRange::between(PhysicalAddress(reservation.first),
                                                   PhysicalAddress(reservation.last)),
                            reservation.kind);
        if (!reserved.ok()) return reserved;
    }
    return builder.finish(PhysicalAddress(input.highest));
}

void show(const MapInput& input) {
    std::ostringstream out;
    out << std::hex << "highest " << input.highest << "\n";
    for (const FirmwareEntry& entry : input.firmware)
        out << "add " << entry.base << " + " << entry.bytes << " " << to_string(entry.kind) << "\n";
    for (const Reservation& entry : input.reservations)
        out << "reserve " << entry.first << "-" << entry.last << " " << to_string(entry.kind)
            << "\n";
    RC_LOG(out.str());
}

RC_GTEST_PROP(MemoryMapProperty, AnyMapIsMadeWhatTheOracleSays, ()) {
    const MapInput input = *inputs();
    show(input);
    const auto map = std::make_unique<MemoryMap>();
    const Status built = build(input, *map);
    const ExpectedMap expected = expected_map(input);
    RC_ASSERT(broken_promise(*map) == "");
    RC_ASSERT(difference(*map, expected) == "");
    RC_ASSERT(built.ok() == (expected.usable_left != 0));
    RC_CLASSIFY(built.ok(), "usable");
    RC_CLASSIFY(map->entries().size() > 5, "more than five entries");
}

RC_GTEST_PROP(MemoryMapProperty, TheOrderOfEntriesMakesNoDifference, ()) {
    MapInput input = *inputs();
    const auto map = std::make_unique<MemoryMap>();
    RC_ASSERT(build(input, *map).ok() == (expected_map(input).usable_left != 0));
    const auto before = entries_of(*map);
    const Bytes usable = map->firmware_usable();
    std::reverse(input.firmware.begin(), input.firmware.end());
    std::reverse(input.reservations.begin(), input.reservations.end());
    RC_ASSERT(build(input, *map).ok() ==
              (usable != Bytes(0) && !before.empty() && expected_map(input).usable_left != 0));
    RC_ASSERT(entries_of(*map) == before);
    RC_ASSERT(map->firmware_usable() == usable);
}

// More entries than fit: memory may be lost, but what must not be handed out never is.
RC_GTEST_PROP(MemoryMapProperty, TooManyEntriesLoseUsableMemoryOnly, ()) {
    MapInput input;
    const auto count = *rc::gen::inRange<size_t>(memory_map_capacity, 3 * memory_map_capacity);
    const auto usable_share = *rc::gen::inRange(2, 9);
    for (size_t i = 0; i < count; ++i) {
        const bool usable = *rc::gen::inRange(0, 10) < usable_share;
        const uint64_t frame = *rc::gen::inRange<uint64_t>(1, 8 * memory_map_capacity);
        const uint64_t frames = *rc::gen::inRange<uint64_t>(1, 4);
        input.firmware.push_back(
            {frame * page_size, frames * page_size,
             usable ? MemoryKind::usable : *kinds(MemoryKind::acpi_reclaimable, MemoryKind::bad)});
    }
    input.reservations = *rc::gen::container<std::vector<Reservation>>(6, reservations());
    const auto map = std::make_unique<MemoryMap>();
    const Status built = build(input, *map);
    if (!built.ok() && built.error() == Error::too_many) RC_DISCARD("even that did not fit");
    RC_ASSERT(broken_promise(*map) == "");
    const ExpectedMap expected = expected_map(input);
    for (const Stretch& entry : entries_of(*map)) {
        for (uint64_t at = entry.first; at < entry.last; at += page_size)
            RC_ASSERT(expected.kind_at(at) == entry.kind);
    }
    for (const Stretch& entry : expected.entries) {
        if (entry.kind == MemoryKind::usable) continue;
        for (uint64_t at = entry.first; at < entry.last; at += page_size) {
            const MemoryEntry* found = map->find(PhysicalAddress(at));
            RC_ASSERT(found != nullptr);
            RC_ASSERT(found->kind == entry.kind);
        }
    }
    RC_ASSERT(map->firmware_usable().value() <= expected.usable_whole);
    RC_CLASSIFY(map->firmware_usable().value() < expected.usable_whole, "memory was given up");
}

}  // namespace
}  // namespace quire::test
