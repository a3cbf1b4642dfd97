// SPDX-License-Identifier: MIT
// The input is memory at 0x9500, where QEMU puts its Multiboot information.
#include "boot_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    quire::test::parse_and_check(quire::multiboot1_magic, 0x9500, data, size);
    return 0;
}
