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

/* A copy, since the loader's own lies in memory that will be used. */
struct firmware_map {
    struct region regions[32];
    unsigned count;
};

struct loader {
    uint32_t magic, information; /* as on entry */
    uintptr_t offset;
    uint32_t visible;
};

/* The firmware's memory map, without empty pieces; false when there is none that can be read. */
bool firmware_map_read(const struct loader* loader, struct firmware_map* map);

/* Whether the command line has this word. */
bool loader_says(const struct loader* loader, const char* word);

#endif
