// SPDX-License-Identifier: MIT
// What the kernel's command line may say.
#pragma once

#include "machine.hpp"
#include "quire/kernel_memory.hpp"

namespace kernel {

enum class AfterTour { monitor, stop };
enum class Color { on, off };

//   access=direct|recursive|window   how page tables are reached
//   pae=on|off                       i386: tables that reach beyond 4 GiB, or never those; by
//                                    itself where there is RAM beyond
//   tour                             end after the tour and the self-tests
//   color=off                        no ANSI colours
//   smp=N                            how many CPUs to run
struct Options {
    quire::TableReach reach = quire::TableReach::direct;
    AfterTour after_tour = AfterTour::monitor;
    Color color = Color::on;
    unsigned cpus = 1;
    machine::WideTables wide = machine::WideTables::as_needed;
    // The first word that means nothing, or null; the strings live in the boot information.
    bool has_unknown_word = false;
    char unknown_word[32] = {};
};

// Null is an empty command line. The kernel's own name, which some loaders put first, is ignored.
Options parse_options(const char* command_line);

}  // namespace kernel
