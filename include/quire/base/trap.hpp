// SPDX-License-Identifier: MIT
// The stop of last resort, for programming errors that a Result cannot carry.
#pragma once

namespace quire {

// Stops the CPU with an undefined instruction. In a constant expression it is a compile error.
[[noreturn]] inline void trap() {
    __builtin_trap();
}

}  // namespace quire
