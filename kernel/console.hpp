// SPDX-License-Identifier: MIT
// Text output: formatted, coloured by ANSI sequences, to as many sinks as the machine has.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

namespace kernel {

// Something that shows characters.
class ConsoleSink {
  public:
    virtual void put(char character) { (void)character; }

  protected:
    ConsoleSink() = default;
    ~ConsoleSink() = default;
};

// ANSI colours, by what they mean here. Empty strings when colour is off.
struct Palette {
    const char* heading = "\x1b[1;36m";
    const char* good = "\x1b[32m";
    const char* bad = "\x1b[1;31m";
    const char* warning = "\x1b[33m";
    const char* value = "\x1b[1m";
    const char* dim = "\x1b[2m";
    const char* plain = "\x1b[0m";
};

class Console {
  public:
    static constexpr size_t max_sinks = 2;

    void attach(ConsoleSink& sink);
    void put(char character);
    void put(const char* text);
    void set_color(bool on);
    const Palette& palette() const { return palette_; }

  private:
    ConsoleSink* sinks_[max_sinks] = {};
    size_t sink_count_ = 0;
    Palette palette_;
};

// The machine's console.
Console& console();

// Writes formatted text to the console: %s %c %d %u %x %p %%, with -, 0, a width (or *), and l, ll
// or z. 64-bit decimals need no 64-bit division.
void print(const char* format, ...) __attribute__((format(printf, 1, 2)));
void print_arguments(const char* format, va_list arguments) __attribute__((format(printf, 1, 0)));

// A memory size in at most eight characters: "640 KiB", "3.5 GiB", exact or else one decimal.
struct SizeText {
    char text[16];
};
SizeText size_text(uint64_t bytes);

}  // namespace kernel
