/* SPDX-License-Identifier: MIT */
/* Text for people: on the VGA text screen and, the same, on the serial line. */
#ifndef CONSOLE_H
#define CONSOLE_H

enum color { PLAIN, LABEL, GOOD, REFUSED, BAD, TITLE };

/* Clears the screen whose cells can be reached at `cells`: physical 0xB8000. */
void console_start(void* cells);
/* Colours what follows. */
void set_color(enum color color);
/* %s; %u and %x, which may have a width and zeros before it; %%. */
void print(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* Blanks up to a column of the screen, counted from 0; none when that is behind. */
void move_to_column(unsigned column);
/* Waits until a character comes on the serial line. */
void wait_for_key(void);

#endif
