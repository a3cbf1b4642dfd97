/* SPDX-License-Identifier: MIT */
/*
 * The memory manager's interface of a well-known tutorial series (pmmngr_*, vmmngr_*), on Quire.
 *
 * A kernel that carries that code deletes its mmngr_phys, mmngr_virtual, vmmngr_pte, vmmngr_pde and
 * heap, includes this header, links Quire, and runs. Names, types, constants and return conventions
 * are the series'; what was wrong in it is put right (docs/from-the-series.md, fault by fault).
 * Beside it stand calls whose names begin with series_: by address instead of by entry, each of
 * which returns QUIRE_OK or the error that says why nothing happened.
 *
 * Rules for all of it:
 *  - A call that fails has changed nothing. Old calls say that it failed as they always did (0,
 *    false, or not at all); series_last_error() says why.
 *  - A physical address is never used as a pointer, except that blocks are passed as void*, as in
 *    the series: pmmngr_alloc_block returns a physical address.
 *  - A pdirectory* is a real pointer to the directory, which may be read and written at any time.
 *    Its physical address is found in the page tables. Directories may be the kernel's own: built
 *    by a boot loader, in static memory, or by hand. Entries that others write are respected: no
 *    copy is kept. A table is freed only if Quire made it.
 *  - Tables stay until vmmngr_unmapPageTable or series_free_address_space, since a kernel may hold
 *    pointers into them; unmapping a page never frees its table.
 *  - Everything above QUIRE_SERIES_KERNEL_ADDRESS is the same in all directories, mappings made
 *    later included. So is the map by which tables are reached, with
 *    QUIRE_SERIES_DIRECT.
 *  - Interrupts are never enabled or disabled. Locks: see QUIRE_SERIES_LOCK. One page is flushed
 *    from the TLB of this CPU after every change that takes something away; for other CPUs see
 *    series_set_flush.
 *
 * What the kernel is like is told at compile time, in quire/series_config.h.
 */
#ifndef QUIRE_SERIES_H
#define QUIRE_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "quire/quire.h"
#include "quire/series_config.h"

