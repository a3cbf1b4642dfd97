// SPDX-License-Identifier: MIT
// The VGA text screen, 80 x 25, with the few ANSI sequences that the console uses.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../../console.hpp"

namespace kernel {

class TextScreen final : public ConsoleSink {
  public:
    static constexpr uintptr_t physical = 0xB8000;
    static constexpr unsigned columns = 80;
    static constexpr unsigned rows = 25;
    static constexpr size_t bytes = columns * rows * 2;

    // Whether there is a VGA that shows text: not so after UEFI, which leaves it drawing pictures.
    static bool is_there();
    // From now on the screen's bytes are at `cells`; a null pointer stops the output.
    void move(void* cells);
    void clear();
    void put(char character) override;

  private:
    enum class State { text, escape, sequence };

    void put_text(char character);
    void put_sequence(char character);
    void select_graphics(unsigned parameter);
    void erase_to_end_of_line();
    void scroll();
    void show_cursor() const;
    volatile uint16_t& cell(unsigned row, unsigned column) const {
        return cells_[row * columns + column];
    }

    volatile uint16_t* cells_ = nullptr;
    unsigned row_ = 0;
    unsigned column_ = 0;
    uint8_t attribute_ = 0x07;
    State state_ = State::text;
    unsigned parameters_[4] = {};
    unsigned parameter_count_ = 0;
};

TextScreen& text_screen();

}  // namespace kernel
