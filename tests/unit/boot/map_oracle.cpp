// SPDX-License-Identifier: MIT
#include "map_oracle.hpp"

#include <algorithm>
#include <set>
#include <sstream>

namespace quire::test {

namespace {

constexpr uint64_t frame = page_size;
constexpr uint64_t top_frame = UINT64_MAX - frame + 1;  // in no map

uint64_t floor_of(uint64_t address) {
    return address / frame * frame;
}
uint64_t ceiling_of(uint64_t address) {
    return floor_of(address) == address ? address : floor_of(address) + frame;
}

// Half-open, below the top frame.
struct Claim {
    uint64_t first;
    uint64_t end;
    MemoryKind kind;
    bool covers(uint64_t from, uint64_t to) const { return first <= from && to <= end; }
};

std::vector<Claim> firmware_claims(const MapInput& input) {
    std::vector<Claim> claims;
    for (const FirmwareEntry& entry : input.firmware) {
        if (entry.bytes == 0 || entry.base >= top_frame) continue;
        const uint64_t room = top_frame - entry.base;
        claims.push_back({entry.base, entry.base + std::min(entry.bytes, room), entry.kind});
    }
    return claims;
}

std::vector<Claim> kernel_claims(const MapInput& input) {
    std::vector<Claim> claims{{0, frame, MemoryKind::frame_zero}};
    for (const Reservation& reservation : input.reservations) {
        claims.push_back(
            {floor_of(reservation.first), ceiling_of(reservation.last + 1), reservation.kind});
    }
    return claims;
}

// The kind of the highest rank that covers all of [from, to), if any does.
std::optional<MemoryKind> kind_of(const std::vector<Claim>& claims, uint64_t from, uint64_t to) {
    std::optional<MemoryKind> highest;
    for (const Claim& claim : claims) {
        if (claim.covers(from, to) && (!highest || *highest < claim.kind)) highest = claim.kind;
    }
    return highest;
}

}  // namespace

ExpectedMap expected_map(const MapInput& input) {
    const auto firmware = firmware_claims(input);
    const auto kernel = kernel_claims(input);
    std::set<uint64_t> bytes{0, top_frame};  // every byte where something begins or ends
    for (const auto& claims : {firmware, kernel}) {
        for (const Claim& claim : claims)
            bytes.insert({claim.first, claim.end});
    }
    std::set<uint64_t> frames;  // the frames around them
    for (uint64_t byte : bytes)
        frames.insert({floor_of(byte), ceiling_of(byte)});
    // The frame that holds the last byte in reach goes with it only as a whole.
    if (input.highest < top_frame - 1) frames.insert(floor_of(input.highest + 1));
    bytes.insert(frames.begin(), frames.end());

    ExpectedMap result;
    for (auto frame_from = frames.begin(); std::next(frame_from) != frames.end(); ++frame_from) {
        const uint64_t from = *frame_from;
        const uint64_t to = *std::next(frame_from);
        bool hole = false;
        std::optional<MemoryKind> highest;
        uint64_t usable = 0;
        for (auto byte = bytes.find(from); *byte != to; ++byte) {
            const auto kind = kind_of(firmware, *byte, *std::next(byte));
            if (!kind) {
                hole = true;
                continue;
            }
            if (*kind == MemoryKind::usable) usable += *std::next(byte) - *byte;
            if (!highest || *highest < *kind) highest = kind;
        }
        if (highest == MemoryKind::usable && hole) highest.reset();
        result.usable_raw += usable;
        const bool was_usable = highest == MemoryKind::usable;
        if (was_usable) result.usable_whole += to - from;
        if (const auto reserved = kind_of(kernel, from, to)) {
            highest = reserved;
        } else if (was_usable && to - 1 > input.highest) {
            highest = MemoryKind::beyond_reach;
        }
        if (!highest) continue;
        if (*highest == MemoryKind::usable) result.usable_left += to - from;
        if (was_usable && *highest != MemoryKind::usable) result.taken[*highest] += to - from;
        auto& entries = result.entries;
        if (!entries.empty() && entries.back().last == from - 1 &&
            entries.back().kind == *highest) {
            entries.back().last = to - 1;
        } else {
            entries.push_back({from, to - 1, *highest});
        }
    }
    return result;
}

std::optional<MemoryKind> ExpectedMap::kind_at(uint64_t address) const {
    for (const Stretch& entry : entries) {
        if (entry.first <= address && address <= entry.last) return entry.kind;
    }
    return std::nullopt;
}

std::vector<Stretch> entries_of(const MemoryMap& map) {
    std::vector<Stretch> entries;
    for (const MemoryEntry& entry : map.entries()) {
        entries.push_back({entry.range.first().value(), entry.range.last().value(), entry.kind});
    }
    return entries;
}

std::string describe(const std::vector<Stretch>& entries) {
    std::ostringstream out;
    for (const Stretch& entry : entries) {
        out << std::hex << entry.first << "-" << entry.last << " " << to_string(entry.kind) << "\n";
    }
    return out.str();
}

std::string broken_promise(const MemoryMap& map) {
    std::ostringstream out;
    uint64_t usable = 0;
    const MemoryEntry* below = nullptr;
    for (const MemoryEntry& entry : map.entries()) {
        const PhysicalRange& range = entry.range;
        if (range.empty()) out << "an empty entry; ";
        if (range.first().value() % frame != 0 || range.count().value() % frame != 0) {
            out << "no whole frames at " << std::hex << range.first().value() << "; ";
        }
        if (below != nullptr && below->range.last() >= range.first()) {
            out << "disorder at " << std::hex << range.first().value() << "; ";
        }
        if (below != nullptr && below->kind == entry.kind &&
            below->range.last().value() + 1 == range.first().value()) {
            out << "neighbours not merged at " << std::hex << range.first().value() << "; ";
        }
        if (entry.kind == MemoryKind::usable) usable += range.count().value();
        below = &entry;
    }
    uint64_t taken = 0;
    for (size_t kind = 0; kind < memory_kinds; ++kind) {
        const uint64_t part = map.taken_from_usable(static_cast<MemoryKind>(kind)).value();
        if (kind < static_cast<size_t>(MemoryKind::beyond_reach) && part != 0) {
            out << "a kind of the firmware's took memory; ";
        }
        taken += part;
    }
    if (map.firmware_usable().value() - taken != usable) out << "the reservations do not add up; ";
    if (map.firmware_usable_raw().value() - map.partial_frames().value() !=
        map.firmware_usable().value()) {
        out << "the partial frames do not add up; ";
    }
    if (map.totals().of(MemoryKind::usable).value() != usable ||
        map.usable_frames().value() * frame != usable) {
        out << "the totals do not add up; ";
    }
    if (map.repairs().size() > repair_capacity || map.repairs().size() > map.repair_count()) {
        out << "the repairs are miscounted; ";
    }
    return out.str();
}

std::string difference(const MemoryMap& map, const ExpectedMap& expected) {
    std::ostringstream out;
    const auto entries = entries_of(map);
    if (entries != expected.entries) {
        out << "entries:\n" << describe(entries) << "expected:\n" << describe(expected.entries);
    }
    if (map.firmware_usable_raw().value() != expected.usable_raw) out << "usable_raw differs\n";
    if (map.firmware_usable().value() != expected.usable_whole) out << "usable_whole differs\n";
    if (map.totals().of(MemoryKind::usable).value() != expected.usable_left) {
        out << "usable_left differs\n";
    }
    for (size_t kind = 0; kind < memory_kinds; ++kind) {
        const auto which = static_cast<MemoryKind>(kind);
        const auto found = expected.taken.find(which);
        const uint64_t want = found == expected.taken.end() ? 0 : found->second;
        if (map.taken_from_usable(which).value() != want) {
            out << "taken by " << to_string(which) << " differs\n";
        }
    }
    return out.str();
}

}  // namespace quire::test
