// SPDX-License-Identifier: MIT
// Tests that only the real machine can pass, in TAP: what the managers promise, checked by loads
// and stores that fault or do not.
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// True when every test passed. Leaves the machine as it found it.
bool run_selftests(quire::KernelMemory& memory);

// One test: a name that says what holds, and a function that finds out.
struct SelfTest {
    const char* name;
    bool (*run)(quire::KernelMemory& memory);
};

// The tests by layer, one file each.
quire::Span<const SelfTest> frame_tests();
quire::Span<const SelfTest> mapping_tests();
quire::Span<const SelfTest> rights_tests();
quire::Span<const SelfTest> heap_tests();
quire::Span<const SelfTest> cpu_tests();
quire::Span<const SelfTest> context_tests();

}  // namespace kernel
