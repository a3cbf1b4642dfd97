/* SPDX-License-Identifier: MIT */
#include "multiboot.h"

#include <stddef.h>

enum { LOADER_MAGIC = 0x2BADB002, HAS_COMMAND_LINE = 1 << 2, HAS_MAP = 1 << 6, USABLE = 1 };

struct information {
    uint32_t flags, of_no_interest[3], command_line, nor_these[6], map_bytes, map_address;
};

struct entry {
    uint32_t bytes_that_follow;
    uint64_t base, bytes;
    uint32_t type;
} __attribute__((packed));

/* Null when not all of it can be read. */
static const void* readable(const struct loader* loader, uint32_t physical, uint32_t bytes) {
    if (physical >= loader->visible || bytes > loader->visible - physical) return NULL;
    return (const void*)(physical + loader->offset);
}

static const struct information* information_of(const struct loader* loader, uint32_t flag) {
    if (loader->magic != LOADER_MAGIC) return NULL;
    const struct information* const information =
        readable(loader, loader->information, sizeof(struct information));
    return information != NULL && (information->flags & flag) != 0 ? information : NULL;
}

static void add(struct firmware_map* map, const struct entry* entry) {
    if (entry->bytes == 0) return;
    struct region* const region = &map->regions[map->count++];
    region->first = entry->base;
    region->last = entry->base + (entry->bytes - 1);
    if (region->last < region->first) region->last = UINT64_MAX;
    region->usable = entry->type == USABLE;
}

bool firmware_map_read(const struct loader* loader, struct firmware_map* map) {
    const struct information* const information = information_of(loader, HAS_MAP);
    if (information == NULL) return false;
    const char* at = readable(loader, information->map_address, information->map_bytes);
    if (at == NULL) return false;
    map->count = 0;
    uint32_t rest = information->map_bytes;
    while (rest >= sizeof(struct entry) &&
           map->count < sizeof(map->regions) / sizeof(map->regions[0])) {
        const struct entry* const entry = (const struct entry*)at;
        add(map, entry);
        const uint32_t step = entry->bytes_that_follow + (uint32_t)sizeof(uint32_t);
        if (step < sizeof(struct entry) || step > rest) break;
        at += step;
        rest -= step;
    }
    return map->count > 0;
}

bool loader_says(const struct loader* loader, const char* word) {
    const struct information* const information = information_of(loader, HAS_COMMAND_LINE);
    if (information == NULL) return false;
    uint32_t matched = 0;
    bool in_word = true;
    for (uint32_t physical = information->command_line;; ++physical) {
        const char* const next = readable(loader, physical, 1);
        if (next == NULL) return false;
        if (*next == ' ' || *next == '\0') {
            if (in_word && word[matched] == '\0') return true;
            if (*next == '\0') return false;
            matched = 0;
            in_word = true;
        } else {
            in_word = in_word && *next == word[matched];
            matched += in_word;
        }
    }
}
