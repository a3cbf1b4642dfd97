// SPDX-License-Identifier: MIT
// Where things go in the kernel's half of the address space, and the page-table format.
#include <stdint.h>

#include "../x86/managers.hpp"
#include "../x86/smp.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/paging/x86_64.hpp"

namespace kernel::machine {
namespace {

using namespace quire;

// The first slots of the root's upper half, below all else with four levels and with five.
constexpr unsigned self_slot = 256;
constexpr unsigned foreign_slot = 257;
constexpr unsigned scratch_slot = 258;

// The same addresses with four levels and with five, as four have fewer:
//   0xffff800000000000  with four levels: three slots for the recursive mapping
//   0xffff820000000000  regions
//   0xffff900000000000  the direct map: the first 64 TiB of RAM
//   0xffffd00000000000  the frame allocator's books, and words of page tables
//   0xffffd08000000000  windows
//   0xffffffff80100000  the image, where it is linked
//   0xffffffffffc00000  the boot mapping's window, and nothing afterwards
constexpr KernelLayout make_layout() {
    KernelLayout layout;
    layout.kernel = pages_between(0xFFFF820000000000, 0xFFFFFFFFFFBFFFFF);
    layout.direct_map = pages_between(0xFFFF900000000000, 0xFFFFCFFFFFFFFFFF);
    layout.metadata = pages_between(0xFFFFD00000000000, 0xFFFFD03FFFFFFFFF);
    layout.windows = pages_between(0xFFFFD08000000000, 0xFFFFD080001FFFFF);
    layout.self_slot = self_slot;
    layout.foreign_slot = foreign_slot;
    layout.scratch_slot = scratch_slot;
    return layout;
}
constexpr KernelLayout layout = make_layout();

struct Cpu : X86Cpu {
    using Local = smp::LocalTlb;
    operator Local() const { return {}; }
};

constinit Managers<X86_64, Cpu> managers;

X86_64 format() {
    return X86_64(x86_64_features(), AddressHalf::high);
}

}  // namespace

void choose_tables(WideTables, TableReach) {}
uintptr_t pages_per_table() {
    return X86_64::entries;
}

uint64_t highest_physical() {
    return address_of(format().highest_frame()).value() + page_size - 1;
}

Result<KernelMemory*> start_memory(const MemoryMap& map, TableReach reach, Platform& platform) {
    smp::start_first(platform);
    return managers.start(map, layout, reach, platform, smp::invalidator(), format(),
                          boot_window::building_entries());
}

}  // namespace kernel::machine
