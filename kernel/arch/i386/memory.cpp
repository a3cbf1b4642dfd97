// SPDX-License-Identifier: MIT
// Where things go in the kernel's gigabyte, and the three ways to assemble the memory managers on
// this machine.
#include <stdint.h>

#include "../../machine.hpp"
#include "boot_window.hpp"
#include "quire/kernel_memory_on.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/paging/x86_32.hpp"
#include "text_screen.hpp"
#include "traps.hpp"

namespace kernel::machine {
namespace {

using namespace quire;

// The double fault's task has a page table of its own to load, which must be the active one.
struct Cpu : X86Cpu {
    void load_root(Frame root) const {
        X86Cpu::load_root(root);
        traps::set_double_fault_table(static_cast<uint32_t>(address_of(root).value()));
    }
};

constexpr PageRange pages_between(uintptr_t first, uintptr_t last) {
    return PageRange::between(page_of(VirtualAddress(first)), page_of(VirtualAddress(last)));
}

// The last five slots of the root, 4 MiB each.
constexpr unsigned self_slot = 1023;
constexpr unsigned foreign_slot = 1022;
constexpr unsigned scratch_slot = 1021;

//   0xc0000000  the image, where it is linked; the text screen; regions
//   0xd0000000  the direct map: the first 512 MiB of RAM
//   0xf0000000  regions
//   0xfec00000  the frame allocator's books
//   0xff000000  windows
//   0xff400000  three slots for the recursive mapping
constexpr KernelLayout make_layout() {
    KernelLayout layout;
    layout.kernel = pages_between(0xC0000000, 0xFF3FFFFF);
    layout.direct_map = pages_between(0xD0000000, 0xEFFFFFFF);
    layout.metadata = pages_between(0xFEC00000, 0xFEFFFFFF);
    layout.windows = pages_between(0xFF000000, 0xFF3FFFFF);
    layout.self_slot = self_slot;
    layout.foreign_slot = foreign_slot;
    layout.scratch_slot = scratch_slot;
    return layout;
}
constexpr KernelLayout layout = make_layout();

SingleCpuInvalidator<Cpu> invalidator;

constinit KernelMemoryOn<X86_32, Cpu, TableReach::direct> direct_memory;
constinit KernelMemoryOn<X86_32, Cpu, TableReach::recursive> recursive_memory;
constinit KernelMemoryOn<X86_32, Cpu, TableReach::window> window_memory;

FixedMapping fixed_mapping(uintptr_t begin, uintptr_t end, Protection protection, MemoryType type,
                           const char* name) {
    const PageRange pages = pages_between(begin, end - 1);
    const PhysicalAddress physical(begin - image().virtual_offset);
    return FixedMapping{pages, frame_of(physical), {protection | Protection::global, type}, name};
}

FixedMapping data_mapping(uintptr_t begin, uintptr_t end, const char* name) {
    return fixed_mapping(begin, end, read_write, MemoryType::write_back, name);
}

template <class Memory>
Result<KernelMemory*> start(Memory& memory, const KernelParts& parts) {
    const X86_32 format(x86_features());
    const PageRange window(
        page_of(VirtualAddress(boot_window::base + boot_window::reading_pages * page_size)),
        PageCount(boot_window::building_pages));
    const Status started =
        memory.start(parts, format, BootWindow<X86_32>{window, boot_window::building_entries()});
    if (!started.ok()) return started.failure();
    return static_cast<KernelMemory*>(&memory);
}

}  // namespace

const uintptr_t pages_per_table = X86_32::entries;

uint64_t highest_physical() {
    return address_of(X86_32::highest_frame()).value() + page_size - 1;
}

const unsigned char* read_physical(PhysicalAddress address, size_t bytes) {
    return boot_window::show(address.value(), bytes);
}

Result<KernelMemory*> start_memory(const MemoryMap& map, TableReach reach, Platform& platform) {
    const Image here = image();
    const ImageSection& text = here.sections[0];
    const ImageSection& rodata = here.sections[1];
    const ImageSection& data = here.sections[2];
    const uintptr_t screen = TextScreen::physical + here.virtual_offset;
    const FixedMapping fixed[] = {
        fixed_mapping(screen, screen + page_size, read_write, MemoryType::uncached, "text screen"),
        fixed_mapping(text.begin, text.end, read_execute, MemoryType::write_back, "kernel text"),
        fixed_mapping(rodata.begin, rodata.end, read_only, MemoryType::write_back, "kernel rodata"),
        data_mapping(data.begin, here.stack_guard, "kernel data"),
        fixed_mapping(here.stack_guard, here.stack_begin, Protection::none, MemoryType::write_back,
                      "stack guard"),
        data_mapping(here.stack_begin, here.stack_end, "kernel stack"),
        data_mapping(here.stack_end, data.end, "kernel data"),
    };
    const KernelParts parts{map, layout, fixed, platform, invalidator, {}};
    switch (reach) {
        case TableReach::direct:
            return start(direct_memory, parts);
        case TableReach::recursive:
            return start(recursive_memory, parts);
        case TableReach::window:
            return start(window_memory, parts);
    }
    return Error::bad_argument;
}

}  // namespace kernel::machine
