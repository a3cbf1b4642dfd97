/* SPDX-License-Identifier: MIT */
#include "tell.h"

#include "console.h"
#include "hal.h"
#include "quire/series.h"

enum { COLUMN_OF_TEXT = 12, COLUMN_OF_REASON = 36, COLUMN_OF_SIZE = 71, COLUMNS = 80 };

void title(const char* text, unsigned mebibytes) {
    set_color(TITLE);
    print(" %s", text);
    move_to_column(COLUMN_OF_SIZE);
    print("%4u MiB", mebibytes);
    move_to_column(COLUMNS);
    set_color(PLAIN);
    print("\n");
}

void label(const char* text) {
    set_color(LABEL);
    print(" %s", text);
    set_color(PLAIN);
    move_to_column(COLUMN_OF_TEXT);
}

void require(bool worked, const char* what) {
    if (worked) return;
    set_color(BAD);
    print("\n%s: %s\n", what, series_error_text(series_last_error()));
    set_color(PLAIN);
    stop(STOP_BADLY);
}

void refused(const char* what) {
    const int error = series_last_error();
    print("%s", what);
    move_to_column(COLUMN_OF_REASON);
    require(error != QUIRE_OK, "this should have been refused");
    set_color(REFUSED);
    print("%s\n", series_error_text(error));
    set_color(PLAIN);
}
