// SPDX-License-Identifier: MIT
// Boot information as Multiboot 1 (0.6.96) and Multiboot 2 (2.0) loaders leave it, parsed with
// every length checked, into a MemoryMap.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/function_ref.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"

namespace quire {

// In EAX when the kernel is entered (Multiboot 1: 3.2 "Machine state"; Multiboot 2: 3.3).
inline constexpr uint32_t multiboot1_magic = 0x2BADB002;
inline constexpr uint32_t multiboot2_magic = 0x36D76289;

struct BootModule {
    PhysicalRange range;                 // empty when the file was
    const char* command_line = nullptr;  // null-terminated, in boot information; may be null
};
inline constexpr size_t boot_module_capacity = 16;

// The longest string that is accepted from Multiboot 1, which does not say how long its strings
// are; with the terminating null.
inline constexpr size_t boot_string_capacity = 4096;

// What the kernel learns beside the memory map. Strings point into boot information, which stays
// reserved as MemoryKind::boot_information until the kernel gives it up.
struct BootInformation {
    const char* protocol = "";
    const char* command_line = nullptr;
    const char* loader_name = nullptr;
    BootModule modules[boot_module_capacity];
    size_t module_count = 0;
};

// How the parser reads physical memory: returns a pointer to `bytes` bytes at `address`, or null
// when they cannot be read. The same address must give the same pointer however many bytes are
// asked for. Whatever it returns stays readable while the strings above are used.
using PhysicalReader = FunctionRef<const unsigned char*(PhysicalAddress address, size_t bytes)>;

// For PhysicalReader, while a boot loader's or a kernel's first mapping shows memory: the bytes
// below `limit` at the virtual address `offset` further up. Offset zero is identity.
class BootMapping {
  public:
    constexpr BootMapping(PhysicalAddress limit, uintptr_t offset) : limit_(limit), view_(offset) {}

    // Null when any of the bytes lies at `limit` or above, or when the pointer would be null.
    const unsigned char* operator()(PhysicalAddress address, size_t bytes) const;

  private:
    PhysicalAddress limit_;
    AddressView view_;
};

// Parses what the loader left at `information` after entering with `magic`; adds the firmware's
// entries to `builder`, and reserves there the information itself, its strings, its map, and the
// modules, plus the low memory in use (see boot/e820.hpp). The kernel's image is the caller's to
// reserve; so is whatever else of Multiboot 1's information it means to read later (symbols,
// drives, video modes), which may lie anywhere. A loader that gives no map, only the two sizes of
// lower and upper memory, is believed; a map, where there is one, has the word.
//
// Errors: bad_argument (the magic is neither), bad_boot_information (misaligned, contradictory,
// an unterminated string, or without any memory map), truncated (ends before its own size says, or
// cannot be read), too_many (modules, or reservations), out_of_range (something lies in the top
// frame of the 64-bit space, which no map covers). Each names the address concerned. The builder
// may then hold part of the entries and is to be dropped.
// Reads at most the sizes stated by the information itself; never loops without progress.
Result<BootInformation> parse_multiboot(uint32_t magic, PhysicalAddress information,
                                        PhysicalReader read, MemoryMapBuilder& builder);
// The same into an object of the caller's, for stacks on which half a KiB is too much. What it
// holds after an error means nothing.
Status parse_multiboot(uint32_t magic, PhysicalAddress address, PhysicalReader read,
                       MemoryMapBuilder& builder, BootInformation& information);

}  // namespace quire
