// SPDX-License-Identifier: MIT
// Plays the boot loader of the simulated machine.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>

#include "arguments.hpp"
#include "quire/boot/multiboot.hpp"
#include "simulated.hpp"
#include "terminal.hpp"

extern "C" [[noreturn]] void kernel_main(uint32_t magic, uintptr_t information);

int main(int count, char** words) {
    using namespace kernel::sim_machine;
    for (int i = 1; i < count; ++i) {
        if (std::strcmp(words[i], "--help") == 0 || std::strcmp(words[i], "-h") == 0) {
            std::fputs(usage(), stdout);
            return 0;
        }
    }
    try {
        const Arguments arguments = parse_arguments(count, words);
        alarm(arguments.timeout_seconds);
        terminal::open();
        kernel_main(quire::multiboot1_magic, make_machine(arguments));
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire: %s\n%s", problem.what(), usage());
        return 2;
    }
}
