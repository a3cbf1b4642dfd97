// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <stddef.h>

#include "machine.hpp"
#include "words.hpp"

namespace kernel {

namespace {

// A count of CPUs, as smp= names it.
bool take_cpus(Options& options, const char* text) {
    const quire::Result<uint64_t> number = parse_number(text);
    if (!number.ok() || *number < 1 || *number > machine::most_cpus) return false;
    options.cpus = static_cast<unsigned>(*number);
    return true;
}

bool take_word(Options& options, const char* word) {
    if (same_text(word, "tour")) {
        options.after_tour = AfterTour::stop;
    } else if (same_text(word, "color=off")) {
        options.color = Color::off;
    } else if (same_text(word, "pae=on")) {
        options.wide = machine::WideTables::always;
    } else if (same_text(word, "pae=off")) {
        options.wide = machine::WideTables::never;
    } else if (same_text(word, "access=direct")) {
        options.reach = quire::TableReach::direct;
    } else if (same_text(word, "access=recursive")) {
        options.reach = quire::TableReach::recursive;
    } else if (same_text(word, "access=window")) {
        options.reach = quire::TableReach::window;
    } else if (starts_with(word, "smp=")) {
        return take_cpus(options, word + 4);
    } else {
        return false;
    }
    return true;
}

}  // namespace

Options parse_options(const char* command_line) {
    Options options;
    const Words words(command_line == nullptr ? "" : command_line);
    for (size_t i = 0; i < words.count(); ++i) {
        const bool kernel_name = i == 0 && words[i][0] == '/';
        if (kernel_name || take_word(options, words[i]) || options.has_unknown_word) continue;
        options.has_unknown_word = true;
        for (size_t at = 0; at + 1 < sizeof(options.unknown_word) && words[i][at] != '\0'; ++at) {
            options.unknown_word[at] = words[i][at];
        }
    }
    return options;
}

}  // namespace kernel
