// SPDX-License-Identifier: MIT
// What happens on a trap: page faults go to the registered handler, then to the fixups; everything
// else ends in a readable panic.
#include "traps.hpp"

#include <stddef.h>
#include <stdint.h>

#include "../../console.hpp"
#include "../../machine.hpp"
#include "cpu.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "serial.hpp"

extern "C" {
struct Fixup {
    uint32_t instruction;
    uint32_t recovery;
};
extern const Fixup kernel_fixups_begin[];
extern const Fixup kernel_fixups_end[];
extern const char kernel_stack_guard[];

int try_load_byte(uintptr_t address, uint8_t* value);
int try_touch_byte(uintptr_t address);
extern const char store_instruction[];
void handle_trap(kernel::traps::TrapFrame* frame);
[[noreturn]] void handle_double_fault();
}

namespace kernel {
namespace {

constexpr uint32_t page_fault_vector = 14;

// SDM 3A, 4.7.
constexpr uint32_t code_present = 1u << 0;
constexpr uint32_t code_write = 1u << 1;
constexpr uint32_t code_reserved_bit = 1u << 3;
constexpr uint32_t code_fetch = 1u << 4;

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
           frame.eip == reinterpret_cast<uintptr_t>(store_instruction);
}

machine::PageFault describe(const traps::TrapFrame& frame, uintptr_t address) {
    machine::PageFault fault = {};
    fault.address = address;
    fault.instruction_pointer = frame.eip;
    fault.access = (frame.error_code & code_fetch) != 0 ? machine::Access::execute
                   : is_write(frame)                    ? machine::Access::write
                                                        : machine::Access::read;
    fault.present = (frame.error_code & code_present) != 0;
    fault.reserved_bit = (frame.error_code & code_reserved_bit) != 0;
    return fault;
}

bool recover(traps::TrapFrame& frame) {
    for (const Fixup* fixup = kernel_fixups_begin; fixup != kernel_fixups_end; ++fixup) {
        if (fixup->instruction == frame.eip) {
            frame.eip = fixup->recovery;
            return true;
        }
    }
    return false;
}

[[noreturn]] void report_and_stop(const traps::TrapFrame& frame, uintptr_t fault_address) {
    const Palette& colors = console().palette();
    print("\n%sPANIC: %s%s (exception %u, code 0x%x) at 0x%08x\n", colors.bad,
          exception_names[frame.vector & 31], colors.plain, frame.vector, frame.error_code,
          frame.eip);
    if (frame.vector == page_fault_vector) {
        const machine::PageFault fault = describe(frame, fault_address);
        const char* access = fault.access == machine::Access::write     ? "write to"
                             : fault.access == machine::Access::execute ? "fetch from"
                                                                        : "read of";
        print("  a %s 0x%08x, %s\n", access, fault_address,
              fault.reserved_bit ? "through an entry with reserved bits set"
              : fault.present    ? "which its protection forbids"
                                 : "which nothing maps");
    }
    print("  eax %08x  ebx %08x  ecx %08x  edx %08x\n", frame.eax, frame.ebx, frame.ecx, frame.edx);
    print("  esi %08x  edi %08x  ebp %08x  esp %08x\n", frame.esi, frame.edi, frame.ebp,
          static_cast<uint32_t>(frame.interrupted_esp()));
    print("  cr0 %08x  cr2 %08x  cr3 %08x  cr4 %08x  eflags %08x\n", cpu::read_cr0(), fault_address,
          quire::x86::ControlRegisters().cr3(), quire::x86::ControlRegisters().cr4(), frame.eflags);
    machine::print_backtrace(frame.ebp);
    machine::stop(machine::Outcome::panic);
}

void handle_page_fault(traps::TrapFrame& frame) {
    const uintptr_t address = cpu::read_cr2();
    if (page_fault_handler != nullptr) {
        const auto verdict = page_fault_handler(page_fault_context, describe(frame, address));
        if (verdict == machine::Verdict::resolved) return;
    }
    if (recover(frame)) return;
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

}  // namespace machine

}  // namespace kernel

void handle_trap(kernel::traps::TrapFrame* frame) {
    using namespace kernel;
    if (frame->vector == page_fault_vector) {
        handle_page_fault(*frame);
    } else if (frame->vector == traps::serial_vector ||
               frame->vector == traps::second_spurious_vector) {
        // A spurious interrupt of the second controller is a real one for the first.
        serial::acknowledge_interrupt();
    } else if (frame->vector == traps::spurious_vector) {
        // Nothing is waiting for an answer.
    } else {
        report_and_stop(*frame, cpu::read_cr2());
    }
}

void handle_double_fault() {
    using namespace kernel;
    const traps::InterruptedState state = traps::interrupted_by_double_fault();
    const uintptr_t guard = reinterpret_cast<uintptr_t>(kernel_stack_guard);
    const Palette& colors = console().palette();
    print("\n%sPANIC: double fault%s at 0x%08x, stack pointer 0x%08x, cr3 0x%08x\n", colors.bad,
          colors.plain, state.eip, state.esp, quire::x86::ControlRegisters().cr3());
    if (state.esp >= guard && state.esp <= guard + 4096 + 128) {
        print("  the kernel's stack ran into its guard page at 0x%08x\n",
              static_cast<uint32_t>(guard));
    }
    machine::print_backtrace(state.ebp);
    machine::stop(machine::Outcome::panic);
}
