// SPDX-License-Identifier: MIT
#include "console.hpp"

namespace kernel {
namespace {

constinit Console the_console;

// value / 10 and value % 10 in pieces of 16 bits: a 64-bit division would call the compiler's
// library on a 32-bit machine.
uint32_t divide_by_ten(uint64_t& value) {
    uint32_t remainder = 0;
    uint64_t quotient = 0;
    for (int shift = 48; shift >= 0; shift -= 16) {
        const uint32_t piece = (remainder << 16) | static_cast<uint16_t>(value >> shift);
        quotient = (quotient << 16) | (piece / 10);
        remainder = piece % 10;
    }
    value = quotient;
    return remainder;
}

struct Field {
    bool left = false;
    bool zero_padded = false;
    int width = 0;
};

void put_padded(const char* text, size_t length, const Field& field, char padding) {
    const size_t width = field.width > 0 ? static_cast<size_t>(field.width) : 0;
    const size_t gap = width > length ? width - length : 0;
    if (!field.left) {
        for (size_t i = 0; i < gap; ++i) {
            the_console.put(padding);
        }
    }
    for (size_t i = 0; i < length; ++i) {
        the_console.put(text[i]);
    }
    if (field.left) {
        for (size_t i = 0; i < gap; ++i) {
            the_console.put(' ');
        }
    }
}

void put_number(uint64_t value, bool hexadecimal, bool negative, const Field& field) {
    char digits[24];
    size_t at = sizeof(digits);
    do {
        if (hexadecimal) {
            digits[--at] = "0123456789abcdef"[value & 15];
            value >>= 4;
        } else {
            digits[--at] = static_cast<char>('0' + divide_by_ten(value));
        }
    } while (value != 0);
    if (negative) digits[--at] = '-';
    put_padded(digits + at, sizeof(digits) - at, field, field.zero_padded ? '0' : ' ');
}

size_t text_length(const char* text) {
    size_t length = 0;
    while (text[length] != '\0') {
        ++length;
    }
    return length;
}

}  // namespace

Console& console() {
    return the_console;
}

void Console::attach(ConsoleSink& sink) {
    if (sink_count_ < max_sinks) sinks_[sink_count_++] = &sink;
}

void Console::put(char character) {
    for (size_t i = 0; i < sink_count_; ++i) {
        sinks_[i]->put(character);
    }
}

void Console::put(const char* text) {
    for (; *text != '\0'; ++text) {
        put(*text);
    }
}

void Console::set_color(bool on) {
    palette_ = on ? Palette{} : Palette{"", "", "", "", "", "", ""};
}

void print_arguments(const char* format, va_list arguments) {
    va_list rest;
    va_copy(rest, arguments);
    for (const char* at = format; *at != '\0'; ++at) {
        if (*at != '%') {
            the_console.put(*at);
            continue;
        }
        Field field;
        ++at;
        for (; *at == '-' || *at == '0'; ++at) {
            (*at == '-' ? field.left : field.zero_padded) = true;
        }
        if (*at == '*') {
            field.width = va_arg(rest, int);
            ++at;
        }
        for (; *at >= '0' && *at <= '9'; ++at) {
            field.width = field.width * 10 + (*at - '0');
        }
        int longs = 0;
        for (; *at == 'l' || *at == 'z'; ++at) {
            ++longs;
        }
        switch (*at) {
            case 's': {
                const char* text = va_arg(rest, const char*);
                if (text == nullptr) text = "(null)";
                put_padded(text, text_length(text), field, ' ');
                break;
            }
            case 'c': {
                const char character = static_cast<char>(va_arg(rest, int));
                put_padded(&character, 1, field, ' ');
                break;
            }
            case 'd': {
                const int64_t value = longs >= 2   ? va_arg(rest, long long)
                                      : longs == 1 ? va_arg(rest, long)
                                                   : va_arg(rest, int);
                const uint64_t magnitude =
                    value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
                put_number(magnitude, false, value < 0, field);
                break;
            }
            case 'u':
            case 'x': {
                const uint64_t value = longs >= 2   ? va_arg(rest, unsigned long long)
                                       : longs == 1 ? va_arg(rest, unsigned long)
                                                    : va_arg(rest, unsigned int);
                put_number(value, *at == 'x', false, field);
                break;
            }
            case 'p':
                field = Field{false, true, 2 * sizeof(void*)};
                the_console.put("0x");
                put_number(reinterpret_cast<uintptr_t>(va_arg(rest, void*)), true, false, field);
                break;
            case '\0':
                --at;
                break;
            default:
                the_console.put(*at);
                break;
        }
    }
    va_end(rest);
}

void print(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_arguments(format, arguments);
    va_end(arguments);
}

SizeText size_text(uint64_t bytes) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    while ((bytes >> (10 * unit)) >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        ++unit;
    }
    uint64_t whole = bytes >> (10 * unit);
    const uint64_t rest = bytes & ((uint64_t{1} << (10 * unit)) - 1);
    // Tenths, rounded down; shown when not zero.
    const uint32_t tenths =
        unit == 0 ? 0 : static_cast<uint32_t>(((rest >> (10 * (unit - 1))) * 10) >> 10);

    SizeText result = {};
    size_t at = 0;
    char digits[5];
    size_t count = 0;
    do {
        digits[count++] = static_cast<char>('0' + divide_by_ten(whole));
    } while (whole != 0);
    while (count > 0) {
        result.text[at++] = digits[--count];
    }
    if (tenths != 0) {
        result.text[at++] = '.';
        result.text[at++] = static_cast<char>('0' + tenths);
    }
    result.text[at++] = ' ';
    for (const char* name = units[unit]; *name != '\0'; ++name) {
        result.text[at++] = *name;
    }
    return result;
}

}  // namespace kernel
