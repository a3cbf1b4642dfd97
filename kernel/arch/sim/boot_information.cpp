// SPDX-License-Identifier: MIT
#include "boot_information.hpp"

#include <cstring>

#include "sim/firmware.hpp"

namespace kernel::sim_machine {

namespace {

constexpr uint32_t information_at = 0x9000;
constexpr uint32_t map_at = 0x9100;
constexpr uint32_t command_line_at = 0x9800;
constexpr uint32_t loader_name_at = 0x9C00;

// Fields that are present, by bit of `flags`.
constexpr uint32_t has_command_line = 1U << 2;
constexpr uint32_t has_map = 1U << 6;
constexpr uint32_t has_loader_name = 1U << 9;

void put_text(quire::sim::Ram& ram, uint32_t at, const std::string& text) {
    std::memcpy(ram.at(at, text.size() + 1), text.c_str(), text.size() + 1);
}

}  // namespace

uint32_t write_boot_information(quire::sim::Ram& ram, uint64_t memory_bytes,
                                const std::string& command_line) {
    const auto field = [&](uint32_t offset, uint32_t value) {
        ram.store<uint32_t>(information_at + offset, value);
    };
    uint32_t at = map_at;
    for (const quire::sim::FirmwareEntry& entry : quire::sim::pc_firmware_map(memory_bytes)) {
        constexpr uint32_t entry_bytes = 20;  // behind the size field itself
        ram.store<uint32_t>(at, entry_bytes);
        std::memcpy(ram.at(at + 4, 8), &entry.base, 8);
        std::memcpy(ram.at(at + 12, 8), &entry.length, 8);
        ram.store<uint32_t>(at + 20, static_cast<uint32_t>(entry.type));
        at += 4 + entry_bytes;
    }
    put_text(ram, command_line_at, command_line);
    put_text(ram, loader_name_at, "the simulator");
    field(0, has_command_line | has_map | has_loader_name);
    field(16, command_line_at);
    field(44, at - map_at);
    field(48, map_at);
    field(64, loader_name_at);
    return information_at;
}

}  // namespace kernel::sim_machine
