// SPDX-License-Identifier: MIT
#include "line_editor.hpp"

#include "console.hpp"

namespace kernel {
namespace {

constexpr char control(char letter) {
    return static_cast<char>(letter & 0x1F);
}
constexpr char rubout = 0x7F;
constexpr char escape = 0x1B;

size_t copy_text(char* to, const char* from) {
    size_t length = 0;
    while (from[length] != '\0' && length + 1 < LineEditor::capacity) {
        to[length] = from[length];
        ++length;
    }
    to[length] = '\0';
    return length;
}

bool same_line(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

}  // namespace

void LineEditor::begin(const char* prompt) {
    length_ = 0;
    cursor_ = 0;
    line_[0] = '\0';
    browsing_ = 0;
    state_ = State::text;
    console_.put(console_.palette().heading);
    console_.put(prompt);
    console_.put(console_.palette().plain);
}

LineEditor::Event LineEditor::feed(char input) {
    if (state_ == State::escape) {
        parameter_ = 0;
        // ESC [ and ESC O both start a key's sequence.
        state_ = input == '[' || input == 'O' ? State::sequence : State::text;
        return Event::none;
    }
    if (state_ == State::sequence) {
        feed_sequence(input);
        return Event::none;
    }
    switch (input) {
        case '\r':
        case '\n':
            move_to(length_);
            console_.put('\n');
            remember();
            return Event::line;
        case control('C'):
            console_.put("^C\n");
            length_ = 0;
            line_[0] = '\0';
            return Event::cancelled;
        case control('A'):
            move_to(0);
            break;
        case control('B'):
            move_to(cursor_ > 0 ? cursor_ - 1 : 0);
            break;
        case control('E'):
            move_to(length_);
            break;
        case control('F'):
            move_to(cursor_ < length_ ? cursor_ + 1 : length_);
            break;
        case control('K'):
            erase_to_end();
            break;
        case control('N'):
            newer();
            break;
        case control('P'):
            older();
            break;
        case control('U'):
            erase_to_start();
            break;
        case control('H'):
        case rubout:
            erase_before();
            break;
        case control('D'):
            erase_at();
            break;
        case escape:
            state_ = State::escape;
            break;
        default:
            insert(input);
            break;
    }
    return Event::none;
}

void LineEditor::feed_sequence(char input) {
    if (input >= '0' && input <= '9') {
        if (parameter_ < 100) parameter_ = parameter_ * 10 + static_cast<unsigned>(input - '0');
        return;
    }
    if (input == ';') {
        parameter_ = 0;
        return;
    }
    state_ = State::text;
    switch (input) {
        case 'A':
            older();
            break;
        case 'B':
            newer();
            break;
        case 'C':
            move_to(cursor_ < length_ ? cursor_ + 1 : length_);
            break;
        case 'D':
            move_to(cursor_ > 0 ? cursor_ - 1 : 0);
            break;
        case 'H':
            move_to(0);
            break;
        case 'F':
            move_to(length_);
            break;
        case '~':
            if (parameter_ == 1 || parameter_ == 7) move_to(0);
            if (parameter_ == 4 || parameter_ == 8) move_to(length_);
            if (parameter_ == 3) erase_at();
            break;
        default:
            break;
    }
}

void LineEditor::insert(char character) {
    const bool printable = character >= ' ' && character < rubout;
    if (!printable || length_ + 1 >= capacity) {
        console_.put('\a');
        return;
    }
    for (size_t i = length_; i > cursor_; --i) {
        line_[i] = line_[i - 1];
    }
    line_[cursor_] = character;
    line_[++length_] = '\0';
    console_.put(character);
    ++cursor_;
    if (cursor_ < length_) redraw_rest();
}

void LineEditor::erase_before() {
    if (cursor_ == 0) return;
    move_to(cursor_ - 1);
    erase_at();
}

void LineEditor::erase_at() {
    if (cursor_ == length_) return;
    for (size_t i = cursor_; i < length_; ++i) {
        line_[i] = line_[i + 1];
    }
    --length_;
    redraw_rest();
}

void LineEditor::erase_to_start() {
    const size_t removed = cursor_;
    move_to(0);
    for (size_t i = 0; i + removed <= length_; ++i) {
        line_[i] = line_[i + removed];
    }
    length_ -= removed;
    redraw_rest();
}

void LineEditor::erase_to_end() {
    length_ = cursor_;
    line_[length_] = '\0';
    redraw_rest();
}

void LineEditor::move_to(size_t position) {
    if (position < cursor_) left(cursor_ - position);
    if (position > cursor_) right(position - cursor_);
    cursor_ = position;
}

void LineEditor::replace(const char* text) {
    move_to(0);
    length_ = copy_text(line_, text);
    redraw_rest();
    move_to(length_);
}

void LineEditor::older() {
    if (browsing_ == remembered_) return;
    if (browsing_ == 0) copy_text(draft_, line_);
    replace(history_[browsing_++]);
}

void LineEditor::newer() {
    if (browsing_ == 0) return;
    --browsing_;
    replace(browsing_ == 0 ? draft_ : history_[browsing_ - 1]);
}

void LineEditor::remember() {
    if (length_ == 0 || (remembered_ > 0 && same_line(history_[0], line_))) return;
    for (size_t i = history_lines - 1; i > 0; --i) {
        copy_text(history_[i], history_[i - 1]);
    }
    copy_text(history_[0], line_);
    if (remembered_ < history_lines) ++remembered_;
}

void LineEditor::redraw_rest() {
    for (size_t i = cursor_; i < length_; ++i) {
        console_.put(line_[i]);
    }
    console_.put("\x1b[K");
    left(length_ - cursor_);
}

void LineEditor::left(size_t distance) {
    for (size_t i = 0; i < distance; ++i) {
        console_.put('\b');
    }
}

void LineEditor::right(size_t distance) {
    for (size_t i = cursor_; i < cursor_ + distance; ++i) {
        console_.put(line_[i]);
    }
}

}  // namespace kernel
