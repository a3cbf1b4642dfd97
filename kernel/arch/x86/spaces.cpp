// SPDX-License-Identifier: MIT
// Spaces of their own: which page table a CPU runs, and how their invalidations find it.
#include "spaces.hpp"

#include "quire/base/late.hpp"
#include "quire/paging/tlb_space.hpp"
#include "smp.hpp"

namespace kernel {
namespace {

using namespace quire;

constinit SpaceTables* tables = nullptr;
constinit Late<TlbSpace> kernel_space;
constinit Late<TlbSpace> spaces[machine::most_spaces];
constinit Late<ShootdownInvalidator<smp::KernelShootdown>> tlbs[machine::most_spaces];

}  // namespace

void set_space_tables(SpaceTables& them) {
    tables = &them;
}

namespace machine {

Result<OwnTable> make_table(unsigned number, KernelMemory& memory) {
    const auto table = tables->make(number);
    if (!table.ok()) return table.failure();
    smp::KernelShootdown& shootdown = smp::kernel_shootdown();
    if (!kernel_space.made()) kernel_space.make(shootdown, memory.table().root());
    spaces[number].make(shootdown, (*table)->root());
    tlbs[number].make(shootdown, *spaces[number]);
    return OwnTable{*table, &*tlbs[number]};
}

Status destroy_table(unsigned number) {
    const Status destroyed = tables->destroy(number);
    if (!destroyed.ok()) return destroyed;
    tlbs[number].end();
    spaces[number].end();
    return {};
}

void run_table(unsigned number) {
    smp::kernel_shootdown().switch_to(*spaces[number]);
}
void run_kernel_table() {
    smp::kernel_shootdown().switch_to(*kernel_space);
}
bool has_pcids() {
    return X86Cpu().uses_pcids();
}

}  // namespace machine

}  // namespace kernel
