// SPDX-License-Identifier: MIT
// The machine's face for the machine-independent kernel, on the simulated machine.
#include "../../machine.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "../../console.hpp"
#include "../../heap.hpp"
#include "boot_information.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/booted_machine.hpp"
#include "simulated.hpp"
#include "terminal.hpp"

namespace kernel {

namespace {

using quire::sim::BootedMachine;

std::unique_ptr<BootedMachine> booted;

quire::sim::BootedShape shape_for(const sim_machine::Arguments& arguments) {
    quire::sim::BootedShape shape;
    shape.memory_bytes = arguments.memory_bytes;
    shape.direct_map_bytes = uint64_t{512} << 20;
    shape.heap_arena_bytes = heap_options.arena_bytes;
    shape.heap_sample_interval = heap_options.sample_interval;
    if (arguments.access == "recursive") shape.reach = quire::TableReach::recursive;
    if (arguments.access == "window") shape.reach = quire::TableReach::window;
    return shape;
}

machine::PageFault told(const quire::sim::PageFault& fault) {
    machine::PageFault result{};
    result.address = fault.address;
    result.access = fault.fetch()   ? machine::Access::execute
                    : fault.write() ? machine::Access::write
                                    : machine::Access::read;
    result.present = fault.present();
    result.reserved_bit = fault.reserved();
    return result;
}

machine::ImageSection section(const quire::sim::ImageSection& from) {
    return {from.name, BootedMachine::image_virtual + from.begin,
            BootedMachine::image_virtual + from.end,
            quire::has(from.protection, quire::Protection::write),
            quire::has(from.protection, quire::Protection::execute)};
}

}  // namespace

uint32_t sim_machine::make_machine(const Arguments& arguments) {
    booted = std::make_unique<BootedMachine>(shape_for(arguments));
    return write_boot_information(booted->ram(), arguments.memory_bytes, arguments.command_line());
}

namespace machine {

void choose_tables(WideTables, quire::TableReach) {}
uintptr_t pages_per_table() {
    return quire::X86_32::entries;
}

uint64_t highest_physical() {
    return UINT32_MAX;
}

Image image() {
    const uintptr_t base = BootedMachine::image_virtual;
    return Image{
        .physical_begin = BootedMachine::image_physical,
        .physical_end = BootedMachine::image_physical + BootedMachine::image_bytes,
        .virtual_offset = base - BootedMachine::image_physical,
        .sections = {section(BootedMachine::text), section(BootedMachine::rodata),
                     section(BootedMachine::data)},
        .stack_guard = base + BootedMachine::guard.begin,
        .stack_begin = base + BootedMachine::stack.begin,
        .stack_end = base + BootedMachine::stack.end,
    };
}

void initialize() {}
ConsoleSink& serial_sink() {
    return sim_machine::terminal::sink();
}
ConsoleSink* screen_sink() {
    return nullptr;
}
int read_input() {
    return sim_machine::terminal::read();
}
void wait_for_input() {
    sim_machine::terminal::wait();
}

const char* features_text() {
    return "PSE PGE PAT, simulated in a process";
}
bool has_large_pages() {
    return true;
}

// The 32-bit format has no way to say it.
bool can_deny_execute() {
    return false;
}

uint64_t cycles() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// There are none.
uint32_t disable_interrupts() {
    return 0;
}
void restore_interrupts(uint32_t) {}
bool in_handler() {
    return false;
}

// One.
unsigned cpu_count() {
    return 1;
}
unsigned this_cpu() {
    return 0;
}
quire::Status start_cpus(quire::KernelMemory&, unsigned wanted) {
    if (wanted > 1) return quire::Failure{quire::Error::unsupported, 0};
    return {};
}
void interrupt(const quire::CpuMask&) {}
void run_on(unsigned, CpuFunction, void*) {}
void wait_for(unsigned) {}
void with_interrupts(CpuFunction function, void* context) {
    function(context);
}

void start_ticks(unsigned, CpuFunction, void*) {}
void stop_ticks() {}

quire::Result<OwnTable> make_table(unsigned, quire::KernelMemory&) {
    return quire::Failure{quire::Error::unsupported, 0};
}
quire::Status destroy_table(unsigned) {
    return quire::Failure{quire::Error::unsupported, 0};
}
void run_table(unsigned) {}
void run_kernel_table() {}
bool has_pcids() {
    return false;
}

void set_page_fault_handler(PageFaultHandler handler, void* context) {
    booted->machine().on_page_fault([=](const quire::sim::PageFault& fault) {
        return handler != nullptr && handler(context, told(fault)) == Verdict::resolved;
    });
}

bool try_load(uintptr_t address, uint8_t& value) {
    const auto probe = booted->machine().probe_load<uint8_t>(address);
    if (probe.ok()) value = *probe.value;
    return probe.ok();
}

bool try_store(uintptr_t address) {
    const auto probe = booted->machine().probe_load<uint8_t>(address);
    return probe.ok() && booted->machine().probe_store<uint8_t>(address, *probe.value).ok();
}

const uint8_t return_instruction = 0xC3;
bool try_execute(uintptr_t address) {
    return booted->machine().probe_fetch(address).ok();
}

const unsigned char* read_physical(quire::PhysicalAddress address, size_t bytes) {
    const quire::sim::Ram& ram = booted->ram();
    if (!ram.backs(address.value(), bytes)) return nullptr;
    return reinterpret_cast<const unsigned char*>(ram.at(address.value(), bytes));
}

quire::Result<quire::KernelMemory*> start_memory(const quire::MemoryMap& map, quire::TableReach,
                                                 quire::Platform& platform) {
    // The machine was made for the access that the command line names.
    const quire::Status started = booted->start(map, platform);
    if (!started.ok()) return started.failure();
    return &booted->memory();
}

void stop(Outcome outcome) {
    std::exit(static_cast<int>(outcome));
}

void print_backtrace(uintptr_t) {}

}  // namespace machine

}  // namespace kernel
