// SPDX-License-Identifier: MIT
#include "tour.hpp"

#include <stdarg.h>

#include "console.hpp"
#include "machine.hpp"
#include "show.hpp"

namespace kernel {
namespace {

void show_question(unsigned number, const char* question, const char* series, const char* answer) {
    const Palette& colors = console().palette();
    print("\n%sQuestion %u. %s%s\n", colors.heading, number, question, colors.plain);
    print("  %sThe series:%s %s\n", colors.warning, colors.plain, series);
    print("  %sQuire:%s      %s\n", colors.good, colors.plain, answer);
}

}  // namespace

void tour_call(const char* format, ...) {
    print("  %s>%s ", console().palette().heading, console().palette().value);
    va_list arguments;
    va_start(arguments, format);
    print_arguments(format, arguments);
    va_end(arguments);
    print("%s\n", console().palette().plain);
}

void tour_note(const char* format, ...) {
    print("    ");
    va_list arguments;
    va_start(arguments, format);
    print_arguments(format, arguments);
    va_end(arguments);
    print("\n");
}

void tour_show(const quire::Translation& translation, quire::VirtualAddress address) {
    print("  ");
    show_translation(translation, address);
}

bool tour_check(bool holds, const char* format, ...) {
    print("    ");
    va_list arguments;
    va_start(arguments, format);
    print_arguments(format, arguments);
    va_end(arguments);
    print(holds ? "  %sok%s\n" : "  %sFAILED%s\n",
          holds ? console().palette().good : console().palette().bad, console().palette().plain);
    return holds;
}

bool tour(quire::KernelMemory& memory) {
    bool well = true;
    show_question(1, "Can pages be had through the manager's interface alone?",
                  "dig the entry out of the directory, vmmngr_alloc_page(entry).",
                  "an address is enough; no caller ever sees an entry.");
    well = tour_addresses(memory) && well;
    show_question(2, "How does a heap stand on it?",
                  "contiguous frames, mapped in a loop, given to the heap.",
                  "that works until frames are scattered; its own heap just grows.");
    well = tour_heap(memory) && well;
    well = tour_isolated_frames(memory) && well;
    show_question(3, "What when page tables are not identity-mapped?",
                  "the table's physical address is used as a pointer.",
                  "an access reaches it: direct map, recursive slot, or window.");
    well = tour_tables(memory) && well;
    if (machine::cpu_count() > 1) {
        print("\n  Now all CPUs at once, on the same pages.\n");
        well = tour_cpus(memory) && well;
    }
    print("\n%s%s%s\n", well ? console().palette().good : console().palette().bad,
          well ? "The tour is over: everything was as told." : "The tour FAILED.",
          console().palette().plain);
    return well;
}

}  // namespace kernel
