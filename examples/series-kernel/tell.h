/* SPDX-License-Identifier: MIT */
/* How these kernels tell what they do: a label, then lines beside it. */
#ifndef TELL_H
#define TELL_H

#include <stdbool.h>

/* The first line, over the whole width. */
void title(const char* text, unsigned mebibytes);
/* Begins a line; null or "" for one that belongs to the label above it. */
void label(const char* text);
/* Ends the machine with what failed, and series_last_error's text, unless it worked. */
void require(bool worked, const char* what);
/* A line for a call that had to fail: what it was, and series_last_error's text. */
void refused(const char* what);

#endif
