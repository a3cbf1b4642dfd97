// SPDX-License-Identifier: MIT
// What happens on a trap: page faults go to the registered handler, then to the fixups; everything
// else ends in a readable panic.
#include "traps.hpp"

#include <stddef.h>
#include <stdint.h>

#include "../../console.hpp"
#include "../../machine.hpp"
#include "cpu.hpp"
#include "cpu_record.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "serial.hpp"
#include "smp.hpp"
#include "timer.hpp"

extern "C" {
struct Fixup {
    uintptr_t instruction;
    uintptr_t recovery;
};
extern const Fixup kernel_fixups_begin[];
extern const Fixup kernel_fixups_end[];

int try_load_byte(uintptr_t address, uint8_t* value);
int try_touch_byte(uintptr_t address);
int try_call(uintptr_t address);
extern const char store_instruction[];
extern const char call_returned[];
extern const char call_failed[];
void handle_trap(kernel::traps::TrapFrame* frame);
}

namespace kernel {
namespace {

constexpr uint32_t double_fault_vector = 8;
constexpr uint32_t page_fault_vector = 14;
constexpr int address_digits = 2 * sizeof(uintptr_t);

// SDM 3A, 4.7.
constexpr uint32_t code_present = 1u << 0;
constexpr uint32_t code_write = 1u << 1;
constexpr uint32_t code_reserved_bit = 1u << 3;
constexpr uint32_t code_fetch = 1u << 4;

constexpr uintptr_t interrupts_enabled = 1u << 9;  // of the flags; SDM 1, 3.4.3

constexpr const char* exception_names[32] = {
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode (or a check that failed)",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid task state",
    "segment not present",
    "stack segment fault",
    "general protection fault",
    "page fault",
    "exception 15",
    "floating-point error",
    "alignment check",
    "machine check",
    "vector floating-point error",
    "virtualization exception",
    "control protection exception",
    "exception 22",
    "exception 23",
    "exception 24",
    "exception 25",
    "exception 26",
    "exception 27",
    "hypervisor injection",
    "virtual machine communication",
    "security exception",
    "exception 31",
};

machine::PageFaultHandler page_fault_handler = nullptr;
void* page_fault_context = nullptr;

// A CPU reports a fault of our store that changes nothing as a write, as it must (SDM 3A, 4.7); an
// emulator may come upon the load in it first.
bool is_write(const traps::TrapFrame& frame) {
    return (frame.error_code & code_write) != 0 ||
           frame.instruction_pointer() == reinterpret_cast<uintptr_t>(store_instruction);
}

// Without no-execute pages the CPU does not tell fetches from loads (SDM 3A, 4.7); what faults at
// its own address is one.
bool is_fetch(const traps::TrapFrame& frame, uintptr_t address) {
    return (frame.error_code & code_fetch) != 0 || frame.instruction_pointer() == address;
}

machine::PageFault describe(const traps::TrapFrame& frame, uintptr_t address) {
    machine::PageFault fault = {};
    fault.address = address;
    fault.instruction_pointer = frame.instruction_pointer();
    fault.access = is_fetch(frame, address) ? machine::Access::execute
                   : is_write(frame)        ? machine::Access::write
                                            : machine::Access::read;
    fault.present = (frame.error_code & code_present) != 0;
    fault.reserved_bit = (frame.error_code & code_reserved_bit) != 0;
    return fault;
}

bool recover(traps::TrapFrame& frame, uintptr_t fault_address) {
    const uintptr_t instruction = frame.instruction_pointer();
    for (const Fixup* fixup = kernel_fixups_begin; fixup != kernel_fixups_end; ++fixup) {
        if (fixup->instruction != instruction) continue;
        frame.continue_at(fixup->recovery);
        return true;
    }
    // try_call's callee could not be fetched: its return address is still what the stack holds.
    if (instruction != fault_address) return false;
    const auto* const top = reinterpret_cast<const uintptr_t*>(frame.stack_pointer());
    if (*top != reinterpret_cast<uintptr_t>(call_returned)) return false;
    frame.continue_at(reinterpret_cast<uintptr_t>(call_failed));
    return true;
}

[[noreturn]] void report_and_stop(const traps::TrapFrame& frame, uintptr_t fault_address) {
    const Palette& colors = console().palette();
    print("\n%sPANIC: %s%s (exception %u, code 0x%x) at 0x%0*lx\n", colors.bad,
          exception_names[frame.vector & 31], colors.plain, static_cast<unsigned>(frame.vector),
          static_cast<unsigned>(frame.error_code), address_digits,
          static_cast<unsigned long>(frame.instruction_pointer()));
    if (frame.vector == page_fault_vector) {
        const machine::PageFault fault = describe(frame, fault_address);
        const char* access = fault.access == machine::Access::write     ? "write to"
                             : fault.access == machine::Access::execute ? "fetch from"
                                                                        : "read of";
        print("  a %s 0x%0*lx, %s\n", access, address_digits,
              static_cast<unsigned long>(fault_address),
              fault.reserved_bit ? "through an entry with reserved bits set"
              : fault.present    ? "which its protection forbids"
                                 : "which nothing maps");
    }
    if (machine::this_cpu() != 0) print("  on CPU %u\n", machine::this_cpu());
    traps::print_registers(frame);
    const quire::x86::ControlRegisters registers;
    print("  cr0 %0*lx  cr2 %0*lx\n", address_digits, static_cast<unsigned long>(cpu::read_cr0()),
          address_digits, static_cast<unsigned long>(fault_address));
    print("  cr3 %0*lx  cr4 %0*lx\n", address_digits, static_cast<unsigned long>(registers.cr3()),
          address_digits, static_cast<unsigned long>(registers.cr4()));
    machine::print_backtrace(frame.frame_pointer());
    machine::stop(machine::Outcome::panic);
}

class InHandler {
  public:
    InHandler() { ++own_record().handlers; }
    ~InHandler() { --own_record().handlers; }
    InHandler(const InHandler&) = delete;
    InHandler& operator=(const InHandler&) = delete;
};

void handle_page_fault(traps::TrapFrame& frame) {
    const uintptr_t address = cpu::read_cr2();
    // As they were: whoever waits for a lock here must hear of the others' invalidations.
    if ((frame.flags() & interrupts_enabled) != 0) cpu::enable_interrupts();
    if (page_fault_handler != nullptr) {
        const auto verdict = page_fault_handler(page_fault_context, describe(frame, address));
        if (verdict == machine::Verdict::resolved) return;
    }
    if (recover(frame, address)) return;
    report_and_stop(frame, address);
}

}  // namespace

namespace machine {

void set_page_fault_handler(PageFaultHandler handler, void* context) {
    page_fault_handler = handler;
    page_fault_context = context;
}

bool try_load(uintptr_t address, uint8_t& value) {
    return try_load_byte(address, &value) != 0;
}
bool try_store(uintptr_t address) {
    return try_touch_byte(address) != 0;
}
const uint8_t return_instruction = 0xC3;
bool try_execute(uintptr_t address) {
    return try_call(address) != 0;
}

}  // namespace machine

void traps::report_double_fault(const InterruptedState& state) {
    const uintptr_t guard = own_record().stack_begin - 4096;
    const Palette& colors = console().palette();
    print("\n%sPANIC: double fault%s at 0x%0*lx\n", colors.bad, colors.plain, address_digits,
          static_cast<unsigned long>(state.instruction_pointer));
    print("  stack pointer 0x%0*lx, cr3 0x%0*lx\n", address_digits,
          static_cast<unsigned long>(state.stack_pointer), address_digits,
          static_cast<unsigned long>(quire::x86::ControlRegisters().cr3()));
    if (state.stack_pointer >= guard && state.stack_pointer <= guard + 4096 + 128) {
        print("  the stack ran into its guard page at 0x%0*lx\n", address_digits,
              static_cast<unsigned long>(guard));
    }
    machine::print_backtrace(state.frame_pointer);
    machine::stop(machine::Outcome::panic);
}

}  // namespace kernel

void handle_trap(kernel::traps::TrapFrame* frame) {
    using namespace kernel;
    const InHandler in_handler;
    if (frame->vector == page_fault_vector) {
        handle_page_fault(*frame);
    } else if (frame->vector == double_fault_vector) {
        traps::report_double_fault(
            {frame->instruction_pointer(), frame->stack_pointer(), frame->frame_pointer()});
    } else if (frame->vector == traps::timer_vector) {
        timer::serve_interrupt();
        serial::acknowledge_interrupt();
    } else if (frame->vector == traps::serial_vector ||
               frame->vector == traps::second_spurious_vector) {
        // A spurious interrupt of the second controller is a real one for the first.
        serial::acknowledge_interrupt();
    } else if (frame->vector == traps::ipi_vector) {
        smp::serve_interrupt();
    } else if (frame->vector == traps::spurious_vector ||
               frame->vector == traps::apic_spurious_vector) {
        // Nothing is waiting for an answer.
    } else {
        report_and_stop(*frame, cpu::read_cr2());
    }
}
