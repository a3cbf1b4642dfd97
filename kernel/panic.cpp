// SPDX-License-Identifier: MIT
#include <stdarg.h>

#include "console.hpp"
#include "machine.hpp"

namespace kernel {

void panic(const char* format, ...) {
    print("\n%sPANIC:%s ", console().palette().bad, console().palette().plain);
    va_list arguments;
    va_start(arguments, format);
    print_arguments(format, arguments);
    va_end(arguments);
    print("\n");
    machine::print_backtrace(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
    machine::stop(machine::Outcome::panic);
}

}  // namespace kernel
