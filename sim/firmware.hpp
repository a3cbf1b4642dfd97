// SPDX-License-Identifier: MIT
// What the firmware of the simulated machine says about its memory: a PC's map, as the usual
// emulator's BIOS gives it.
#pragma once

#include <cstdint>
#include <vector>

namespace quire::sim {

// Types of the BIOS call INT 15h, AX=E820h (ACPI specification, "Address Range Types").
enum class FirmwareType : uint32_t { usable = 1, reserved = 2 };

// One entry of the firmware's map, in bytes.
struct FirmwareEntry {
    uint64_t base;
    uint64_t length;
    FirmwareType type;

    friend bool operator==(const FirmwareEntry&, const FirmwareEntry&) = default;
};

// A run of physical addresses behind which there is something.
struct Segment {
    uint64_t base;
    uint64_t length;

    friend bool operator==(const Segment&, const Segment&) = default;
};

// Where a PC with so many bytes of memory puts them: up to 640 KiB, from 1 MiB on, and, when there
// are 3.5 GiB or more, all above 3 GiB from 4 GiB on. `bytes` is a multiple of the 4 KiB page and
// at least 2 MiB; throws std::invalid_argument otherwise.
std::vector<Segment> pc_segments(uint64_t bytes);

// One run from zero, for tests that want no holes.
std::vector<Segment> flat_segments(uint64_t bytes);

// The firmware's own map of that PC: the EBDA below 640 KiB, the BIOS below 1 MiB, ACPI tables in
// the last 128 KiB of low memory and the flash below 4 GiB are reserved. Throws like pc_segments.
std::vector<FirmwareEntry> pc_firmware_map(uint64_t bytes);

}  // namespace quire::sim
