// SPDX-License-Identifier: MIT
#include "sim/firmware.hpp"

#include <stdexcept>

namespace quire::sim {

namespace {
constexpr uint64_t kib = uint64_t{1} << 10;
constexpr uint64_t mib = uint64_t{1} << 20;
constexpr uint64_t gib = uint64_t{1} << 30;

constexpr uint64_t conventional_end = 640 * kib;
constexpr uint64_t extended_start = 1 * mib;
constexpr uint64_t ebda_bytes = 1 * kib;
constexpr uint64_t bios_bytes = 64 * kib;
constexpr uint64_t acpi_bytes = 128 * kib;
constexpr uint64_t flash_bytes = 256 * kib;

void check(uint64_t bytes) {
    if (bytes < 2 * mib || bytes % (4 * kib) != 0) {
        throw std::invalid_argument("sim: RAM must be whole 4 KiB pages and at least 2 MiB");
    }
}

// Memory below 4 GiB: from 3.5 GiB of RAM on, the emulator leaves the whole last GiB to devices.
uint64_t low_bytes(uint64_t bytes) {
    return bytes < 3 * gib + 512 * mib ? bytes : 3 * gib;
}
}  // namespace

std::vector<Segment> pc_segments(uint64_t bytes) {
    check(bytes);
    const uint64_t low = low_bytes(bytes);
    std::vector<Segment> segments{{0, conventional_end}, {extended_start, low - extended_start}};
    if (bytes > low) segments.push_back({4 * gib, bytes - low});
    return segments;
}

std::vector<Segment> flat_segments(uint64_t bytes) {
    check(bytes);
    return {{0, bytes}};
}

std::vector<FirmwareEntry> pc_firmware_map(uint64_t bytes) {
    check(bytes);
    using enum FirmwareType;
    const uint64_t low = low_bytes(bytes);
    std::vector<FirmwareEntry> map{
        {0, conventional_end - ebda_bytes, usable},
        {conventional_end - ebda_bytes, ebda_bytes, reserved},
        {extended_start - bios_bytes, bios_bytes, reserved},
        {extended_start, low - acpi_bytes - extended_start, usable},
        {low - acpi_bytes, acpi_bytes, reserved},
        {4 * gib - flash_bytes, flash_bytes, reserved},
    };
    if (bytes > low) map.push_back({4 * gib, bytes - low, usable});
    return map;
}

}  // namespace quire::sim
