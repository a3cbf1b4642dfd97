// SPDX-License-Identifier: MIT
// The tour: the three questions that Quire answers, each on the real machine.
#pragma once

#include "quire/kernel_memory.hpp"

namespace kernel {

// Walks through the questions and says what it does. True when everything was as told.
bool tour(quire::KernelMemory& memory);

// The scenes, one a file or less. Each leaves the machine as it found it.
bool tour_addresses(quire::KernelMemory& memory);
bool tour_heap(quire::KernelMemory& memory);
bool tour_isolated_frames(quire::KernelMemory& memory);
bool tour_tables(quire::KernelMemory& memory);
bool tour_cpus(quire::KernelMemory& memory);

// How scenes talk: the call about to be made, and whether what it promised holds.
void tour_call(const char* format, ...) __attribute__((format(printf, 1, 2)));
void tour_note(const char* format, ...) __attribute__((format(printf, 1, 2)));
// What the page table says about an address.
void tour_show(const quire::Translation& translation, quire::VirtualAddress address);
bool tour_check(bool holds, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace kernel
