// SPDX-License-Identifier: MIT
#include "serial.hpp"

#include <stdint.h>

#include "cpu.hpp"

namespace kernel::serial {
namespace {

constexpr uint16_t port = 0x3F8;
constexpr uint16_t interrupt_enable = port + 1;
constexpr uint16_t fifo_control = port + 2;
constexpr uint16_t line_control = port + 3;
constexpr uint16_t modem_control = port + 4;
constexpr uint16_t line_status = port + 5;

constexpr uint8_t received_data_interrupt = 0x01;
constexpr uint8_t divisor_access = 0x80;
constexpr uint8_t eight_bits_no_parity = 0x03;
constexpr uint8_t fifos_on_and_cleared = 0x07;
// DTR, RTS, and OUT2, which connects the UART to its interrupt line.
constexpr uint8_t ready_with_interrupts = 0x0B;
constexpr uint8_t data_ready = 0x01;
constexpr uint8_t transmitter_empty = 0x20;

// The two 8259A interrupt controllers.
constexpr uint16_t first_command = 0x20;
constexpr uint16_t first_data = 0x21;
constexpr uint16_t second_command = 0xA0;
constexpr uint16_t second_data = 0xA1;
constexpr uint8_t initialize_with_icw4 = 0x11;
constexpr uint8_t mode_8086 = 0x01;
constexpr uint8_t end_of_interrupt = 0x20;
constexpr uint8_t first_vector = 32;
constexpr uint8_t second_vector = 40;
constexpr uint8_t cascade_line = 2;
constexpr uint8_t serial_line = 4;

class Sink final : public ConsoleSink {
  public:
    void put(char character) override {
        if (character == '\n') put('\r');
        while ((cpu::read_port_8(line_status) & transmitter_empty) == 0) {
            cpu::relax();
        }
        cpu::write_port_8(port, static_cast<uint8_t>(character));
    }
};

constinit Sink the_sink;

void initialize_interrupt_controllers() {
    cpu::write_port_8(first_command, initialize_with_icw4);
    cpu::write_port_8(second_command, initialize_with_icw4);
    cpu::write_port_8(first_data, first_vector);
    cpu::write_port_8(second_data, second_vector);
    cpu::write_port_8(first_data, 1u << cascade_line);
    cpu::write_port_8(second_data, cascade_line);
    cpu::write_port_8(first_data, mode_8086);
    cpu::write_port_8(second_data, mode_8086);
    cpu::write_port_8(first_data, static_cast<uint8_t>(~(1u << serial_line)));
    cpu::write_port_8(second_data, 0xFF);
}

}  // namespace

void initialize() {
    cpu::write_port_8(interrupt_enable, 0);
    cpu::write_port_8(line_control, divisor_access);
    cpu::write_port_8(port, 1);              // divisor, low byte: 115200 baud
    cpu::write_port_8(interrupt_enable, 0);  // divisor, high byte
    cpu::write_port_8(line_control, eight_bits_no_parity);
    cpu::write_port_8(fifo_control, fifos_on_and_cleared);
    cpu::write_port_8(modem_control, ready_with_interrupts);
    initialize_interrupt_controllers();
    cpu::write_port_8(interrupt_enable, received_data_interrupt);
}

ConsoleSink& sink() {
    return the_sink;
}

int read() {
    if ((cpu::read_port_8(line_status) & data_ready) == 0) return -1;
    return cpu::read_port_8(port);
}

void wait() {
    if ((cpu::read_port_8(line_status) & data_ready) != 0) return;
    cpu::wait_for_interrupt();
}

void acknowledge_interrupt() {
    cpu::write_port_8(first_command, end_of_interrupt);
}

}  // namespace kernel::serial
