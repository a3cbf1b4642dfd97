// SPDX-License-Identifier: MIT
#include "quire/boot/e820.hpp"

namespace quire {

namespace {

constexpr uint32_t first_type = 1;
constexpr uint32_t last_type = 8;

}  // namespace

MemoryKind kind_of_e820(uint32_t type) {
    switch (type) {
        case 1:
            return MemoryKind::usable;
        case 3:
            return MemoryKind::acpi_reclaimable;
        case 4:
            return MemoryKind::acpi_nvs;
        case 5:
            return MemoryKind::bad;
        case 7:
            return MemoryKind::persistent;
        default:
            return MemoryKind::reserved;
    }
}

void add_e820(MemoryMapBuilder& builder, uint64_t base, uint64_t bytes, uint32_t type) {
    // Known types that are reserved: 2 (reserved), 6 (disabled), 8 (unaccepted).
    if (type < first_type || type > last_type) {
        builder.note(RepairKind::unknown_type, base, bytes);
    }
    builder.add(base, bytes, kind_of_e820(type));
}

Status reserve_pc_low_memory(MemoryMapBuilder& builder) {
    constexpr PhysicalRange video_and_rom(PhysicalAddress(0xa0000), Bytes(0x60000));
    return builder.reserve(video_and_rom, MemoryKind::low_memory);
}

}  // namespace quire