#ifdef __cplusplus
typedef bool series_bool;
extern "C" {
#else
typedef _Bool series_bool;
#endif

typedef uint32_t physical_addr;
typedef uint32_t virtual_addr;
typedef uint32_t pt_entry;
typedef uint32_t pd_entry;

#define PAGES_PER_TABLE 1024
#define PAGES_PER_DIR 1024

struct ptable {
    pt_entry m_entries[PAGES_PER_TABLE];
};
struct pdirectory {
    pd_entry m_entries[PAGES_PER_DIR];
};
#ifndef __cplusplus
typedef struct ptable ptable;
typedef struct pdirectory pdirectory;
#endif

/* ---- why the last call failed ---------------------------------------------------------------- */

/* What the last call of this header made of itself: QUIRE_OK or one of enum quire_error. Of all
   CPUs' calls together: where several call at once, use the calls that return their error. The pt_,
   pd_ and index functions below, which cannot fail, leave it alone. O(1). */
int series_last_error(void);
/* The address, block or amount that the error concerns (a header says which: docs); bytes wanted,
   when pmmngr_init had too little room. 0 after QUIRE_OK. */
uint64_t series_last_error_where(void);
/* One sentence for an error; never null. */
const char* series_error_text(int error);
/* Where failures are told, with QUIRE_SERIES_LOG: one line, severity 2 (warning). Called after the
   locks are released. Null, as at the start: nowhere. */
void series_set_log(void (*log)(int severity, const char* text));

/* ---- frames: mmngr_phys ---------------------------------------------------------------------- */

/* Begins with `memSizeKB` KiB of memory from physical zero, all of it in use until
   pmmngr_init_region. Where the books go: see QUIRE_SERIES_BITMAP_BYTES; with the default nothing
   is written at `bitmap`. Where paging is on already, the active directory and its tables, and the
   books themselves, are kept from being handed out whatever is called free later.
   Fails: QUIRE_IN_USE (called before), QUIRE_OUT_OF_NODES (too little room for the books;
   series_last_error_where says how many bytes), QUIRE_NO_USABLE_MEMORY (less than two blocks),
   QUIRE_MISALIGNED (`bitmap`, where used; 64 bytes). O(memory / 256 KiB). */
void pmmngr_init(size_t memSizeKB, physical_addr bitmap);
/* Bytes of books for that much memory. */
size_t series_init_bytes(size_t memSizeKB);
/* pmmngr_init with the room for the books told: `bytes` bytes at a pointer. */
int series_init(size_t memSizeKB, void* room, size_t bytes);

/* Makes whole blocks inside the region free. Block zero, the books, live page tables and what
   series_keep_region named stay in use. Blocks that are given out stay with their owners. What
   lies above the memory told to pmmngr_init is left out. In any order with pmmngr_deinit_region,
   overlapping, repeated: of the two, the later call counts.
   Fails: QUIRE_ZERO_SIZE (no whole block in it), QUIRE_OUT_OF_RANGE (all of it outside).
   O(blocks). */
void pmmngr_init_region(physical_addr base, size_t bytes);
/* Makes all blocks that the region touches used. They are not handed out; freeing one is refused
   with QUIRE_RESERVED. A block that is given out stays with its owner and, as it is used for ever
   now, is not freed either. Fails: as pmmngr_init_region. */
void pmmngr_deinit_region(physical_addr base, size_t bytes);
/* The same from the 64-bit numbers of a firmware's map: what lies above 4 GiB is not cut down to
   something below it. */
int series_init_region(uint64_t base, uint64_t bytes);
int series_deinit_region(uint64_t base, uint64_t bytes);
/* As deinit_region, but for good: no pmmngr_init_region, before or after, frees it. */
int series_keep_region(uint64_t base, uint64_t bytes);

/* A block's physical address; 0 when none is left (QUIRE_OUT_OF_FRAMES). Never block zero. O(1). */
void* pmmngr_alloc_block(void);
/* `count` blocks that follow one another. Also QUIRE_ZERO_SIZE. O(1) where some hole of that size
   is known, O(memory / 2 MiB) otherwise. */
void* pmmngr_alloc_blocks(size_t count);
/* Fail, nothing freed: QUIRE_MISALIGNED (low bits set), QUIRE_RESERVED (block zero, or never given
   out because it is not free memory), QUIRE_ALREADY_FREE (twice, or never given out yet),
   QUIRE_OUT_OF_RANGE (beyond memory), QUIRE_IN_USE (the active directory, or a table it leads to),
   QUIRE_ZERO_SIZE. Of a run, any part may be freed; but all blocks named must be given out. */
void pmmngr_free_block(void* block);
void pmmngr_free_blocks(void* block, size_t count);
/* The same, with the error. *block is written on success only. */
int series_alloc_blocks(size_t count, physical_addr* block);
int series_free_blocks(physical_addr block, size_t count);

size_t pmmngr_get_memory_size(void); /* KiB, as told to pmmngr_init */
uint32_t pmmngr_get_block_count(void);
uint32_t pmmngr_get_use_block_count(void); /* all that are not free */
uint32_t pmmngr_get_free_block_count(void);
uint32_t pmmngr_get_block_size(void); /* bytes */

/* Turns paging on with the directory in CR3, or off. Fails: QUIRE_BAD_ARGUMENT (CR3 holds no
   directory; to turn on). Turning paging off under a kernel that does not run at its physical
   address is not survived; nobody can check that for it. */
void pmmngr_paging_enable(series_bool enable);
series_bool pmmngr_is_paging(void);
/* CR3. Fails: as vmmngr_switch_pdirectory. */
void pmmngr_load_PDBR(physical_addr directory);
physical_addr pmmngr_get_PDBR(void);

/* ---- entries: vmmngr_pte, vmmngr_pde ------------------------------------------------------- */

enum PAGE_PTE_FLAGS {
    I86_PTE_PRESENT = 1,
    I86_PTE_WRITABLE = 2,
    I86_PTE_USER = 4,
    I86_PTE_WRITETHOUGH = 8,
    I86_PTE_NOT_CACHEABLE = 0x10,
    I86_PTE_ACCESSED = 0x20,
    I86_PTE_DIRTY = 0x40,
    I86_PTE_PAT = 0x80,
    I86_PTE_CPU_GLOBAL = 0x100,
    I86_PTE_LV4_GLOBAL = 0x200
};
enum PAGE_PDE_FLAGS {
    I86_PDE_PRESENT = 1,
    I86_PDE_WRITABLE = 2,
    I86_PDE_USER = 4,
    I86_PDE_PWT = 8,
    I86_PDE_PCD = 0x10,
    I86_PDE_ACCESSED = 0x20,
    I86_PDE_DIRTY = 0x40,
    I86_PDE_4MB = 0x80,
    I86_PDE_CPU_GLOBAL = 0x100,
    I86_PDE_LV4_GLOBAL = 0x200
};
/* The series' mask, 0x7FFFF000, lost what lies above 2 GiB. Macros: C's enumerators are int. */
#define I86_PTE_FRAME UINT32_C(0xFFFFF000)
#define I86_PDE_FRAME UINT32_C(0xFFFFF000)

/* These change an entry and nothing else: no flush, as nobody can know what address it is for. Null
   is ignored. _set_frame drops the low bits of its argument. _pfn is an address, as in the series.
   Any context. O(1). */
void pt_entry_add_attrib(pt_entry* entry, uint32_t attributes);
void pt_entry_del_attrib(pt_entry* entry, uint32_t attributes);
void pt_entry_set_frame(pt_entry* entry, physical_addr frame);
series_bool pt_entry_is_present(pt_entry entry);
series_bool pt_entry_is_writable(pt_entry entry);
physical_addr pt_entry_pfn(pt_entry entry);
void pd_entry_add_attrib(pd_entry* entry, uint32_t attributes);
void pd_entry_del_attrib(pd_entry* entry, uint32_t attributes);
void pd_entry_set_frame(pd_entry* entry, physical_addr frame);
series_bool pd_entry_is_present(pd_entry entry);
series_bool pd_entry_is_writable(pd_entry entry);
series_bool pd_entry_is_user(pd_entry entry);
series_bool pd_entry_is_4mb(pd_entry entry);
physical_addr pd_entry_pfn(pd_entry entry);
/* By pointer: the series passed the entry by value, so that it could do nothing. */
void pd_entry_enable_global(pd_entry* entry);

/* ---- pages: mmngr_virtual ------------------------------------------------------------------ */

#define PAGE_DIRECTORY_INDEX(x) (((uint32_t)(x) >> 22) & 0x3ff)
#define PAGE_TABLE_INDEX(x) (((uint32_t)(x) >> 12) & 0x3ff)
#define PAGE_GET_PHYSICAL_ADDRESS(x) (*(x) & I86_PTE_FRAME)

/* Makes a directory with the first 4 MiB (QUIRE_SERIES_MAP_BYTES) at identity and 4 MiB from
   physical 1 MiB at 0xC0000000, and turns paging on; with QUIRE_SERIES_RECURSIVE the directory has
   its slot. Where paging is on already: series_adopt(0), and nothing is mapped. Fails:
   QUIRE_OUT_OF_FRAMES (with QUIRE_SERIES_DIRECT, none where the map shows it), QUIRE_UNSUPPORTED
   (paging is off, and the choices want it on: a map at an offset, a window). */
void vmmngr_initialize(void);
/* Takes the active page tables over as they are: built by a boot loader, by assembly, in static
   memory. What they map stays mapped and is seen by query and walk; they are never freed, and no
   call hands their memory out. `directory` is where the kernel sees the active directory, or null
   when that does not matter (vmmngr_get_directory then finds a place for it). Every kernel whose
   paging is on calls this or vmmngr_initialize, after its pmmngr_deinit_region calls.
   Fails: QUIRE_UNSUPPORTED (paging is off), QUIRE_BAD_ARGUMENT (`directory` is not the active one),
   QUIRE_UNREACHABLE (the choices do not reach it), QUIRE_NOT_MAPPED (no window told, or no self
   slot), QUIRE_IN_USE (the slots that Quire was given are not empty), QUIRE_OUT_OF_FRAMES (a page
   to show it at). */
int series_adopt(pdirectory* directory);
/* QUIRE_SERIES_WINDOW: `count` pages at `pages`, whose entries in the page table that decides about
   them are at `entries`; at least 4, in the kernel's part. Before pmmngr_init.
   Fails: QUIRE_BAD_ARGUMENT, QUIRE_MISALIGNED, QUIRE_UNSUPPORTED (with another reach),
   QUIRE_IN_USE. */
int series_set_window(void* pages, size_t count, pt_entry* entries);

/* A block behind an entry that the kernel found: present and writable, other flags as they were.
   False: QUIRE_OUT_OF_FRAMES, QUIRE_ALREADY_MAPPED (the entry is present), QUIRE_BAD_ARGUMENT
   (null). */
series_bool vmmngr_alloc_page(pt_entry* entry);
/* Frees the block and makes the entry not present. All translations are dropped, as an entry does
   not say what address it is for. Fails: QUIRE_NOT_MAPPED, QUIRE_BAD_ARGUMENT, and as
   pmmngr_free_block: nothing changed (use series_unmap for what is not a block). */
void vmmngr_free_page(pt_entry* entry);
/* One page in the active directory, with QUIRE_SERIES_MAP_PAGE_FLAGS. Fails: as series_map. */
void vmmngr_map_page(void* phys, void* virt);
/* Any physical to any virtual address, making tables as needed: the thread's call. True: mapped. */
series_bool virMemMgr_MapPage(void* phys, void* virt);

/* Makes a directory the active one, after giving it what it lacks of the kernel's part. False:
   QUIRE_BAD_ARGUMENT (null), QUIRE_MISALIGNED, QUIRE_NOT_MAPPED (no such memory), QUIRE_FOREIGN (no
   directory: its entries lead to memory that does not exist, or it does not map the code and the
   stack in use). O(1024). */
series_bool vmmngr_switch_pdirectory(pdirectory* directory);
/* The active directory, whoever loaded it; 0 before paging is on, or when it cannot be shown. */
pdirectory* vmmngr_get_directory(void);
/* INVLPG on this very address; nothing else. */
void vmmngr_flush_tlb_entry(virtual_addr address);

/* Empty. Null is ignored. */
void vmmngr_ptable_clear(ptable* table);
void vmmngr_pdirectory_clear(pdirectory* directory);
uint32_t vmmngr_ptable_virt_to_index(virtual_addr address);
uint32_t vmmngr_pdirectory_virt_to_index(virtual_addr address);
/* The entry for an address; 0 if the table or directory is 0. */
pt_entry* vmmngr_ptable_lookup_entry(ptable* table, virtual_addr address);
pd_entry* vmmngr_pdirectory_lookup_entry(pdirectory* directory, virtual_addr address);

/* A table for the 4 MiB around `virt`, if there is none: 1. Its directory entry grants at least
   what `flags` (I86_PDE_*) do; single pages decide. 0 when out of memory (QUIRE_OUT_OF_FRAMES), and
   for what series_map refuses. */
int vmmngr_createPageTable(pdirectory* directory, uint32_t virt, uint32_t flags);
/* As series_map_in and series_unmap_in for one page. */
void vmmngr_mapPhysicalAddress(pdirectory* directory, uint32_t virt, uint32_t phys, uint32_t flags);
void vmmngr_unmapPhysicalAddress(pdirectory* directory, uint32_t virt);
/* Unmaps all 4 MiB around `virt`, and frees the table if Quire made it and it is not of the
   kernel's part. The pages' blocks stay their owners'. Fails: QUIRE_NOT_MAPPED (no table), and as
   series_unmap. */
void vmmngr_unmapPageTable(pdirectory* directory, uint32_t virt);
/* A new directory with the kernel's part in it; 0: QUIRE_OUT_OF_FRAMES, QUIRE_TOO_MANY
   (QUIRE_SERIES_DIRECTORIES), QUIRE_NO_REGION (neither vmmngr_initialize nor series_adopt yet). */
pdirectory* vmmngr_createAddressSpace(void);
/* The physical address behind a virtual one, low bits included, without flags; 0 when nothing is
   mapped (QUIRE_NOT_MAPPED; physical zero gives 0 with QUIRE_OK). */
void* vmmngr_getPhysicalAddress(pdirectory* directory, uint32_t virt);

/* ---- the siblings: by address -------------------------------------------------------------- */

/* `virt`, `phys` and `bytes` are multiples of 4096. `flags` are I86_PTE_* (present is implied; what
   is not said is not granted). Without _in, in the active directory; with it, in a given one.
   Each does all that it says or changes nothing. Errors of all of them: QUIRE_MISALIGNED,
   QUIRE_ZERO_SIZE, QUIRE_OVERFLOW (past the top of the address space), QUIRE_OUT_OF_RANGE (the
   slots by which tables are reached), QUIRE_BAD_ARGUMENT (a null directory; flags that are none),
   QUIRE_FOREIGN (not a directory), QUIRE_NOT_MAPPED (a directory that is nowhere),
   QUIRE_UNREACHABLE (a table that the choices do not reach), QUIRE_NO_REGION (before
   vmmngr_initialize or series_adopt). O(pages). */

/* Memory at an address, on whatever blocks there are; contents anything. Also QUIRE_OUT_OF_FRAMES,
   QUIRE_ALREADY_MAPPED. */
int series_alloc_pages(virtual_addr virt, size_t bytes, uint32_t flags);
int series_alloc_pages_in(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags);
/* Unmaps pages and frees their blocks, all of which must be given out. Also QUIRE_NOT_MAPPED, and
   as series_free_blocks. */
int series_free_pages(virtual_addr virt, size_t bytes);
int series_free_pages_in(pdirectory* directory, virtual_addr virt, size_t bytes);
/* Shows physical memory, or a device, at an address. Also QUIRE_ALREADY_MAPPED (with the first such
   page), QUIRE_OUT_OF_FRAMES (for tables). */
int series_map(virtual_addr virt, physical_addr phys, size_t bytes, uint32_t flags);
int series_map_in(pdirectory* directory, virtual_addr virt, physical_addr phys, size_t bytes,
                  uint32_t flags);
/* Ends a mapping; the blocks stay their owners'. Also QUIRE_NOT_MAPPED (with the first page where
   nothing is), QUIRE_OUT_OF_FRAMES (a 4 MiB page has to be made a table). */
int series_unmap(virtual_addr virt, size_t bytes);
int series_unmap_in(pdirectory* directory, virtual_addr virt, size_t bytes);
/* Gives mapped pages other flags; accessed and dirty stay. Errors: as series_unmap. */
int series_protect(virtual_addr virt, size_t bytes, uint32_t flags);
int series_protect_in(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags);

/* What an address means. */
struct series_page {
    virtual_addr virt;  /* of the page */
    physical_addr phys; /* of the page */
    uint32_t bytes;     /* 4096, or 4 MiB for a large page */
    uint32_t flags;     /* the entry's; I86_PTE_WRITABLE and _USER as both levels grant them */
};
/* Any address. QUIRE_NOT_MAPPED: nothing; *page is untouched. O(1). */
int series_query(virtual_addr virt, struct series_page* page);
int series_query_in(pdirectory* directory, virtual_addr virt, struct series_page* page);
/* Calls `visit` for each page that is mapped between the two addresses, the last included, in
   ascending order, until it returns 0. It may call anything but change the directory walked. */
int series_walk(virtual_addr first, virtual_addr last,
                int (*visit)(void* context, const struct series_page* page), void* context);
int series_walk_in(pdirectory* directory, virtual_addr first, virtual_addr last,
                   int (*visit)(void* context, const struct series_page* page), void* context);
/* The table entry for an address, where it can be read and written: the answer to "dig the entry
   out". 0: QUIRE_NOT_MAPPED (no table), QUIRE_UNREACHABLE (QUIRE_SERIES_WINDOW, and another
   directory than the active one with QUIRE_SERIES_RECURSIVE). */
pt_entry* series_entry(pdirectory* directory, virtual_addr virt);

/* Ends an address space: frees the tables that Quire made outside the kernel's part, and the
   directory; blocks that its pages map stay their owners'. No other CPU may be using it. Errors:
   QUIRE_IN_USE (it is active),
   QUIRE_FOREIGN (vmmngr_createAddressSpace did not make it), QUIRE_BAD_ARGUMENT (null). */
int series_free_address_space(pdirectory* directory);
/* Called after pages of a directory were taken away or given fewer rights, and before their blocks
   or tables are freed, so that a kernel with several CPUs can have the others drop `pages` pages
   from `first` on. The local TLB is done already. Must not call back. Null: one CPU. */
void series_set_flush(void (*flush)(virtual_addr first, size_t pages));

/* ---- the heap ------------------------------------------------------------------------------ */

/* A heap that grows by itself: `size` bytes from `start` on are mapped at once and stay; it grows
   up to `maximum` bytes page by page and gives back what it no longer needs. `start` and the two
   sizes are multiples of 4096; the part must be empty and is best in the kernel's part. Of it, a
   byte for each page up to `maximum` is bookkeeping, inside the first pages. Errors: QUIRE_IN_USE
   (there is a heap), and as series_alloc_pages; QUIRE_BAD_ARGUMENT (size > maximum, maximum less
   than 128 KiB). */
int kheap_create(virtual_addr start, size_t size, size_t maximum);
/* The thread's way: over memory that is mapped already, as by pmmngr_alloc_blocks and a loop of
   vmmngr_map_page. Never grows. Errors: QUIRE_IN_USE, QUIRE_MISALIGNED, QUIRE_BAD_ARGUMENT. */
int kheap_create_region(void* start, size_t bytes);
/* Ends the heap; what it mapped by itself is unmapped and freed. Blocks still live are lost. */
void kheap_destroy(void);

/* 0 when memory is out (QUIRE_OUT_OF_MEMORY) or there is no heap (QUIRE_BAD_ARGUMENT). Aligned to 8
   bytes at least, kmalloc_aligned to a power of two. */
void* kmalloc(size_t bytes);
void* kmalloc_aligned(size_t bytes, size_t alignment);
void* kcalloc(size_t count, size_t bytes);
/* On failure the block is as it was. */
void* krealloc(void* block, size_t bytes);
/* Null is ignored. Fails, nothing changed: QUIRE_ALREADY_FREE, QUIRE_FOREIGN, QUIRE_MISALIGNED
   (inside a block), QUIRE_CORRUPTED (the bytes behind the block were overwritten). */
void kfree(void* block);

/* Checks all books. QUIRE_CORRUPTED, with where. O(memory). */
int series_validate(void);

#ifdef __cplusplus
}
#endif

#endif
