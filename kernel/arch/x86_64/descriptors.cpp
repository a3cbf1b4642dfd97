// SPDX-License-Identifier: MIT
// The descriptor tables: flat segments, a task state that names the double fault's stack, and a
// gate for every exception.
#include <stddef.h>
#include <stdint.h>

#include "../../console.hpp"
#include "../x86/cpu_record.hpp"
#include "../x86/traps.hpp"

extern "C" {
extern const uint64_t trap_entries[32];
extern const uint64_t device_entries[6];
}

namespace kernel::traps {
namespace {

constexpr uint16_t code_selector = 0x08;
constexpr uint16_t data_selector = 0x10;
constexpr uint16_t task_selector = 0x18;

constexpr size_t exception_count = 32;
constexpr size_t double_fault_vector = 8;
// In the order of device_entries.
constexpr size_t device_vectors[] = {timer_vector,           serial_vector, spurious_vector,
                                     second_spurious_vector, ipi_vector,    apic_spurious_vector};
constexpr size_t gate_count = 256;

// SDM 3A, 8.7: the stacks that gates can ask for are all that is used of it.
struct [[gnu::packed]] TaskState {
    uint32_t reserved_0;
    uint64_t stacks[3];
    uint64_t reserved_1;
    uint64_t interrupt_stacks[7];
    uint64_t reserved_2;
    uint16_t reserved_3;
    uint16_t io_map_offset;
};
static_assert(sizeof(TaskState) == 104);
constexpr unsigned double_fault_stack_number = 1;

// SDM 3A, 6.14.1.
struct Gate {
    uint64_t low;
    uint64_t high;
};

// SDM 3A, 3.4.5: base and limit of such segments do not count; L says 64-bit code.
constexpr uint64_t code_segment = (uint64_t{0x9A} << 40) | (uint64_t{1} << 53);
constexpr uint64_t data_segment = uint64_t{0x92} << 40;

// SDM 3A, 8.2.3: two entries of the table.
uint64_t task_segment_low(uint64_t base) {
    constexpr uint64_t available_task = 0x89;
    return (sizeof(TaskState) - 1) | ((base & 0xFF'FFFF) << 16) | (available_task << 40) |
           (((base >> 24) & 0xFF) << 56);
}

Gate interrupt_gate(uint64_t entry, unsigned stack) {
    constexpr uint64_t present_interrupt_gate = 0x8E;
    return {(entry & 0xFFFF) | (uint64_t{code_selector} << 16) | (uint64_t{stack} << 32) |
                (present_interrupt_gate << 40) | (((entry >> 16) & 0xFFFF) << 48),
            entry >> 32};
}

struct [[gnu::packed]] TableRegister {
    uint16_t limit;
    uint64_t base;
};

constinit Gate gates[gate_count] = {};

// A CPU's own: the task state is marked busy while it is in use.
class CpuDescriptors {
  public:
    void load() {
        load_segments();
        load_task();
    }

  private:
    void load_segments() {
        const uint64_t base = reinterpret_cast<uintptr_t>(&task_);
        segments_[code_selector / 8] = code_segment;
        segments_[data_selector / 8] = data_segment;
        segments_[task_selector / 8] = task_segment_low(base);
        segments_[task_selector / 8 + 1] = base >> 32;
        const TableRegister table = {sizeof(segments_) - 1, reinterpret_cast<uintptr_t>(segments_)};
        asm volatile(
            "lgdt %0\n"
            "pushq %1\n"
            "leaq 1f(%%rip), %%rax\n"
            "pushq %%rax\n"
            "lretq\n"
            "1:\n"
            "mov %2, %%ds\n"
            "mov %2, %%es\n"
            "mov %2, %%fs\n"
            "mov %2, %%gs\n"
            "mov %2, %%ss\n"
            :
            : "m"(table), "i"(code_selector), "r"(uint32_t{data_selector})
            : "rax", "memory");
    }
    void load_task() {
        task_.io_map_offset = sizeof(TaskState);
        task_.interrupt_stacks[double_fault_stack_number - 1] =
            reinterpret_cast<uintptr_t>(double_fault_stack_ + sizeof(double_fault_stack_));
        asm volatile("ltr %0" : : "r"(task_selector) : "memory");
    }

    uint64_t segments_[5] = {};
    TaskState task_ = {};
    alignas(16) uint8_t double_fault_stack_[4096] = {};
};
constinit CpuDescriptors descriptors[most_cpus];

void load_gates() {
    for (size_t vector = 0; vector < exception_count; ++vector) {
        const unsigned stack = vector == double_fault_vector ? double_fault_stack_number : 0;
        gates[vector] = interrupt_gate(trap_entries[vector], stack);
    }
    for (size_t i = 0; i < sizeof(device_vectors) / sizeof(device_vectors[0]); ++i) {
        gates[device_vectors[i]] = interrupt_gate(device_entries[i], 0);
    }
    const TableRegister table = {sizeof(gates) - 1, reinterpret_cast<uintptr_t>(gates)};
    asm volatile("lidt %0" : : "m"(table) : "memory");
}

}  // namespace

void initialize(unsigned cpu, uintptr_t stack_begin, uintptr_t stack_end) {
    descriptors[cpu].load();
    load_gates();
    CpuRecord& own = cpu_record(cpu);
    own = CpuRecord{cpu, stack_begin, stack_end};
    // The base of GS (SDM 3A, 3.4.4.1), which the load of a selector has cleared.
    quire::x86::write_model_specific_register(0xC0000101, reinterpret_cast<uintptr_t>(&own));
}

void print_registers(const TrapFrame& frame) {
    const auto row = [](const char* a, uint64_t va, const char* b, uint64_t vb, const char* c,
                        uint64_t vc) {
        print("  %s %016lx  %s %016lx  %s %016lx\n", a, va, b, vb, c, vc);
    };
    row("rax", frame.rax, "rbx", frame.rbx, "rcx", frame.rcx);
    row("rdx", frame.rdx, "rsi", frame.rsi, "rdi", frame.rdi);
    row("rbp", frame.rbp, "rsp", frame.rsp, "r8 ", frame.r8);
    row("r9 ", frame.r9, "r10", frame.r10, "r11", frame.r11);
    row("r12", frame.r12, "r13", frame.r13, "r14", frame.r14);
    print("  r15 %016lx  rflags %08lx\n", frame.r15, frame.rflags);
}

}  // namespace kernel::traps
