/* SPDX-License-Identifier: MIT */
/* What a Multiboot 1 loader hands over (Multiboot 0.6.96, 3.3). It lies at physical addresses: the
   first `visible` bytes of memory can be read at `offset`. */
#ifndef MULTIBOOT_H
#define MULTIBOOT_H

#include <stdbool.h>
#include <stdint.h>

/* A piece of memory. `last` is its last byte. */
struct region {
    uint64_t first, last;
    bool usable;
};

/* Where the map stands. */
struct firmware_map {
    uintptr_t at, end;
};

struct loader {
    uint32_t magic, information; /* as on entry */
    uintptr_t offset;
    uint32_t visible;
};

/* The firmware's memory map; false when there is none that can be read. */
bool firmware_map_find(const struct loader* loader, struct firmware_map* map);
/* Takes the next piece that is not empty; false at the end. */
bool firmware_map_next(struct firmware_map* map, struct region* region);

/* Whether the command line has this word. */
bool loader_says(const struct loader* loader, const char* word);

#endif
