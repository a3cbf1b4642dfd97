// SPDX-License-Identifier: MIT
// Where things go in the kernel's gigabyte, and the page-table format.
#include <stdint.h>

#include "../x86/managers.hpp"
#include "../x86/smp.hpp"
#include "double_fault_table.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/paging/x86_32.hpp"

namespace kernel::machine {
namespace {

using namespace quire;

// The double fault's task has a page table of its own to load, which must be the active one.
struct Cpu : X86Cpu {
    using Local = smp::LocalTlb;
    operator Local() const { return {}; }
    void load_root(Frame root) const {
        X86Cpu::load_root(root);
        traps::set_double_fault_table(static_cast<uint32_t>(address_of(root).value()));
    }
};

// Slots of the root, 4 MiB each.
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

constinit Managers<X86_32, Cpu> managers;

}  // namespace

const uintptr_t pages_per_table = X86_32::entries;

uint64_t highest_physical() {
    return address_of(X86_32::highest_frame()).value() + page_size - 1;
}

Result<KernelMemory*> start_memory(const MemoryMap& map, TableReach reach, Platform& platform) {
    smp::start_first(platform);
    return managers.start(map, layout, reach, platform, smp::invalidator(), X86_32(x86_features()));
}

}  // namespace kernel::machine
