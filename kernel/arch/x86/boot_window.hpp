// SPDX-License-Identifier: MIT
// The last entries of the boot mapping: 1024 pages at which any frame can be shown before the
// kernel has a page table of its own.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "isa.hpp"

namespace kernel::boot_window {

inline constexpr uintptr_t base = isa::boot_window;
inline constexpr size_t pages = 1024;
// The first pages show the boot information, for as long as the boot mapping lives; the rest is for
// building the kernel's page table.
inline constexpr size_t reading_pages = 960;
inline constexpr size_t building_pages = pages - reading_pages;

// Shows `bytes` of physical memory at `address` until the boot mapping is dropped; the same address
// always at the same place. Null when it is out of the CPU's reach, when it would run past a
// stretch of 256 KiB shown before, or when fifteen such stretches are shown already.
const unsigned char* show(uint64_t address, size_t bytes);

// The entries of the building pages.
isa::Entry* building_entries();

}  // namespace kernel::boot_window
