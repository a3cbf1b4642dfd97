// SPDX-License-Identifier: MIT
#include "faults.hpp"

#include "console.hpp"
#include "heap.hpp"
#include "machine.hpp"

namespace kernel {
namespace {

enum class OnFault {
    resolve_or_stop,
    resolve_or_remember,
    refuse,
};

constinit quire::AddressSpace* faulting_space = nullptr;

// Each CPU's own.
struct FaultState {
    OnFault mode = OnFault::resolve_or_stop;
    quire::FaultReport report;
};
constinit FaultState states[machine::most_cpus];

FaultState& own_state() {
    return states[machine::this_cpu()];
}

quire::AccessKind access_kind(machine::Access access) {
    switch (access) {
        case machine::Access::read:
            return quire::AccessKind::read;
        case machine::Access::write:
            return quire::AccessKind::write;
        case machine::Access::execute:
            return quire::AccessKind::execute;
    }
    return quire::AccessKind::read;
}

machine::Verdict on_page_fault(void*, const machine::PageFault& machine_fault) {
    FaultState& state = own_state();
    if (state.mode == OnFault::refuse) return machine::Verdict::unresolved;
    quire::Fault fault;
    fault.address = quire::VirtualAddress(machine_fault.address);
    fault.access = access_kind(machine_fault.access);
    fault.was_present = machine_fault.present;
    fault.instruction = quire::VirtualAddress(machine_fault.instruction_pointer);
    const quire::FaultOutcome outcome = faulting_space->fault(fault);
    if (outcome.resolved) return machine::Verdict::resolved;
    if (state.mode == OnFault::resolve_or_remember) {
        state.report = outcome.report;
    } else {
        show_fault(outcome.report);
    }
    return machine::Verdict::unresolved;
}

}  // namespace

void handle_faults_with(quire::AddressSpace& space) {
    faulting_space = &space;
    machine::set_page_fault_handler(on_page_fault, nullptr);
}

bool probe_byte(uintptr_t address, uint8_t& value) {
    FaultState& state = own_state();
    const OnFault before = state.mode;
    state.mode = OnFault::refuse;
    const bool loaded = machine::try_load(address, value);
    state.mode = before;
    return loaded;
}

bool probe_load(uintptr_t address) {
    uint8_t value = 0;
    return probe_byte(address, value);
}

Probe probe(uintptr_t address) {
    const bool loads = probe_load(address);
    FaultState& state = own_state();
    const OnFault before = state.mode;
    state.mode = OnFault::refuse;
    const bool stores = machine::try_store(address);
    state.mode = before;
    return {loads, stores};
}

bool probe_execute(uintptr_t address) {
    FaultState& state = own_state();
    const OnFault before = state.mode;
    state.mode = OnFault::refuse;
    const bool executes = machine::try_execute(address);
    state.mode = before;
    return executes;
}

TouchOutcome touch(uintptr_t address, Touch how) {
    FaultState& state = own_state();
    const OnFault before = state.mode;
    state.mode = OnFault::resolve_or_remember;
    uint8_t value = 0;
    const bool done =
        how == Touch::store ? machine::try_store(address) : machine::try_load(address, value);
    state.mode = before;
    return {done, state.report};
}

void show_fault(const quire::FaultReport& report) {
    char buffer[1536];
    quire::TextWriter text(buffer);
    write(text, report);
    const auto cause = explain_heap_fault(report.fault.address.value());
    if (cause.ok()) {
        write(text, *cause);
        text.put('\n');
    }
    bool at_start = true;
    for (const char* at = text.text(); *at != '\0'; ++at) {
        if (at_start) print(" ");
        console().put(*at);
        at_start = *at == '\n';
    }
    if (!at_start) print("\n");
}

}  // namespace kernel
