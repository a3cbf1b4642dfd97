// SPDX-License-Identifier: MIT
// The descriptor tables: flat segments, two task states, and a gate for every exception.
#include <stddef.h>
#include <stdint.h>

#include "../../console.hpp"
#include "../x86/cpu_record.hpp"
#include "../x86/traps.hpp"
#include "double_fault_table.hpp"

extern "C" {
extern const uint32_t trap_entries[32];
extern const uint32_t device_entries[6];
void double_fault_entry();
[[noreturn]] void handle_double_fault();
}

namespace kernel::traps {
namespace {

constexpr uint16_t code_selector = 0x08;
constexpr uint16_t data_selector = 0x10;
constexpr uint16_t task_selector = 0x18;
constexpr uint16_t double_fault_selector = 0x20;
constexpr uint16_t record_selector = 0x28;

constexpr size_t exception_count = 32;
constexpr size_t double_fault_vector = 8;
// In the order of device_entries.
constexpr size_t device_vectors[] = {timer_vector,           serial_vector, spurious_vector,
                                     second_spurious_vector, ipi_vector,    apic_spurious_vector};
constexpr size_t gate_count = 256;

// SDM 3A, 8.2.1.
struct TaskState {
    uint32_t previous_task;
    uint32_t esp0, ss0, esp1, ss1, esp2, ss2;
    uint32_t cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs;
    uint32_t local_descriptor_table;
    uint16_t trap_on_switch;
    uint16_t io_map_offset;
};
static_assert(sizeof(TaskState) == 104);

// SDM 3A, 3.4.5 and 6.11.
constexpr uint64_t flat_segment(uint8_t type) {
    constexpr uint64_t granular_32_bit = 0xCull;
    return 0x0000'0000'0000'FFFFull | (uint64_t{type} << 40) | (0xFull << 48) |
           (granular_32_bit << 52);
}

uint64_t task_segment(const TaskState& state) {
    constexpr uint64_t available_task = 0x89;
    const uint64_t base = reinterpret_cast<uintptr_t>(&state);
    return (sizeof(TaskState) - 1) | ((base & 0xFF'FFFF) << 16) | (available_task << 40) |
           ((base >> 24) << 56);
}

// Bytes, writable data, as many as a record has.
uint64_t record_segment(const CpuRecord& record) {
    constexpr uint64_t writable_data = 0x92;
    constexpr uint64_t is_32_bit = 0x4;
    const uint64_t base = reinterpret_cast<uintptr_t>(&record);
    return (sizeof(CpuRecord) - 1) | ((base & 0xFF'FFFF) << 16) | (writable_data << 40) |
           (is_32_bit << 52) | ((base >> 24) << 56);
}

constexpr uint64_t interrupt_gate(uint32_t entry) {
    constexpr uint64_t present_interrupt_gate = 0x8E;
    return (entry & 0xFFFFu) | (uint64_t{code_selector} << 16) | (present_interrupt_gate << 40) |
           (static_cast<uint64_t>(entry >> 16) << 48);
}

constexpr uint64_t task_gate(uint16_t selector) {
    constexpr uint64_t present_task_gate = 0x85;
    return (uint64_t{selector} << 16) | (present_task_gate << 40);
}

struct [[gnu::packed]] TableRegister {
    uint16_t limit;
    uint32_t base;
};

constinit uint64_t gates[gate_count] = {};

// A CPU's own: task states are marked busy while they are in use, and GS leads to the CPU's record.
class CpuDescriptors {
  public:
    void load(const CpuRecord& record) {
        load_segments(record);
        load_tasks();
    }
    void set_double_fault_table(uint32_t cr3) { double_fault_task_.cr3 = cr3; }
    // What the task switch has saved.
    InterruptedState interrupted() const { return {task_.eip, task_.esp, task_.ebp}; }

  private:
    void load_segments(const CpuRecord& record) {
        segments_[code_selector / 8] = flat_segment(0x9A);
        segments_[data_selector / 8] = flat_segment(0x92);
        segments_[task_selector / 8] = task_segment(task_);
        segments_[double_fault_selector / 8] = task_segment(double_fault_task_);
        segments_[record_selector / 8] = record_segment(record);
        const TableRegister table = {sizeof(segments_) - 1, reinterpret_cast<uint32_t>(segments_)};
        asm volatile(
            "lgdt %0\n"
            "ljmp %1, $1f\n"
            "1:\n"
            "mov %2, %%ds\n"
            "mov %2, %%es\n"
            "mov %2, %%fs\n"
            "mov %2, %%ss\n"
            "mov %3, %%gs\n"
            :
            : "m"(table), "i"(code_selector), "r"(uint32_t{data_selector}),
              "r"(uint32_t{record_selector})
            : "memory");
    }
    void load_tasks() {
        task_.io_map_offset = sizeof(TaskState);
        double_fault_task_.io_map_offset = sizeof(TaskState);
        double_fault_task_.eip = reinterpret_cast<uint32_t>(&double_fault_entry);
        double_fault_task_.eflags = 0x2;
        double_fault_task_.esp =
            reinterpret_cast<uint32_t>(double_fault_stack_ + sizeof(double_fault_stack_));
        double_fault_task_.cs = code_selector;
        double_fault_task_.ds = data_selector;
        double_fault_task_.es = data_selector;
        double_fault_task_.fs = data_selector;
        double_fault_task_.gs = record_selector;
        double_fault_task_.ss = data_selector;
        asm volatile("ltr %0" : : "r"(task_selector) : "memory");
    }

    uint64_t segments_[6] = {};
    TaskState task_ = {};
    TaskState double_fault_task_ = {};
    alignas(16) uint8_t double_fault_stack_[4096] = {};
};
constinit CpuDescriptors descriptors[most_cpus];

void load_gates() {
    for (size_t vector = 0; vector < exception_count; ++vector) {
        gates[vector] = interrupt_gate(trap_entries[vector]);
    }
    gates[double_fault_vector] = task_gate(double_fault_selector);
    for (size_t i = 0; i < sizeof(device_vectors) / sizeof(device_vectors[0]); ++i) {
        gates[device_vectors[i]] = interrupt_gate(device_entries[i]);
    }
    const TableRegister table = {sizeof(gates) - 1, reinterpret_cast<uint32_t>(gates)};
    asm volatile("lidt %0" : : "m"(table) : "memory");
}

}  // namespace

void initialize(unsigned cpu, uintptr_t stack_begin, uintptr_t stack_end) {
    CpuRecord& own = cpu_record(cpu);
    own = CpuRecord{cpu, stack_begin, stack_end};
    descriptors[cpu].load(own);
    load_gates();
    set_double_fault_table(static_cast<uint32_t>(quire::x86::ControlRegisters().cr3()));
}

void set_double_fault_table(uint32_t cr3) {
    descriptors[machine::this_cpu()].set_double_fault_table(cr3);
}

void print_registers(const TrapFrame& frame) {
    print("  eax %08x  ebx %08x  ecx %08x  edx %08x\n", frame.eax, frame.ebx, frame.ecx, frame.edx);
    print("  esi %08x  edi %08x  ebp %08x  esp %08x\n", frame.esi, frame.edi, frame.ebp,
          static_cast<uint32_t>(frame.stack_pointer()));
    print("  eflags %08x\n", frame.eflags);
}

}  // namespace kernel::traps

void handle_double_fault() {
    using namespace kernel;
    traps::report_double_fault(traps::descriptors[machine::this_cpu()].interrupted());
}
