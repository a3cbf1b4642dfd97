// SPDX-License-Identifier: MIT
// Editing of one line on a terminal: cursor keys, Home and End, Backspace and Delete,
// Ctrl-A/E/K/U/C, and a history of eight lines.
#pragma once

#include <stddef.h>

namespace kernel {

class Console;

class LineEditor {
  public:
    static constexpr size_t capacity = 120;  // characters a line, with the terminating null
    static constexpr size_t history_lines = 8;

    enum class Event {
        none,       // more to come
        line,       // line() is complete
        cancelled,  // Ctrl-C: line() is empty
    };

    constexpr explicit LineEditor(Console& console) : console_(console) {}

    // Starts a line: shows the prompt, which must be a literal without colour.
    void begin(const char* prompt);
    // Takes one byte from the terminal and shows its effect.
    Event feed(char input);
    const char* line() const { return line_; }

  private:
    enum class State { text, escape, sequence };

    void feed_sequence(char input);
    void insert(char character);
    void erase_before();
    void erase_at();
    void erase_to_start();
    void erase_to_end();
    void move_to(size_t position);
    void replace(const char* text);
    void older();
    void newer();
    void remember();
    // Shows the line from the cursor on, and puts the terminal's cursor back.
    void redraw_rest();
    void left(size_t distance);
    void right(size_t distance);

    Console& console_;
    char line_[capacity] = {};
    size_t length_ = 0;
    size_t cursor_ = 0;
    State state_ = State::text;
    unsigned parameter_ = 0;
    char history_[history_lines][capacity] = {};
    size_t remembered_ = 0;  // lines in the history
    size_t browsing_ = 0;    // 0: the line being typed; n: the n-th newest of the history
    char draft_[capacity] = {};
};

}  // namespace kernel
