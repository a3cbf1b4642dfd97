/* SPDX-License-Identifier: MIT */
#include "lessons.h"

#include "console.h"
#include "hal.h"
#include "quire/series.h"
#include "tell.h"

enum { PAGE = 4096, TEXT_SCREEN = 0xB8000 };

/* Parts of the address space that nothing is mapped in; the last two are the kernel's. */
static const virtual_addr somewhere = 0x40000000, region_heap = 0xD0000000, own_heap = 0xD0400000;

static volatile uint32_t* word_at(virtual_addr address) {
    return (volatile uint32_t*)address;
}

static bool worked(void) {
    return series_last_error() == QUIRE_OK;
}

/* Faults come where a lesson says so, and nowhere else. */
static virtual_addr provoked;

void lessons_page_fault(struct trap* trap, uint32_t address) {
    if (provoked == 0 || address != provoked) {
        print("\npage fault at 0x%08x, from 0x%08x\n", address, trap->eip);
        panic("a page fault that no lesson provoked");
    }
    provoked = 0;
    require(series_protect(address, PAGE, I86_PTE_WRITABLE) == QUIRE_OK, "series_protect");
}

static void blocks(void) {
    void* const one = pmmngr_alloc_block();
    void* const run = pmmngr_alloc_blocks(16);
    require(one != NULL && run != NULL, "pmmngr_alloc_blocks");
    label("given out");
    print("one block at 0x%08x, sixteen in a row at 0x%08x\n", (unsigned)one, (unsigned)run);
    pmmngr_free_block(one);
    require(worked(), "pmmngr_free_block");
    pmmngr_free_blocks(run, 16);
    require(worked(), "pmmngr_free_blocks");
}

/* The series' way: find the table in the directory, the entry in the table, and have it filled. The
   table's physical address serves as a pointer, which is right here: tables lie in the first 4 MiB,
   and those are mapped at identity. */
static void page_by_entry(void) {
    pdirectory* const directory = vmmngr_get_directory();
    require(vmmngr_createPageTable(directory, somewhere, I86_PDE_WRITABLE) != 0, "createPageTable");
    const pd_entry* const entry = vmmngr_pdirectory_lookup_entry(directory, somewhere);
    ptable* const table = (ptable*)PAGE_GET_PHYSICAL_ADDRESS(entry);
    pt_entry* const page = vmmngr_ptable_lookup_entry(table, somewhere);
    require(vmmngr_alloc_page(page), "vmmngr_alloc_page");
    *word_at(somewhere) = 42;
    label("pages");
    print("by entry:   0x%08x lies at 0x%08x, its entry at 0x%08x\n", somewhere,
          pt_entry_pfn(*page), (unsigned)page);
    vmmngr_free_page(page);
    require(worked(), "vmmngr_free_page");
}

/* The sibling: an address is enough. */
static void page_by_address(void) {
    require(series_alloc_pages(somewhere, 2 * PAGE, I86_PTE_WRITABLE) == QUIRE_OK, "alloc_pages");
    *word_at(somewhere) = 1;
    struct series_page page;
    require(series_query(somewhere, &page) == QUIRE_OK, "series_query");
    label("");
    print("by address: 0x%08x lies at 0x%08x, in one call\n", page.virt, page.phys);

    require(series_protect(somewhere, PAGE, 0) == QUIRE_OK, "series_protect");
    provoked = somewhere;
    *word_at(somewhere) = 2;
    require(provoked == 0 && *word_at(somewhere) == 2, "a store to a read-only page should fault");
    label("");
    print("made read-only: a store faulted, the handler let it through\n");
    require(series_free_pages(somewhere, 2 * PAGE) == QUIRE_OK, "series_free_pages");
}

uint32_t lessons_message_block(void) {
    return (pmmngr_get_block_count() - 1) * pmmngr_get_block_size();
}

static void mapping(void) {
    const physical_addr block = lessons_message_block();
    vmmngr_map_page((void*)block, (void*)somewhere);
    require(worked(), "vmmngr_map_page");
    memcpy((void*)somewhere, "all is well", 12);
    pdirectory* const directory = vmmngr_get_directory();
    label("");
    print("mapped:     0x%08x shows 0x%08x, where a message lies now\n", somewhere,
          (unsigned)vmmngr_getPhysicalAddress(directory, somewhere));
    vmmngr_unmapPhysicalAddress(directory, somewhere);
    require(worked(), "vmmngr_unmapPhysicalAddress");
}

