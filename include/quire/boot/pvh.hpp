// SPDX-License-Identifier: MIT
// Boot information as loaders of Xen's PVH protocol leave it (`qemu -kernel` among them): the
// structures of xen/include/public/arch-x86/hvm/start_info.h, parsed with every length checked,
// into a MemoryMap.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/boot/multiboot.hpp"

namespace quire {

// The start information's first field. PVH leaves no magic number in a register: a kernel that has
// several entries can use this one for its PVH entry.
inline constexpr uint32_t pvh_magic = 0x336ec578;

// The most entries of a map that are believed.
inline constexpr uint32_t pvh_map_capacity = 4096;

// Parses the start information at `address`, which the loader leaves in EBX; adds the firmware's
// entries to `builder`, and reserves there the information itself, its strings, its map, and the
// modules, plus the low memory in use (see boot/e820.hpp). The kernel's image is the caller's to
// reserve. `information` is the caller's, for stacks on which half a KiB is too much; what it holds
// after an error means nothing.
//
// Errors: bad_boot_information (no such magic, version 0, which has no memory map, no entry in the
// map, an unterminated string, or a size past the top of physical memory), truncated (cannot be
// read), too_many (modules, entries, or reservations), out_of_range (something lies in the top
// frame of the 64-bit space, which no map covers). Each names the address concerned. The builder
// may then hold part of the entries and is to be dropped. Reads at most the sizes stated by the
// information itself; O(entries and modules).
Status parse_pvh(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                 BootInformation& information);

}  // namespace quire
