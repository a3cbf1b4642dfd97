// SPDX-License-Identifier: MIT
// What ./quire run --sim was asked for.
#pragma once

#include <cstdint>
#include <string>

namespace kernel::sim_machine {

struct Arguments {
    uint64_t memory_bytes = uint64_t{128} << 20;
    std::string access = "direct";
    bool tour = false;
    bool color = true;
    unsigned timeout_seconds = 0;  // 0: none

    // As a boot loader hands it to the kernel.
    std::string command_line() const;
};

// Throws std::invalid_argument with a sentence.
Arguments parse_arguments(int count, char** words);
const char* usage();

}  // namespace kernel::sim_machine
