// SPDX-License-Identifier: MIT
#include "pae.hpp"

#include <stddef.h>

#include "../../machine.hpp"
#include "../x86/boot_window.hpp"
#include "double_fault_table.hpp"
#include "quire/paging/x86/cpu.hpp"

namespace kernel::pae {
namespace {

constexpr uint64_t present = 0x001;
constexpr uint64_t present_writable = 0x003;
constexpr size_t entries = 512;
constexpr uintptr_t page_bytes = 4096;
constexpr uintptr_t table_bytes = entries * page_bytes;  // that one leaf table maps
constexpr size_t image_tables = 4;                       // 8 MiB, as much as boot.S maps
constexpr size_t window_tables = boot_window::pages / entries;
// 32-bit page directories have 1024 entries of 4 MiB each.
constexpr uintptr_t kernel_slot = 0xC0000000 >> 22;
constexpr uintptr_t slots = 1024;

constinit bool entered = false;

alignas(page_bytes) constinit uint64_t root[entries] = {};
alignas(page_bytes) constinit uint64_t directory[entries] = {};  // of the last GiB
alignas(page_bytes) constinit uint64_t image[image_tables][entries] = {};
alignas(page_bytes) constinit uint64_t window[window_tables * entries] = {};

uint32_t physical(const void* object) {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(object) -
                                 machine::image().virtual_offset);
}
uint64_t& directory_entry(uintptr_t address) {
    return directory[address / table_bytes % entries];
}

// As boot.S does it: from the second page to the image's end, but for the stack's guard.
void map_image(const machine::Image& here) {
    for (size_t i = 0; i < image_tables; ++i)
        directory_entry(here.virtual_offset + i * table_bytes) =
            physical(image[i]) | present_writable;
    const uintptr_t guard = here.stack_guard - here.virtual_offset;
    for (uintptr_t frame = page_bytes; frame < here.physical_end; frame += page_bytes) {
        if (frame == guard) continue;
        image[frame / table_bytes][frame / page_bytes % entries] = frame | present_writable;
    }
}
void map_window() {
    for (size_t i = 0; i < window_tables; ++i)
        directory_entry(boot_window::base + i * table_bytes) =
            physical(window + i * entries) | present_writable;
}

}  // namespace

// With paging on, a write to CR4 that sets PAE changes the mode at once, and the CPU takes the four
// directory pointers from where CR3 points (SDM vol. 3A 4.1.2, 4.4.1). So one frame serves in both
// modes for a moment: the pointers are its first 32 bytes, and the last 1 KiB of it are the entries
// by which a page directory of 32-bit paging maps the kernel. The pointers are directory entries
// there too, for addresses below 32 MiB, which nobody uses meanwhile.
void enter() {
    const machine::Image here = machine::image();
    map_image(here);
    map_window();
    root[3] = physical(directory) | present;  // 3 GiB and up
    const quire::x86::ControlRegisters registers;
    const auto* const boot_directory =
        reinterpret_cast<const uint32_t*>(registers.cr3() + here.virtual_offset);
    for (uintptr_t slot = kernel_slot; slot < slots; slot += 2)
        root[slot / 2] = boot_directory[slot] | uint64_t{boot_directory[slot + 1]} << 32;
    entered = true;
    follow();
    traps::set_double_fault_table(physical(root));
}

void follow() {
    if (!entered) return;
    const quire::x86::ControlRegisters registers;
    registers.set_cr3(physical(root));
    registers.set_cr4(registers.cr4() | quire::x86::cr4_physical_extension);
}

uint64_t* building_entries() {
    return window + boot_window::reading_pages;
}

}  // namespace kernel::pae
