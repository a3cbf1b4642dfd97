// SPDX-License-Identifier: MIT
// Reading boot information: bytes of physical memory, and little-endian fields at any alignment.
#pragma once

#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/multiboot.hpp"

namespace quire::detail {

using BootBytes = Span<const unsigned char>;

// Traps when the field does not lie in the bytes: the parsers check sizes before.
constexpr uint32_t field32(BootBytes bytes, size_t offset) {
    const BootBytes field = bytes.subspan(offset, 4);
    return static_cast<uint32_t>(field[0]) | static_cast<uint32_t>(field[1]) << 8 |
           static_cast<uint32_t>(field[2]) << 16 | static_cast<uint32_t>(field[3]) << 24;
}
constexpr uint64_t field64(BootBytes bytes, size_t offset) {
    return field32(bytes, offset) | static_cast<uint64_t>(field32(bytes, offset + 4)) << 32;
}

// The bytes of a range, however short. Error::bad_boot_information when it runs past the top of
// physical memory, Error::truncated when it cannot be read.
Result<BootBytes> read_bytes(PhysicalReader read, PhysicalAddress address, size_t bytes);

// The bytes of a null-terminated string, the null included. Error::bad_boot_information when it
// has no end within boot_string_capacity, Error::truncated when it cannot be read.
Result<BootBytes> read_string(PhysicalReader read, PhysicalAddress address);

// What both protocols give as two sizes where there is no map: KiB from 0, and KiB from 1 MiB.
// Error::bad_boot_information, with the first, when it reaches into the second.
Status add_lower_and_upper(MemoryMapBuilder& builder, uint32_t lower_kib, uint32_t upper_kib);

// Lists a module and reserves its memory. Error: too_many.
Status add_module(MemoryMapBuilder& builder, BootInformation& information,
                  const PhysicalRange& range, const char* command_line);
// The same for a module as Multiboot names it. Also bad_boot_information (it ends before it
// starts).
Status add_module(MemoryMapBuilder& builder, BootInformation& information, uint32_t first,
                  uint32_t end, const char* command_line);

// Nothing is known yet.
void clear(BootInformation& information);

Status parse_multiboot1(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                        BootInformation& information);
Status parse_multiboot2(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                        BootInformation& information);

}  // namespace quire::detail
