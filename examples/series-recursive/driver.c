/* SPDX-License-Identifier: MIT */
#include "driver.h"

extern char virtual_offset[]; /* from linker.ld; the address is the value */

enum { TEXT_SCREEN = 0xB8000, TABLE_REACH = 1 << 22 };

_Alignas(4096) ptable driver_tables[DRIVER_TABLES];

/* What the slot shows: all entries of all tables side by side, and the directory last. */
static pt_entry* const all_entries = (pt_entry*)0xFFC00000;
static pd_entry* const own_directory = (pd_entry*)0xFFFFF000;

virtual_addr driver_map(unsigned table) {
    const virtual_addr at = 0xE0000000 + table * TABLE_REACH;
    const physical_addr physical =
        (physical_addr)&driver_tables[table] - (physical_addr)virtual_offset;
    own_directory[at >> 22] = physical | I86_PDE_PRESENT | I86_PDE_WRITABLE;
    all_entries[at >> 12] = TEXT_SCREEN | I86_PTE_PRESENT | I86_PTE_WRITABLE;
    return at;
}
