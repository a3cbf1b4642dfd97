/* SPDX-License-Identifier: MIT */
/*
 * The tutorial series' interface as a kernel uses it: each name with its type, each constant with
 * its value. tests/checks/series.py compiles it as C and as C++; the object uses every function.
 */
#include "quire/series.h"

#ifdef __cplusplus
#define IS(what) static_assert(what, #what)
#define LINKAGE extern "C"
#else
#define IS(what) _Static_assert(what, #what)
#define LINKAGE extern
#endif

IS(I86_PTE_PRESENT == 1 && I86_PTE_WRITABLE == 2 && I86_PTE_USER == 4);
IS(I86_PTE_WRITETHOUGH == 8 && I86_PTE_NOT_CACHEABLE == 0x10 && I86_PTE_ACCESSED == 0x20);
IS(I86_PTE_DIRTY == 0x40 && I86_PTE_PAT == 0x80 && I86_PTE_CPU_GLOBAL == 0x100);
IS(I86_PTE_LV4_GLOBAL == 0x200 && I86_PTE_FRAME == 0xFFFFF000);
IS(I86_PDE_PRESENT == 1 && I86_PDE_WRITABLE == 2 && I86_PDE_USER == 4 && I86_PDE_PWT == 8);
IS(I86_PDE_PCD == 0x10 && I86_PDE_ACCESSED == 0x20 && I86_PDE_DIRTY == 0x40);
IS(I86_PDE_4MB == 0x80 && I86_PDE_CPU_GLOBAL == 0x100 && I86_PDE_LV4_GLOBAL == 0x200);
IS(I86_PDE_FRAME == 0xFFFFF000);
IS(PAGES_PER_TABLE == 1024 && PAGES_PER_DIR == 1024);
IS(PAGE_DIRECTORY_INDEX(0xC0105000) == 768 && PAGE_TABLE_INDEX(0xC0105000) == 0x105);
IS(sizeof(physical_addr) == 4 && sizeof(virtual_addr) == 4);
IS(sizeof(pt_entry) == 4 && sizeof(pd_entry) == 4);
IS(sizeof(struct ptable) == 4096 && sizeof(struct pdirectory) == 4096);

/* A table of functions of each type: what does not agree does not compile. */
struct series_api {
    void (*init)(size_t, physical_addr);
    void (*region[2])(physical_addr, size_t);
    void* (*alloc_block)(void);
    void (*free_block)(void*);
    void* (*alloc_blocks)(size_t);
    void (*free_blocks)(void*, size_t);
    size_t (*memory_size)(void);
    uint32_t (*counts[4])(void);
    void (*paging_enable)(series_bool);
    series_bool (*is_paging)(void);
    void (*load_pdbr)(physical_addr);
    physical_addr (*get_pdbr)(void);
    void (*attribute[4])(uint32_t*, uint32_t);
    void (*set_frame[2])(uint32_t*, physical_addr);
    series_bool (*is[6])(uint32_t);
    physical_addr (*pfn[2])(uint32_t);
    void (*enable_global)(pd_entry*);
    void (*initialize)(void);
    series_bool (*alloc_page)(pt_entry*);
    void (*free_page)(pt_entry*);
    void (*map_page)(void*, void*);
    series_bool (*thread_map_page)(void*, void*);
    series_bool (*switch_pdirectory)(struct pdirectory*);
    struct pdirectory* (*directory[2])(void);
    void (*flush_tlb_entry)(virtual_addr);
    void (*ptable_clear)(struct ptable*);
    void (*pdirectory_clear)(struct pdirectory*);
    uint32_t (*index[2])(virtual_addr);
    pt_entry* (*ptable_lookup)(struct ptable*, virtual_addr);
    pd_entry* (*pdirectory_lookup)(struct pdirectory*, virtual_addr);
    int (*create_table)(struct pdirectory*, uint32_t, uint32_t);
    void (*map_physical)(struct pdirectory*, uint32_t, uint32_t, uint32_t);
    void (*unmap[2])(struct pdirectory*, uint32_t);
    void* (*physical)(struct pdirectory*, uint32_t);
    void* (*malloc[2])(size_t);
    void* (*malloc2[2])(size_t, size_t);
    void* (*realloc)(void*, size_t);
    void (*kfree)(void*);
    int (*error)(void);
};

LINKAGE const struct series_api series_calls;
LINKAGE int use_the_siblings(struct pdirectory* directory, struct series_page* page);

