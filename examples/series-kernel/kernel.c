/* SPDX-License-Identifier: MIT */
/*
 * A kernel as the tutorial series teaches it: the firmware's map makes blocks free, the kernel and
 * low memory are taken back, paging begins, and the rest is calls to pmmngr and vmmngr. Of Quire it
 * knows quire/series.h and nothing else. lessons.c has what it does with its memory.
 */
#include "quire/series.h"

#include "console.h"
#include "hal.h"
#include "lessons.h"
#include "multiboot.h"
#include "tell.h"

/* From linker.ld; the addresses are the values, the first two physical. */
extern char kernel_begin[], kernel_end[], virtual_offset[];

enum { LOW_MEMORY = 1 << 20, IDENTITY = 4 << 20, TEXT_SCREEN = 0xB8000 };

static void print_range(uint64_t first, uint64_t last) {
    if (last >> 32 != 0) {
        print("0x%x%08x-0x%x%08x  ", (unsigned)(first >> 32), (unsigned)first,
              (unsigned)(last >> 32), (unsigned)last);
    } else {
        print("0x%08x-0x%08x  ", (unsigned)first, (unsigned)last);
    }
}

/* Up to the last usable byte below 4 GiB. */
static uint32_t memory_kib(const struct firmware_map* map) {
    uint32_t kib = 0;
    for (unsigned i = 0; i < map->count; ++i) {
        const struct region* const region = &map->regions[i];
        if (!region->usable || region->first >> 32 != 0) continue;
        const uint64_t last = region->last >> 32 == 0 ? region->last : UINT32_MAX;
        const uint32_t end = (uint32_t)((last + 1) >> 10);
        if (end > kib) kib = end;
    }
    return kib;
}

/* The series' call takes 32-bit numbers; its sibling cuts nothing down to what it is not. */
static void free_usable(const struct firmware_map* map) {
    const char* text = "firmware";
    for (unsigned i = 0; i < map->count; ++i) {
        const struct region* const region = &map->regions[i];
        if (!region->usable) continue;
        label(text);
        text = "";
        print_range(region->first, region->last);
        const uint64_t bytes = region->last - region->first + 1;
        if (series_init_region(region->first, bytes) == QUIRE_OK) {
            print("usable, %u KiB\n", (unsigned)(bytes >> 10));
        } else {
            set_color(REFUSED);
            print("%s\n", series_error_text(series_last_error()));
        }
    }
}

static void take(const char* text, const char* what, physical_addr first, physical_addr end) {
    pmmngr_deinit_region(first, end - first);
    require(series_last_error() == QUIRE_OK, "pmmngr_deinit_region");
    label(text);
    print_range(first, end - 1);
    print("%s\n", what);
}

static void start_blocks(const struct firmware_map* map) {
    const uint32_t kib = memory_kib(map);
    title("A kernel of the tutorial series, on quire/series.h", (kib + 1023) >> 10);
    /* Behind the kernel, as in the series: QUIRE_SERIES_BITMAP_BYTES of room. */
    const physical_addr books = (physical_addr)kernel_end;
    pmmngr_init(kib, books + (physical_addr)virtual_offset);
    require(series_last_error() == QUIRE_OK, "pmmngr_init");
    free_usable(map);
    take("taken", "low memory", 0, LOW_MEMORY);
    take("", "the kernel, its page tables, its stack", (physical_addr)kernel_begin, books);
    take("", "Quire's books", books, books + series_init_bytes(kib));
    const physical_addr message = lessons_message_block();
    take("", "the last block, for a message", message, message + pmmngr_get_block_size());
    label("blocks");
    print("%u of %u bytes; %u are free\n", (unsigned)pmmngr_get_block_count(),
          (unsigned)pmmngr_get_block_size(), (unsigned)pmmngr_get_free_block_count());
}

static void start_pages(void) {
    vmmngr_initialize();
    require(series_last_error() == QUIRE_OK, "vmmngr_initialize");
    label("paging");
    pdirectory* const directory = vmmngr_get_directory();
    print("directory 0x%08x; 0x00100000 is seen at 0x%08x too\n", (unsigned)pmmngr_get_PDBR(),
          0xC0000000u);
    require((physical_addr)vmmngr_getPhysicalAddress(directory, 0xC0000000) == 0x00100000,
            "3 GiB should show the kernel");
}

void kernel_main(uint32_t magic, uint32_t information);

void kernel_main(uint32_t magic, uint32_t information) {
    console_start((void*)TEXT_SCREEN);
    traps_start(lessons_page_fault);
    const struct loader loader = {magic, information, 0, IDENTITY};
    static struct firmware_map map;
    if (!firmware_map_read(&loader, &map)) panic("the loader left no memory map that can be read");
    const bool waits = loader_says(&loader, "wait");
    start_blocks(&map);
    start_pages();
    lessons();
    if (waits) wait_for_key();
    stop(STOP_WELL);
}
