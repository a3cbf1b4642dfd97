// SPDX-License-Identifier: MIT
#include "boot_window.hpp"

#include "cpu.hpp"

extern "C" kernel::isa::Entry boot_window_table[kernel::boot_window::pages];

namespace kernel::boot_window {
namespace {

constexpr uint64_t page_bytes = 4096;
constexpr uint64_t reach = isa::boot_window_reach;
constexpr isa::Entry present = 0x001;

// The window is filled by stretches: a request starts one unless its first byte is shown already.
// So an address that was given out once stays where it is when more bytes behind it are asked for.
constexpr size_t stretch_pages = 64;
constexpr uint64_t stretch_bytes = stretch_pages * page_bytes;
constexpr size_t stretches = reading_pages / stretch_pages;

uint64_t stretch_starts[stretches];
size_t used = 0;

uint64_t stretch_end(size_t index) {
    const uint64_t end = stretch_starts[index] + stretch_bytes;
    return end < reach ? end : reach;
}

void start_stretch(uint64_t first) {
    stretch_starts[used] = first;
    for (size_t i = 0; i < stretch_pages; ++i) {
        const uint64_t frame_address = first + i * page_bytes;
        if (frame_address >= reach) break;
        const size_t page = used * stretch_pages + i;
        boot_window_table[page] = static_cast<isa::Entry>(frame_address) | present;
        cpu::invalidate_page(base + page * page_bytes);
    }
    ++used;
}

}  // namespace

const unsigned char* show(uint64_t address, size_t bytes) {
    size_t index = 0;
    while (index < used && (address < stretch_starts[index] || address >= stretch_end(index))) {
        ++index;
    }
    if (index == used) {
        if (used == stretches || address >= reach) return nullptr;
        start_stretch(address & ~(page_bytes - 1));
    }
    if (bytes > stretch_end(index) - address) return nullptr;
    const uintptr_t offset = static_cast<uintptr_t>(address - stretch_starts[index]);
    return reinterpret_cast<const unsigned char*>(base + index * stretch_bytes + offset);
}

isa::Entry* building_entries() {
    return boot_window_table + reading_pages;
}

}  // namespace kernel::boot_window
