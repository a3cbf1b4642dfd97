// SPDX-License-Identifier: MIT
#include "text_screen.hpp"

#include "cpu.hpp"

namespace kernel {
namespace {

constinit TextScreen the_screen;

constexpr uint8_t plain_attribute = 0x07;
constexpr uint8_t bright = 0x08;

// ANSI counts red 1, green 2, blue 4; VGA counts blue 1, green 2, red 4.
constexpr uint8_t vga_colors[8] = {0, 4, 2, 6, 1, 5, 3, 7};

constexpr uint16_t crtc_index = 0x3D4;
constexpr uint16_t crtc_data = 0x3D5;
constexpr uint8_t cursor_high = 0x0E;
constexpr uint8_t cursor_low = 0x0F;

// The graphics controller's miscellaneous register, bit 0: pixels, not characters. Where there is
// no VGA at all, nobody drives the bus and every bit reads as one.
constexpr uint16_t graphics_index = 0x3CE;
constexpr uint16_t graphics_data = 0x3CF;
constexpr uint8_t graphics_miscellaneous = 0x06;
constexpr uint8_t draws_pixels = 0x01;

}  // namespace

TextScreen& text_screen() {
    return the_screen;
}

bool TextScreen::is_there() {
    cpu::write_port_8(graphics_index, graphics_miscellaneous);
    return (cpu::read_port_8(graphics_data) & draws_pixels) == 0;
}

void TextScreen::move(void* cells) {
    cells_ = static_cast<volatile uint16_t*>(cells);
}

void TextScreen::clear() {
    if (cells_ == nullptr) return;
    for (row_ = 0; row_ < rows; ++row_) {
        column_ = 0;
        erase_to_end_of_line();
    }
    row_ = 0;
    show_cursor();
}

void TextScreen::put(char character) {
    if (cells_ == nullptr) return;
    switch (state_) {
        case State::text:
            put_text(character);
            break;
        case State::escape:
            state_ = character == '[' ? State::sequence : State::text;
            parameter_count_ = 0;
            parameters_[0] = 0;
            break;
        case State::sequence:
            put_sequence(character);
            break;
    }
}

void TextScreen::put_text(char character) {
    switch (character) {
        case '\x1b':
            state_ = State::escape;
            return;
        case '\n':
            column_ = 0;
            ++row_;
            break;
        case '\r':
            column_ = 0;
            break;
        case '\b':
            if (column_ > 0) --column_;
            break;
        case '\a':
            return;
        default:
            cell(row_, column_) = static_cast<uint16_t>(static_cast<unsigned>(attribute_) << 8 |
                                                        static_cast<uint8_t>(character));
            if (++column_ == columns) {
                column_ = 0;
                ++row_;
            }
            break;
    }
    if (row_ == rows) scroll();
    show_cursor();
}

void TextScreen::put_sequence(char character) {
    unsigned& parameter = parameters_[parameter_count_];
    if (character >= '0' && character <= '9') {
        if (parameter < 1000) parameter = parameter * 10 + static_cast<unsigned>(character - '0');
        return;
    }
    if (character == ';') {
        if (parameter_count_ + 1 < sizeof(parameters_) / sizeof(parameters_[0])) {
            parameters_[++parameter_count_] = 0;
        }
        return;
    }
    state_ = State::text;
    const unsigned distance = parameter == 0 ? 1 : parameter;
    switch (character) {
        case 'm':
            for (unsigned i = 0; i <= parameter_count_; ++i) {
                select_graphics(parameters_[i]);
            }
            break;
        case 'K':
            erase_to_end_of_line();
            break;
        case 'C':
            column_ = column_ + distance < columns ? column_ + distance : columns - 1;
            break;
        case 'D':
            column_ = column_ > distance ? column_ - distance : 0;
            break;
        default:
            break;
    }
    show_cursor();
}

void TextScreen::select_graphics(unsigned parameter) {
    if (parameter == 0) attribute_ = plain_attribute;
    if (parameter == 1) attribute_ |= bright;
    // Half intensity: VGA has dark grey.
    if (parameter == 2) attribute_ = bright;
    if (parameter >= 30 && parameter <= 37) {
        attribute_ = static_cast<uint8_t>((attribute_ & 0xF8) | vga_colors[parameter - 30]);
    }
}

void TextScreen::erase_to_end_of_line() {
    for (unsigned column = column_; column < columns; ++column) {
        cell(row_, column) = static_cast<uint16_t>(plain_attribute << 8 | ' ');
    }
}

void TextScreen::scroll() {
    for (unsigned row = 1; row < rows; ++row) {
        for (unsigned column = 0; column < columns; ++column) {
            const uint16_t below = cell(row, column);
            cell(row - 1, column) = below;
        }
    }
    row_ = rows - 1;
    const unsigned column = column_;
    column_ = 0;
    erase_to_end_of_line();
    column_ = column;
}

void TextScreen::show_cursor() const {
    const unsigned position = row_ * columns + column_;
    cpu::write_port_8(crtc_index, cursor_high);
    cpu::write_port_8(crtc_data, static_cast<uint8_t>(position >> 8));
    cpu::write_port_8(crtc_index, cursor_low);
    cpu::write_port_8(crtc_data, static_cast<uint8_t>(position));
}

}  // namespace kernel
