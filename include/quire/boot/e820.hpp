// SPDX-License-Identifier: MIT
// The types of BIOS memory maps (ACPI 6.4, 15.4 "Assigned ACPI address range types"; Multiboot
// uses the same numbers), for every protocol that hands such a map on.
#pragma once

#include <stdint.h>

#include "quire/boot/memory_map.hpp"

namespace quire {

// The kind of memory that a type number stands for; reserved for the numbers nobody defined and
// for those (unaccepted, disabled) of memory that must not be touched. Pure.
MemoryKind kind_of_e820(uint32_t type);

// Adds one entry of a BIOS map to the builder, whatever its type; an unknown one is reserved and
// recorded as RepairKind::unknown_type. Cost as of MemoryMapBuilder::add.
void add_e820(MemoryMapBuilder& builder, uint64_t base, uint64_t bytes, uint32_t type);

// Reserves what lies below 1 MiB on every PC and is in use, whatever the firmware says of it:
// video memory and ROMs, 0xa0000 to 0xfffff, as MemoryKind::low_memory. The interrupt vectors and
// the BIOS data area lie in frame zero, which a map reserves by itself. The extended BIOS data
// area is where the firmware's map leaves it out: its pointer in the BIOS data area is not
// trusted. Everything else below 1 MiB is used as the firmware says, for the sake of devices and
// of processors that start in real mode. Errors as of MemoryMapBuilder::reserve.
Status reserve_pc_low_memory(MemoryMapBuilder& builder);

}  // namespace quire
