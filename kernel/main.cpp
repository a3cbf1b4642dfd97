// SPDX-License-Identifier: MIT
#include <stdint.h>

#include "console.hpp"
#include "machine.hpp"

extern "C" [[noreturn]] void kernel_main(uint32_t magic, uintptr_t information);

void kernel_main(uint32_t magic, uintptr_t information) {
    using namespace kernel;
    machine::initialize();
    console().attach(machine::serial_sink());
    console().attach(*machine::screen_sink());
    const Palette& colors = console().palette();
    print("%sQuire%s on i386: %s\n", colors.heading, colors.plain, machine::features_text());
    print("magic %08x information at %08x\n", magic, static_cast<uint32_t>(information));
    const auto* words = reinterpret_cast<const uint32_t*>(information);
    if (magic == 0x2BADB002) {
        const uint32_t length = words[11];
        uintptr_t at = words[12];
        const uintptr_t end = at + length;
        while (at < end) {
            const auto* entry = reinterpret_cast<const uint32_t*>(at);
            const uint64_t base = entry[1] | uint64_t{entry[2]} << 32;
            const uint64_t bytes = entry[3] | uint64_t{entry[4]} << 32;
            print("  %012llx + %-10s type %u\n", base, size_text(bytes).text, entry[5]);
            at += entry[0] + 4;
        }
    }
    uint8_t value = 0;
    print("try_load(0) = %d, try_load(0xc0000000+1M) = %d, try_store(0xe0000000) = %d\n",
          machine::try_load(0, value), machine::try_load(0xC0100000, value),
          machine::try_store(0xE0000000, 1));
    print("%llu %lld %s|%5u|%-5u|%05u\n", 18446744073709551615ull, -5ll, "x", 42u, 42u, 42u);
    machine::stop(machine::Outcome::success);
}
