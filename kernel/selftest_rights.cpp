// SPDX-License-Identifier: MIT
// Self-tests of what may be executed, and of library and CPU reading the page table alike.
#include "agreement.hpp"
#include "console.hpp"
#include "faults.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "selftest.hpp"
#include "walk.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t layouts = 500;
constexpr uint32_t seed = 64;

// Where the format can deny execution, nothing that can be written can be executed. Where it
// cannot, the walk says of everything that can be read that it can be executed too.
bool rights_are_told(KernelMemory& memory) {
    if (machine::can_deny_execute()) return writable_and_executable_pages(memory.table()) == 0;
    bool all = true;
    const Status walked =
        memory.table().walk(memory.table().reach(), [&](const Translation& entry) {
            if (entry.state == EntryState::present) {
                all = all && has(entry.attributes.protection, Protection::execute);
            }
            return true;
        });
    return walked.ok() && all;
}

// Data is executed by the CPU just where the format cannot deny it, and text always.
bool data_is_not_executed(KernelMemory& memory) {
    const auto block = heap().allocate(16);
    if (!block.ok()) return false;
    *static_cast<volatile uint8_t*>(*block) = machine::return_instruction;
    const bool executed = probe_execute(memory.layout().view.address(*block).value());
    return heap().try_free(*block).ok() && executed != machine::can_deny_execute();
}

bool cpu_agrees_on_random_layouts(KernelMemory& memory) {
    return library_and_cpu_agree(memory, layouts / machine::cpu_count(), seed);
}

constexpr SelfTest tests[] = {
    {"nothing is both writable and executable, where that can be denied", rights_are_told},
    {"data is not executed, where that can be denied", data_is_not_executed},
    {"library and CPU agree on random layouts", cpu_agrees_on_random_layouts},
};

}  // namespace

Span<const SelfTest> rights_tests() {
    return tests;
}

}  // namespace kernel
