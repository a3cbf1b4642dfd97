// SPDX-License-Identifier: MIT
#include "words.hpp"

namespace kernel {
namespace {

constexpr unsigned no_digit = 255;

unsigned digit_value(char character) {
    if (character >= '0' && character <= '9') return static_cast<unsigned>(character - '0');
    const char lower = static_cast<char>(character | 0x20);
    if (lower >= 'a' && lower <= 'f') return static_cast<unsigned>(lower - 'a' + 10);
    return no_digit;
}

unsigned suffix_shift(char suffix) {
    switch (suffix) {
        case 'K':
        case 'k':
            return 10;
        case 'M':
        case 'm':
            return 20;
        case 'G':
        case 'g':
            return 30;
        default:
            return 0;
    }
}

}  // namespace

bool same_text(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

bool starts_with(const char* text, const char* start) {
    while (*start != '\0' && *text == *start) {
        ++text;
        ++start;
    }
    return *start == '\0';
}

Words::Words(const char* line) {
    size_t length = 0;
    bool in_word = false;
    for (; *line != '\0' && length + 1 < sizeof(text_); ++line) {
        const bool blank = *line == ' ' || *line == '\t';
        if (!blank && !in_word) {
            if (count_ == capacity) break;
            words_[count_++] = text_ + length;
        }
        if (blank && in_word) text_[length++] = '\0';
        if (!blank) text_[length++] = *line;
        in_word = !blank;
    }
    text_[length] = '\0';
}

quire::Result<uint64_t> parse_number(const char* text) {
    const bool hexadecimal = text[0] == '0' && (text[1] | 0x20) == 'x';
    const unsigned base = hexadecimal ? 16 : 10;
    if (hexadecimal) text += 2;
    if (digit_value(*text) >= base) return quire::Failure{quire::Error::bad_argument, 0};
    uint64_t value = 0;
    for (; digit_value(*text) < base; ++text) {
        if (__builtin_mul_overflow(value, uint64_t{base}, &value) ||
            __builtin_add_overflow(value, uint64_t{digit_value(*text)}, &value)) {
            return quire::Failure{quire::Error::overflow, 0};
        }
    }
    if (*text != '\0') {
        const unsigned shift = suffix_shift(*text);
        if (shift == 0 || text[1] != '\0') return quire::Failure{quire::Error::bad_argument, 0};
        if ((value << shift) >> shift != value)
            return quire::Failure{quire::Error::overflow, value};
        value <<= shift;
    }
    return value;
}

}  // namespace kernel
