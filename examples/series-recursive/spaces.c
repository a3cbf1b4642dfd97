/* SPDX-License-Identifier: MIT */
#include "spaces.h"

#include "console.h"
#include "driver.h"
#include "hal.h"
#include "quire/series.h"
#include "tell.h"

enum { PAGE = 4096, LAZY_PAGES = 4 };

/* Both spaces have a page of their own at `own`; the next two are the kernel's, mapped while one
   space and the other is active. `lazy` gets its pages when they are touched. */
static const virtual_addr own = 0x00400000, made_here = 0xD0000000, made_there = 0xD0400000,
                          lazy = 0x10000000, nowhere = 0x20000000;

/* From probe.S. */
int probe_store(virtual_addr address, uint32_t value);
extern char probe_store_at[], probe_store_failed[];

static volatile uint32_t* word_at(virtual_addr address) {
    return (volatile uint32_t*)address;
}

static void allocate(virtual_addr address) {
    require(series_alloc_pages(address, PAGE, I86_PTE_WRITABLE) == QUIRE_OK, "series_alloc_pages");
}

static void release(virtual_addr address) {
    require(series_free_pages(address, PAGE) == QUIRE_OK, "series_free_pages");
}

static void switch_to(pdirectory* directory) {
    require(vmmngr_switch_pdirectory(directory), "vmmngr_switch_pdirectory");
    require(vmmngr_get_directory() == directory, "vmmngr_get_directory");
}

void two_spaces(void) {
    pdirectory* const home = vmmngr_get_directory();
    const physical_addr home_at = pmmngr_get_PDBR();
    pdirectory* const other = vmmngr_createAddressSpace();
    require(other != NULL, "vmmngr_createAddressSpace");
    allocate(own);
    *word_at(own) = 111;
    allocate(made_here);
    *word_at(made_here) = 333;
    const virtual_addr device = driver_map(1);
    const uint32_t on_screen = *word_at(device);

    switch_to(other);
    label("spaces");
    print("CR3 was 0x%08x and is 0x%08x\n", home_at, pmmngr_get_PDBR());
    require(series_query(own, &(struct series_page){0}) == QUIRE_NOT_MAPPED, "empty at first");
    allocate(own);
    *word_at(own) = 222;
    const uint32_t own_there = *word_at(own), kernel_there = *word_at(made_here);
    require(*word_at(device) == on_screen, "the driver's mapping");
    allocate(made_there);
    *word_at(made_there) = 444;

    switch_to(home);
    label("");
    print("0x%08x holds %u here and %u there\n", own, *word_at(own), own_there);
    label("");
    print("the kernel's later pages are in both: %u seen there, %u seen here\n", kernel_there,
          *word_at(made_there));
    label("");
    print("and so is what the driver mapped by hand, at 0x%08x\n", device);

    require(series_free_pages_in(other, own, PAGE) == QUIRE_OK, "series_free_pages_in");
    require(series_free_address_space(other) == QUIRE_OK, "series_free_address_space");
    release(own);
    vmmngr_unmapPageTable(home, own);
    require(series_last_error() == QUIRE_OK, "vmmngr_unmapPageTable");
    release(made_here);
    release(made_there);
}

static void resolve(struct trap* trap, uint32_t address) {
    const virtual_addr page = address & ~(virtual_addr)(PAGE - 1);
    const int error = series_alloc_pages(page, PAGE, I86_PTE_WRITABLE);
    label("");
    print("page fault at 0x%08x, from 0x%08x: %s\n", address, trap->eip,
          error == QUIRE_OK ? "a page is there now" : series_error_text(error));
    if (error != QUIRE_OK) stop(STOP_BADLY);
}

/* A fault inside Quire, or anywhere unforeseen, must not call Quire again. */
void spaces_page_fault(struct trap* trap, uint32_t address) {
    if (address - lazy < LAZY_PAGES * PAGE) {
        resolve(trap, address);
        return;
    }
    const bool foreseen = trap->eip == (uint32_t)probe_store_at;
    struct series_page page;
    label("");
    set_color(REFUSED);
    print("page fault at 0x%08x, from 0x%08x: %s\n", address, trap->eip,
          foreseen ? series_error_text(series_query(address, &page)) : "unforeseen");
    set_color(PLAIN);
    if (!foreseen) panic("a page fault that nobody can resolve");
    trap->eip = (uint32_t)probe_store_failed;
}

void page_faults(void) {
    label("faults");
    print("stores to pages that are not there yet, and one to nowhere\n");
    const virtual_addr touched[] = {lazy, lazy + 2 * PAGE + 16, lazy};
    for (uint32_t i = 0; i < sizeof(touched) / sizeof(touched[0]); ++i) {
        *word_at(touched[i]) = i + 1;
        require(*word_at(touched[i]) == i + 1, "the store should be there");
        release(touched[i] & ~(virtual_addr)(PAGE - 1));
    }
    require(probe_store(nowhere, 1) == 0, "a store to nowhere should fail");
    vmmngr_unmapPageTable(vmmngr_get_directory(), lazy);
    require(series_last_error() == QUIRE_OK, "vmmngr_unmapPageTable");
}
