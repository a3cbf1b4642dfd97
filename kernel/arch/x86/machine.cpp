// SPDX-License-Identifier: MIT
// The machine's face for the machine-independent kernel.
#include "../../machine.hpp"

#include <stdint.h>

#include "../../console.hpp"
#include "cpu.hpp"
#include "cpu_record.hpp"
#include "isa.hpp"
#include "quire/base/text.hpp"
#include "serial.hpp"
#include "text_screen.hpp"
#include "traps.hpp"

// Symbols of the linker script; their addresses are the values.
extern "C" {
extern const char kernel_physical_begin[];
extern const char kernel_physical_end[];
extern const char kernel_virtual_offset[];
extern const char kernel_text_begin[];
extern const char kernel_text_end[];
extern const char kernel_rodata_begin[];
extern const char kernel_rodata_end[];
extern const char kernel_data_begin[];
extern const char kernel_data_end[];
extern const char kernel_stack_guard[];
extern const char kernel_stack_begin[];
extern const char kernel_stack_end[];
}

namespace kernel::machine {
namespace {

constinit isa::Features features;
constinit bool has_cycles = false;

// QEMU's isa-debug-exit: the emulator exits with (value << 1) | 1.
constexpr uint16_t debug_exit_port = 0xF4;
constexpr uint32_t exit_values[] = {0x10, 0x11, 0x12};

constexpr unsigned backtrace_depth = 12;
constexpr unsigned addresses_a_line = sizeof(uintptr_t) == 4 ? 6 : 3;

uintptr_t address(const char* symbol) {
    return reinterpret_cast<uintptr_t>(symbol);
}

}  // namespace

Image image() {
    return Image{
        .physical_begin = address(kernel_physical_begin),
        .physical_end = address(kernel_physical_end),
        .virtual_offset = address(kernel_virtual_offset),
        .sections =
            {
                {"text", address(kernel_text_begin), address(kernel_text_end), false, true},
                {"rodata", address(kernel_rodata_begin), address(kernel_rodata_end), false, false},
                {"data", address(kernel_data_begin), address(kernel_data_end), true, false},
            },
        .stack_guard = address(kernel_stack_guard),
        .stack_begin = address(kernel_stack_begin),
        .stack_end = address(kernel_stack_end),
    };
}

void initialize() {
    traps::initialize(0, address(kernel_stack_begin), address(kernel_stack_end));
    features = isa::find_features();
    isa::enable(features);
    has_cycles = cpu::has_time_stamp_counter();
    serial::initialize();
    if (TextScreen::is_there()) {
        text_screen().move(
            reinterpret_cast<void*>(TextScreen::physical + address(kernel_virtual_offset)));
        text_screen().clear();
    }
}

ConsoleSink& serial_sink() {
    return serial::sink();
}
ConsoleSink* screen_sink() {
    return TextScreen::is_there() ? &text_screen() : nullptr;
}
int read_input() {
    return serial::read();
}
void wait_for_input() {
    serial::wait();
}

const char* features_text() {
    static char buffer[64];
    quire::TextWriter text(buffer);
    isa::write_features(text, features);
    if (has_cycles) text.put(" TSC");
    return text.length() == 0 ? "none" : buffer + 1;
}

bool has_large_pages() {
    return isa::has_large_pages(features);
}
bool can_deny_execute() {
    return isa::can_deny_execute(features);
}
uint64_t cycles() {
    return has_cycles ? cpu::read_time_stamp() : 0;
}

uint32_t disable_interrupts() {
    const auto flags = static_cast<uint32_t>(cpu::read_flags());
    cpu::disable_interrupts();
    return flags;
}
void restore_interrupts(uint32_t state) {
    cpu::write_flags(state);
}
bool in_handler() {
    return own_record().handlers != 0;
}

void stop(Outcome outcome) {
    cpu::disable_interrupts();
    cpu::write_port_32(debug_exit_port, exit_values[static_cast<int>(outcome)]);
    for (;;) {
        cpu::halt();
    }
}

void print_backtrace(uintptr_t frame_pointer) {
    // Only this CPU's own stack is read, so that a wild frame pointer cannot fault.
    const uintptr_t low = own_record().stack_begin;
    const uintptr_t high = own_record().stack_end - 2 * sizeof(uintptr_t);
    print("  called from");
    for (unsigned depth = 0; depth < backtrace_depth; ++depth) {
        if (frame_pointer < low || frame_pointer > high || frame_pointer % sizeof(uintptr_t) != 0)
            break;
        const auto* frame = reinterpret_cast<const uintptr_t*>(frame_pointer);
        print(depth % addresses_a_line == 0 ? "\n    0x%0*lx" : " 0x%0*lx",
              static_cast<int>(2 * sizeof(uintptr_t)), static_cast<unsigned long>(frame[1]));
        if (frame[0] <= frame_pointer) break;
        frame_pointer = frame[0];
    }
    print("\n");
}

}  // namespace kernel::machine
