// SPDX-License-Identifier: MIT
// What a Multiboot 1 loader leaves in memory, made by hand.
#pragma once

#include <cstdint>
#include <string>

#include "sim/ram.hpp"

namespace kernel::sim_machine {

// Writes boot information for a machine with so much memory into its low memory and returns its
// physical address (Multiboot 0.6.96, 3.3 "Boot information format").
uint32_t write_boot_information(quire::sim::Ram& ram, uint64_t memory_bytes,
                                const std::string& command_line);

}  // namespace kernel::sim_machine