static void address_spaces(void) {
    pdirectory* const home = vmmngr_get_directory();
    pdirectory* const other = vmmngr_createAddressSpace();
    require(other != NULL, "vmmngr_createAddressSpace");
    require(series_alloc_pages(somewhere, PAGE, I86_PTE_WRITABLE) == QUIRE_OK, "alloc_pages");
    require(series_alloc_pages_in(other, somewhere, PAGE, I86_PTE_WRITABLE) == QUIRE_OK,
            "series_alloc_pages_in");
    *word_at(somewhere) = 111;
    require(vmmngr_switch_pdirectory(other), "vmmngr_switch_pdirectory");
    *word_at(somewhere) = 222;
    const uint32_t in_other = *word_at(somewhere);
    require(vmmngr_switch_pdirectory(home), "vmmngr_switch_pdirectory");
    label("spaces");
    print("0x%08x holds %u here and %u in another directory\n", somewhere, *word_at(somewhere),
          in_other);

    require(series_free_pages_in(other, somewhere, PAGE) == QUIRE_OK, "series_free_pages_in");
    require(series_free_address_space(other) == QUIRE_OK, "series_free_address_space");
    require(series_free_pages(somewhere, PAGE) == QUIRE_OK, "series_free_pages");
    vmmngr_unmapPageTable(home, somewhere);
    require(worked(), "vmmngr_unmapPageTable");
}

/* Blocks in a row, a loop that maps them, and a heap over the region. */
static void heap_over_a_region(void) {
    enum { BLOCKS = 256 };
    char* const run = pmmngr_alloc_blocks(BLOCKS);
    require(run != NULL, "pmmngr_alloc_blocks");
    for (uint32_t offset = 0; offset < BLOCKS * PAGE; offset += PAGE) {
        vmmngr_map_page(run + offset, (void*)(region_heap + offset));
        require(worked(), "vmmngr_map_page");
    }
    require(kheap_create_region((void*)region_heap, BLOCKS * PAGE) == QUIRE_OK,
            "kheap_create_region");
    char* const name = kmalloc(100);
    require(name != NULL, "kmalloc");
    name[0] = 'Q';
    char* const longer = krealloc(name, 10000);
    require(longer != NULL && longer[0] == 'Q', "krealloc");
    label("heaps");
    print("over a region: %u KiB at 0x%08x; kmalloc gave 0x%08x\n", BLOCKS * PAGE / 1024,
          region_heap, (unsigned)longer);
    kfree(longer);
    kheap_destroy();
    require(series_unmap(region_heap, BLOCKS * PAGE) == QUIRE_OK, "series_unmap");
    pmmngr_free_blocks(run, BLOCKS);
    require(worked(), "pmmngr_free_blocks");
}

/* The better way: no frames in a row, no size to guess. */
static void heap_that_grows(void) {
    enum { CELLS = 2000, CELL_BYTES = 1000, FIRST_BYTES = 1 << 16, MOST_BYTES = 1 << 24 };
    require(kheap_create(own_heap, FIRST_BYTES, MOST_BYTES) == QUIRE_OK, "kheap_create");
    const uint32_t at_first = pmmngr_get_use_block_count();
    void** all = NULL;
    for (unsigned i = 0; i < CELLS; ++i) {
        void** const cell = kmalloc(CELL_BYTES);
        require(cell != NULL, "kmalloc");
        *cell = all;
        all = cell;
    }
    const uint32_t at_most = pmmngr_get_use_block_count();
    while (all != NULL) {
        void** const next = *all;
        kfree(all);
        require(worked(), "kfree");
        all = next;
    }
    label("");
    print("that grows:    %u blocks more for %u kmalloc(%u), %u kept\n", at_most - at_first, CELLS,
          CELL_BYTES, pmmngr_get_use_block_count() - at_first);
    kheap_destroy();
    require(worked(), "kheap_destroy");
}

/* Each of these was let through by the series, or went wrong in silence. */
static void refusals(void) {
    void* const block = pmmngr_alloc_block();
    pmmngr_free_block(block);
    label("refused");
    pmmngr_free_block(block);
    refused("freeing a block twice");
    label("");
    pmmngr_free_block(NULL);
    refused("freeing block zero");
    label("");
    require(pmmngr_alloc_blocks(pmmngr_get_block_count()) == NULL, "there are not so many");
    refused("a run of all the blocks");
    label("");
    vmmngr_map_page(block, (void*)TEXT_SCREEN);
    refused("mapping over a mapping");
}

void lessons(void) {
    const uint32_t at_first = pmmngr_get_free_block_count();
    blocks();
    page_by_entry();
    page_by_address();
    mapping();
    address_spaces();
    heap_over_a_region();
    heap_that_grows();
    refusals();
    require(series_validate() == QUIRE_OK, "series_validate");
    label("left");
    print("%u blocks are free; %u became the kernel's page tables\n", pmmngr_get_free_block_count(),
          at_first - pmmngr_get_free_block_count());
    set_color(GOOD);
    print(" All of it stands on Quire.\n");
    set_color(PLAIN);
}
