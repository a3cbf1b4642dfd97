// SPDX-License-Identifier: MIT
#include "local_apic.hpp"

#include "cpu.hpp"
#include "quire/base/exclusion.hpp"
#include "traps.hpp"

namespace kernel::local_apic {
namespace {

using namespace quire;

// SDM 3A, 11.4.4; bits 12 and up are the registers' address.
constexpr uint32_t base_register = 0x1B;
constexpr uint64_t base_enabled = uint64_t{1} << 11;

// Registers by offset: SDM 3A, table 11-1.
enum : uint32_t {
    number_at = 0x20,
    end_of_interrupt_at = 0xB0,
    spurious_at = 0xF0,
    command_at = 0x300,
    command_target_at = 0x310,
    line_0_at = 0x350,
};
constexpr uint32_t software_enabled = 1u << 8;
constexpr uint32_t external_interrupt_controller = 7u << 8;

// The command register: SDM 3A, 11.6.1.
constexpr uint32_t mode_init = 5u << 8;
constexpr uint32_t mode_start_up = 6u << 8;
constexpr uint32_t still_sending = 1u << 12;
constexpr uint32_t level_assert = 1u << 14;
constexpr uint32_t all_but_self = 3u << 18;
constexpr unsigned target_shift = 24;

// The second channel of the PC's timer, which beeps, and the port that lets it count.
constexpr uint16_t timer_channel_2 = 0x42;
constexpr uint16_t timer_command = 0x43;
constexpr uint16_t speaker_port = 0x61;
constexpr uint8_t channel_2_once = 0xB0;  // both bytes, mode 0
constexpr uint8_t gate = 0x01;
constexpr uint8_t speaker = 0x02;
constexpr uint8_t counted_down = 0x20;
constexpr uint32_t timer_hertz = 1193182;
constexpr uint32_t longest_microseconds = 50000;

volatile uint32_t* registers = nullptr;

uint32_t read(uint32_t offset) {
    return registers[offset / 4];
}
void write(uint32_t offset, uint32_t value) {
    registers[offset / 4] = value;
}

void send(uint32_t target, uint32_t command) {
    const uintptr_t flags = cpu::read_flags();
    cpu::disable_interrupts();
    while ((read(command_at) & still_sending) != 0)
        cpu::relax();
    write(command_target_at, target << target_shift);
    write(command_at, command | level_assert);
    cpu::write_flags(flags);
}

}  // namespace

bool is_there() {
    return (x86::cpuid(1).edx & (1u << 9)) != 0;
}

Status map(AddressSpace& space) {
    const uint64_t base = x86::read_model_specific_register(base_register) & ~uint64_t{0xFFF};
    MapOptions options;
    options.attributes = Attributes{read_write | Protection::global, MemoryType::device};
    options.name = "local APIC";
    const auto mapped =
        space.map(FrameRange(frame_of(PhysicalAddress(base)), FrameCount(1)), options);
    if (!mapped.ok()) return mapped.failure();
    registers = AddressView().pointer<volatile uint32_t>(address_of(mapped->first()));
    return {};
}

uint32_t enable() {
    x86::write_model_specific_register(
        base_register, x86::read_model_specific_register(base_register) | base_enabled);
    write(spurious_at, software_enabled | traps::apic_spurious_vector);
    // The two interrupt controllers of old are heard by the first CPU alone.
    const bool is_first = (x86::read_model_specific_register(base_register) & (1u << 8)) != 0;
    if (is_first) write(line_0_at, external_interrupt_controller);
    return read(number_at) >> target_shift;
}

void end_of_interrupt() {
    write(end_of_interrupt_at, 0);
}

void interrupt(uint32_t apic) {
    send(apic, traps::ipi_vector);
}

void start_all_others(Frame trampoline) {
    send(0, all_but_self | mode_init);
    wait_microseconds(10000);
    for (int twice = 0; twice < 2; ++twice) {
        send(0, all_but_self | mode_start_up | static_cast<uint32_t>(trampoline.value()));
        wait_microseconds(200);
    }
}

void wait_microseconds(uint32_t microseconds) {
    for (; microseconds > longest_microseconds; microseconds -= longest_microseconds)
        wait_microseconds(longest_microseconds);
    const uint32_t ticks = microseconds * (timer_hertz / 1000) / 1000 + 1;
    const uint8_t port = static_cast<uint8_t>(cpu::read_port_8(speaker_port) & ~(gate | speaker));
    cpu::write_port_8(speaker_port, port);
    cpu::write_port_8(timer_command, channel_2_once);
    cpu::write_port_8(timer_channel_2, static_cast<uint8_t>(ticks));
    cpu::write_port_8(timer_channel_2, static_cast<uint8_t>(ticks >> 8));
    cpu::write_port_8(speaker_port, port | gate);
    while ((cpu::read_port_8(speaker_port) & counted_down) == 0)
        cpu::relax();
}

}  // namespace kernel::local_apic
