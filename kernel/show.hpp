// SPDX-License-Identifier: MIT
// The state of the memory managers as tables on the console, for the boot log and the monitor.
#pragma once

#include <stdint.h>

#include "heap.hpp"
#include "quire/base/result.hpp"
#include "quire/kernel_memory.hpp"

namespace kernel {

// A coloured headline.
void show_heading(const char* text);
// One entry of the firmware's map as it stands there.
void show_firmware_entry(uint64_t base, uint64_t bytes, const char* kind);
void show_map(const quire::MemoryMap& map);
void show_repairs(const quire::MemoryMap& map);
// What the firmware called usable, less every reservation, is what the allocator owns; true when
// that holds to the frame.
bool show_reservations(const quire::MemoryMap& map, const quire::FrameAllocator& frames);
void show_frames(const quire::FrameAllocator& frames);
void show_regions(const quire::AddressSpace& space);
void show_heap(const CpuHeap& heap);
// Addresses, size, protection and memory type, in columns and without a line break.
void show_range(uint64_t first, uint64_t last, uint64_t bytes, const quire::Attributes& attributes);
// Every mapping of the page table, neighbours joined in one line: in `full` only where their frames
// follow one another too.
enum class Detail { brief, full };
void show_mappings(const quire::PageTable& table, Detail detail);
void show_translation(const quire::Translation& translation, quire::VirtualAddress address);
// "out_of_frames: no frame, or ..."
void show_failure(const char* what, quire::Failure failure);

// "rwx-g": read, write, execute, user, global.
struct ProtectionText {
    char text[6];
};
ProtectionText protection_text(quire::Protection protection);

}  // namespace kernel
