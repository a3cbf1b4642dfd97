// SPDX-License-Identifier: MIT
// The input is the information, from its total size on.
#include "boot_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    quire::test::parse_and_check(quire::multiboot2_magic, 0x10000, data, size);
    return 0;
}
