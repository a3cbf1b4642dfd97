/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "hal.h"

enum { COLUMNS = 80, ROWS = 25, SERIAL = 0x3F8, CRTC = 0x3D4 };

static volatile uint16_t* screen;
static unsigned row, column;
static uint8_t attribute;

/* As VGA and as an ANSI terminal see them. */
static const struct {
    uint8_t attribute;
    const char* sequence;
} colors[] = {
    [PLAIN] = {0x07, "\033[0m"},   [LABEL] = {0x0B, "\033[0;1;36m"},
    [GOOD] = {0x0A, "\033[0;32m"}, [REFUSED] = {0x0E, "\033[0;33m"},
    [BAD] = {0x0C, "\033[0;31m"},  [TITLE] = {0x1F, "\033[0;1;44m"},
};

static void put_serial(char character) {
    while ((read_port(SERIAL + 5) & 0x20) == 0) {
    }
    write_port(SERIAL, (uint8_t)character);
}

static void show_cursor(void) {
    const unsigned position = row * COLUMNS + column;
    write_port(CRTC, 0x0E);
    write_port(CRTC + 1, (uint8_t)(position >> 8));
    write_port(CRTC, 0x0F);
    write_port(CRTC + 1, (uint8_t)position);
}

static void blank(unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; ++i) {
        screen[i] = 0x0720;
    }
}

static void scroll(void) {
    for (unsigned i = 0; i < (ROWS - 1) * COLUMNS; ++i) {
        const uint16_t below = screen[i + COLUMNS];
        screen[i] = below;
    }
    blank((ROWS - 1) * COLUMNS, COLUMNS);
    row = ROWS - 1;
}

static void break_line(void) {
    column = 0;
    if (++row == ROWS) scroll();
}

/* A line of 80 characters and its line break take one row. */
static void put_screen(char character) {
    if (character == '\n' || column == COLUMNS) break_line();
    if (character == '\n') return;
    screen[row * COLUMNS + column++] = (uint16_t)(attribute << 8 | (uint8_t)character);
}

static void put(char character) {
    if (character == '\n') put_serial('\r');
    put_serial(character);
    put_screen(character);
}

void console_start(void* cells) {
    static const uint8_t line[][2] = {
        /* 115200 baud, 8 bits, no parity; queues on; ready to send */
        {1, 0x00}, {3, 0x80}, {0, 0x01}, {1, 0x00}, {3, 0x03}, {2, 0xC7}, {4, 0x03},
    };
    for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); ++i) {
        write_port((uint16_t)(SERIAL + line[i][0]), line[i][1]);
    }
    screen = cells;
    row = column = 0;
    blank(0, ROWS * COLUMNS);
    set_color(PLAIN);
}

void set_color(enum color color) {
    attribute = colors[color].attribute;
    for (const char* text = colors[color].sequence; *text != '\0'; ++text) {
        put_serial(*text);
    }
}

void move_to_column(unsigned wanted) {
    while (column < wanted) {
        put(' ');
    }
}

void wait_for_key(void) {
    while ((read_port(SERIAL + 5) & 0x01) == 0) {
    }
    read_port(SERIAL);
}

static void put_number(uint32_t value, uint32_t base, char fill, size_t width) {
    char digits[10];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    for (size_t length = sizeof(digits) - at; length < width; ++length) {
        put(fill);
    }
    while (at < sizeof(digits)) {
        put(digits[at++]);
    }
}

static void put_text(const char* text) {
    while (*text != '\0') {
        put(*text++);
    }
}

void print(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format != '\0'; ++format) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        const char fill = *++format == '0' ? '0' : ' ';
        size_t width = 0;
        for (; *format >= '0' && *format <= '9'; ++format) {
            width = width * 10 + (size_t)(*format - '0');
        }
        switch (*format) {
            case 's':
                put_text(va_arg(arguments, const char*));
                break;
            case 'u':
                put_number(va_arg(arguments, unsigned), 10, fill, width);
                break;
            case 'x':
                put_number(va_arg(arguments, unsigned), 16, fill, width);
                break;
            default:
                put(*format);
                break;
        }
    }
    va_end(arguments);
    show_cursor();
}
