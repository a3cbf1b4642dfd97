// SPDX-License-Identifier: MIT
#include "timer.hpp"

#include <stdint.h>

#include "../../machine.hpp"
#include "cpu.hpp"

namespace kernel {
namespace {

// Channel 0 of the 8254 counts down from the reload value, and again, at 1193182 Hz.
constexpr uint16_t channel_0 = 0x40;
constexpr uint16_t command = 0x43;
constexpr uint8_t channel_0_periodic = 0x34;
constexpr uint32_t input_hertz = 1193182;
// The first 8259A's mask; the timer is its line 0.
constexpr uint16_t interrupt_mask = 0x21;
constexpr uint8_t timer_line = 1;

constinit machine::CpuFunction on_tick = nullptr;
constinit void* tick_context = nullptr;

}  // namespace

void timer::serve_interrupt() {
    if (on_tick != nullptr) on_tick(tick_context);
}

void machine::start_ticks(unsigned hertz, CpuFunction function, void* context) {
    on_tick = function;
    tick_context = context;
    const uint32_t reload = input_hertz / hertz;
    cpu::write_port_8(command, channel_0_periodic);
    cpu::write_port_8(channel_0, static_cast<uint8_t>(reload));
    cpu::write_port_8(channel_0, static_cast<uint8_t>(reload >> 8));
    cpu::write_port_8(interrupt_mask,
                      static_cast<uint8_t>(cpu::read_port_8(interrupt_mask) & ~timer_line));
}

void machine::stop_ticks() {
    cpu::write_port_8(interrupt_mask,
                      static_cast<uint8_t>(cpu::read_port_8(interrupt_mask) | timer_line));
    on_tick = nullptr;
}

}  // namespace kernel
