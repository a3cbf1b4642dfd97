// SPDX-License-Identifier: MIT
// The input is memory at 0x7000, with a start information of PVH at its start.
#include "boot_input.hpp"
#include "quire/boot/pvh.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    quire::test::parse_and_check(quire::pvh_magic, 0x7000, data, size);
    return 0;
}
