/* SPDX-License-Identifier: MIT */
/*
 * A descendant of the tutorial series: it runs at 3 GiB on page tables of its own, made by boot.S
 * in static memory, whose last directory entry leads back to the directory. Quire takes them over
 * as they are; other parts of the kernel go on writing entries through the slot.
 */
#include "quire/series.h"

#include "console.h"
#include "driver.h"
#include "hal.h"
#include "multiboot.h"
#include "spaces.h"
#include "tell.h"

/* From linker.ld; the addresses are the values, the first two physical. */
extern char kernel_begin[], kernel_end[], virtual_offset[];
extern pdirectory boot_directory;
extern ptable boot_table;

enum { LOW_MEMORY = 1 << 20, VISIBLE = 4 << 20, TEXT_SCREEN = 0xB8000 };

static physical_addr physical_of(const void* pointer) {
    return (physical_addr)pointer - (physical_addr)virtual_offset;
}

static void log_line(int severity, const char* text) {
    (void)severity;
    set_color(REFUSED);
    print("  %s\n", text);
    set_color(PLAIN);
}

static void start_blocks(const struct firmware_map* map) {
    uint32_t kib = 0;
    for (unsigned i = 0; i < map->count; ++i) {
        const struct region* const region = &map->regions[i];
        if (region->usable && region->last >> 32 == 0) kib = (uint32_t)((region->last + 1) >> 10);
    }
    title("A kernel on its own recursive slot, on quire/series.h", (kib + 1023) >> 10);
    pmmngr_init(kib, 0); /* books in Quire's static memory */
    require(series_last_error() == QUIRE_OK, "pmmngr_init");
    for (unsigned i = 0; i < map->count; ++i) {
        const struct region* const region = &map->regions[i];
        if (region->usable) series_init_region(region->first, region->last - region->first + 1);
    }
    const physical_addr image = (physical_addr)kernel_begin, end = (physical_addr)kernel_end;
    pmmngr_deinit_region(0, LOW_MEMORY);
    pmmngr_deinit_region(image, end - image);
    require(series_last_error() == QUIRE_OK, "pmmngr_deinit_region");
    label("blocks");
    print("%u free; low memory and 0x%08x-0x%08x are taken\n", pmmngr_get_free_block_count(), image,
          end - 1);
}

static int count_page(void* context, const struct series_page* page) {
    (void)page;
    ++*(unsigned*)context;
    return 1;
}

static void adopt(void) {
    require(series_adopt(&boot_directory) == QUIRE_OK, "series_adopt");
    unsigned pages = 0;
    require(series_walk(0, UINT32_MAX, count_page, &pages) == QUIRE_OK, "series_walk");
    struct series_page page;
    require(series_query((virtual_addr)&boot_directory, &page) == QUIRE_OK, "series_query");
    label("adopted");
    print("directory 0x%08x with %u pages; 0x%08x is at 0x%08x\n", pmmngr_get_PDBR(), pages,
          page.virt, page.phys);
    require(page.phys == physical_of(&boot_directory), "the kernel's own mapping");
}

static void see_the_driver(void) {
    const virtual_addr device = driver_map(0);
    struct series_page page;
    require(series_query(device, &page) == QUIRE_OK, "series_query");
    label("by hand");
    print("an entry written through the slot: 0x%08x shows 0x%08x\n", page.virt, page.phys);
}

/* What this kernel made stays its own. */
static void keep_what_is_static(void) {
    const uint32_t before = pmmngr_get_free_block_count();
    label("static");
    print("freeing the boot directory, the boot table and the driver's table:\n");
    const void* const tables[] = {&boot_directory, &boot_table, &driver_tables[0]};
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); ++i) {
        pmmngr_free_block((void*)physical_of(tables[i]));
        require(series_last_error() != QUIRE_OK, "a static table was freed");
    }
    vmmngr_unmapPageTable(vmmngr_get_directory(), driver_map(0));
    require(series_last_error() == QUIRE_OK, "vmmngr_unmapPageTable");
    label("");
    print("unmapped: %u blocks more are free\n", pmmngr_get_free_block_count() - before);
}

void kernel_main(uint32_t magic, uint32_t information);

void kernel_main(uint32_t magic, uint32_t information) {
    console_start(virtual_offset + TEXT_SCREEN);
    traps_start(spaces_page_fault);
    const struct loader loader = {magic, information, (uintptr_t)virtual_offset, VISIBLE};
    static struct firmware_map map;
    if (!firmware_map_read(&loader, &map)) panic("the loader left no memory map that can be read");
    const bool waits = loader_says(&loader, "wait");
    start_blocks(&map);
    adopt();
    see_the_driver();
    const uint32_t at_first = pmmngr_get_free_block_count();
    two_spaces();
    page_faults();
    series_set_log(log_line);
    keep_what_is_static();
    require(series_validate() == QUIRE_OK, "series_validate");
    label("left");
    print("%u blocks are free, %u fewer than before\n", pmmngr_get_free_block_count(),
          at_first - pmmngr_get_free_block_count());
    set_color(GOOD);
    print(" All of it stands on Quire.\n");
    set_color(PLAIN);
    if (waits) wait_for_key();
    stop(STOP_WELL);
}
