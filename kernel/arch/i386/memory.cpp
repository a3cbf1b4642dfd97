// SPDX-License-Identifier: MIT
// Where things go in the kernel's gigabyte, and the page-table format.
#include <stdint.h>

#include "../x86/managers.hpp"
#include "../x86/smp.hpp"
#include "double_fault_table.hpp"
#include "isa.hpp"
#include "pae.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_pae.hpp"

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
//   0xfe800000  the frame allocator's books, and words of page tables
//   0xff000000  windows
//   0xff400000  three slots for the recursive mapping
constexpr KernelLayout make_layout() {
    KernelLayout layout;
    layout.kernel = pages_between(0xC0000000, 0xFF3FFFFF);
    layout.direct_map = pages_between(0xD0000000, 0xEFFFFFFF);
    layout.metadata = pages_between(0xFE800000, 0xFEFFFFFF);
    layout.windows = pages_between(0xFF000000, 0xFF3FFFFF);
    layout.self_slot = self_slot;
    layout.foreign_slot = foreign_slot;
    layout.scratch_slot = scratch_slot;
    return layout;
}
constexpr KernelLayout layout = make_layout();

// Of which one is used.
constinit Managers<X86_32, Cpu> managers;
constinit Managers<X86Pae, Cpu> pae_managers;

constinit WideTables wide_tables = WideTables::as_needed;

// PAE has no recursive mapping, so that it is not chosen for such a kernel unless told to.
bool may_use_pae(WideTables wide, TableReach reach) {
    return wide == WideTables::always ||
           (wide == WideTables::as_needed && reach != TableReach::recursive && x86_has_pae());
}

constexpr uint64_t last_byte(Frame frame) {
    return address_of(frame).value() + page_size - 1;
}

}  // namespace

void choose_tables(WideTables wide, TableReach reach) {
    wide_tables = may_use_pae(wide, reach) ? wide : WideTables::never;
}

uintptr_t pages_per_table() {
    return isa::uses_pae() ? X86Pae::entries : X86_32::entries;
}

uint64_t highest_physical() {
    if (wide_tables == WideTables::never) return last_byte(X86_32::highest_frame());
    return last_byte(X86Pae(x86_pae_features()).highest_frame());
}

Result<KernelMemory*> start_memory(const MemoryMap& map, TableReach reach, Platform& platform) {
    const bool needed = map.usable_hull().last() > X86_32::highest_frame();
    const bool plain =
        wide_tables == WideTables::never || (wide_tables == WideTables::as_needed && !needed);
    if (!plain && (!x86_has_pae() || reach == TableReach::recursive)) return Error::unsupported;
    smp::start_first(platform);
    if (plain) {
        return managers.start(map, layout, reach, platform, smp::invalidator(),
                              X86_32(x86_features()), boot_window::building_entries());
    }
    pae::enter();
    return pae_managers.start(map, layout, reach, platform, smp::invalidator(),
                              X86Pae(x86_pae_features()), pae::building_entries());
}

}  // namespace kernel::machine