const struct series_api series_calls = {
    pmmngr_init,
    {pmmngr_init_region, pmmngr_deinit_region},
    pmmngr_alloc_block,
    pmmngr_free_block,
    pmmngr_alloc_blocks,
    pmmngr_free_blocks,
    pmmngr_get_memory_size,
    {pmmngr_get_block_count, pmmngr_get_use_block_count, pmmngr_get_free_block_count,
     pmmngr_get_block_size},
    pmmngr_paging_enable,
    pmmngr_is_paging,
    pmmngr_load_PDBR,
    pmmngr_get_PDBR,
    {pt_entry_add_attrib, pt_entry_del_attrib, pd_entry_add_attrib, pd_entry_del_attrib},
    {pt_entry_set_frame, pd_entry_set_frame},
    {pt_entry_is_present, pt_entry_is_writable, pd_entry_is_present, pd_entry_is_writable,
     pd_entry_is_user, pd_entry_is_4mb},
    {pt_entry_pfn, pd_entry_pfn},
    pd_entry_enable_global,
    vmmngr_initialize,
    vmmngr_alloc_page,
    vmmngr_free_page,
    vmmngr_map_page,
    virMemMgr_MapPage,
    vmmngr_switch_pdirectory,
    {vmmngr_get_directory, vmmngr_createAddressSpace},
    vmmngr_flush_tlb_entry,
    vmmngr_ptable_clear,
    vmmngr_pdirectory_clear,
    {vmmngr_ptable_virt_to_index, vmmngr_pdirectory_virt_to_index},
    vmmngr_ptable_lookup_entry,
    vmmngr_pdirectory_lookup_entry,
    vmmngr_createPageTable,
    vmmngr_mapPhysicalAddress,
    {vmmngr_unmapPageTable, vmmngr_unmapPhysicalAddress},
    vmmngr_getPhysicalAddress,
    {kmalloc, kmalloc},
    {kmalloc_aligned, kcalloc},
    krealloc,
    kfree,
    series_last_error,
};

/* Variants of descendants, as docs/from-the-series.md has them. */
static inline series_bool vmmngr_map_page_flags(void* phys, void* virt, uint32_t flags) {
    return series_map((virtual_addr)(uintptr_t)virt, (physical_addr)(uintptr_t)phys, 4096, flags) ==
           QUIRE_OK;
}
static inline series_bool vmmngr_map_page_in(struct pdirectory* directory, void* phys, void* virt) {
    return series_map_in(directory, (virtual_addr)(uintptr_t)virt, (physical_addr)(uintptr_t)phys,
                         4096, I86_PTE_WRITABLE) == QUIRE_OK;
}
static inline void vmmngr_MapPage(void* phys, void* virt) {
    vmmngr_map_page(phys, virt);
}
enum vmm_result { VMM_OK, VMM_FAILED };
static inline enum vmm_result vmmngr_alloc_page_result(pt_entry* entry) {
    return vmmngr_alloc_page(entry) ? VMM_OK : VMM_FAILED;
}

static int visit(void* context, const struct series_page* page) {
    return context != NULL && page->phys != 0;
}

int use_the_siblings(struct pdirectory* directory, struct series_page* page) {
    const virtual_addr at = 0x40000000;
    physical_addr block = 0;
    int sum = series_init_region(0, 1) + series_deinit_region(0, 1) + series_keep_region(0, 1);
    series_set_log(NULL);
    series_set_flush(NULL);
    sum += series_init(1024, page, series_init_bytes(1024)) + series_adopt(directory);
    sum += series_set_window(page, 8, &directory->m_entries[0]);
    sum += series_alloc_blocks(1, &block) + series_free_blocks(block, 1);
    sum += series_alloc_pages(at, 4096, I86_PTE_WRITABLE | I86_PTE_USER);
    sum += series_alloc_pages_in(directory, at, 4096, 0) + series_free_pages(at, 4096);
    sum += series_free_pages_in(directory, at, 4096) + series_map(at, block, 4096, 0);
    sum += series_map_in(directory, at, block, 4096, 0) + series_unmap(at, 4096);
    sum += series_unmap_in(directory, at, 4096) + series_protect(at, 4096, 0);
    sum += series_protect_in(directory, at, 4096, 0) + series_query(at, page);
    sum += series_query_in(directory, at, page) + series_walk(at, at, visit, page);
    sum += series_walk_in(directory, at, at, visit, page) + series_free_address_space(directory);
    sum += series_entry(directory, at) != NULL;
    sum += kheap_create(at, 4096, 4096) + kheap_create_region(page, 4096) + series_validate();
    kheap_destroy();
    vmmngr_MapPage(page, page);
    sum += vmmngr_map_page_flags(page, page, 0) + vmmngr_map_page_in(directory, page, page);
    sum += vmmngr_alloc_page_result(&directory->m_entries[1]) == VMM_OK;
    return sum + (int)series_last_error_where() + series_error_text(sum)[0] +
           (int)PAGE_GET_PHYSICAL_ADDRESS(&directory->m_entries[0]);
}
