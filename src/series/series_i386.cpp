// SPDX-License-Identifier: MIT
// quire/series.h on the machine itself: its one set of globals, and its calls.
#if defined(__i386__)

#include "quire/series.h"

#include "cpu_i386.hpp"
#include "face.hpp"

namespace quire::series {

namespace {

struct Choices : ChoicesOfConfig {
    using Cpu = CpuI386;
};

constinit Face<Choices> face;

#if QUIRE_SERIES_BITMAP_BYTES == 0
alignas(Blocks::room_alignment) constinit unsigned char static_room[Blocks::room_bytes(
    QUIRE_SERIES_MEMORY_KIB)];
Span<unsigned char> room_for(physical_addr) {
    return static_room;
}
#else
Span<unsigned char> room_for(physical_addr bitmap) {
    return {reinterpret_cast<unsigned char*>(bitmap), QUIRE_SERIES_BITMAP_BYTES};
}
#endif

}  // namespace

}  // namespace quire::series

using quire::series::face;

extern "C" {

int series_last_error() {
    return face.outcome().last_error();
}
uint64_t series_last_error_where() {
    return face.outcome().where();
}
void series_set_log(void (*log)(int severity, const char* text)) {
    face.outcome().set_log(log);
}

void pmmngr_init(size_t memory_kib, physical_addr bitmap) {
    face.init(memory_kib, quire::series::room_for(bitmap));
}
size_t series_init_bytes(size_t memory_kib) {
    return quire::series::Blocks::room_bytes(memory_kib);
}
int series_init(size_t memory_kib, void* room, size_t bytes) {
    return face.init(memory_kib, {static_cast<unsigned char*>(room), bytes});
}
void pmmngr_init_region(physical_addr base, size_t bytes) {
    face.init_region(base, bytes);
}
void pmmngr_deinit_region(physical_addr base, size_t bytes) {
    face.deinit_region(base, bytes);
}
int series_init_region(uint64_t base, uint64_t bytes) {
    return face.init_region(base, bytes);
}
int series_deinit_region(uint64_t base, uint64_t bytes) {
    return face.deinit_region(base, bytes);
}
int series_keep_region(uint64_t base, uint64_t bytes) {
    return face.keep_region(base, bytes);
}
void* pmmngr_alloc_block() {
    return face.alloc_blocks(1);
}
void* pmmngr_alloc_blocks(size_t count) {
    return face.alloc_blocks(count);
}
void pmmngr_free_block(void* block) {
    face.free_blocks(quire::series::number_of(block), 1);
}
void pmmngr_free_blocks(void* block, size_t count) {
    face.free_blocks(quire::series::number_of(block), count);
}
int series_alloc_blocks(size_t count, physical_addr* block) {
    return face.alloc_blocks(count, block);
}
int series_free_blocks(physical_addr block, size_t count) {
    return face.free_blocks(block, count);
}
size_t pmmngr_get_memory_size() {
    return face.memory_size();
}
uint32_t pmmngr_get_block_count() {
    return face.block_count();
}
uint32_t pmmngr_get_use_block_count() {
    return face.use_block_count();
}
uint32_t pmmngr_get_free_block_count() {
    return face.free_block_count();
}
uint32_t pmmngr_get_block_size() {
    return quire::page_size;
}
void pmmngr_paging_enable(series_bool enable) {
    face.paging_enable(enable);
}
series_bool pmmngr_is_paging() {
    return face.is_paging();
}
void pmmngr_load_PDBR(physical_addr directory) {
    face.load_PDBR(directory);
}
physical_addr pmmngr_get_PDBR() {
    return face.get_PDBR();
}

void vmmngr_initialize() {
    face.initialize();
}
int series_adopt(pdirectory* directory) {
    return face.adopt(directory);
}
int series_set_window(void* pages, size_t count, pt_entry* entries) {
    return face.set_window(pages, count, entries);
}
series_bool vmmngr_alloc_page(pt_entry* entry) {
    return face.alloc_page(entry);
}
void vmmngr_free_page(pt_entry* entry) {
    face.free_page(entry);
}
void vmmngr_map_page(void* phys, void* virt) {
    face.map_page(phys, virt);
}
series_bool virMemMgr_MapPage(void* phys, void* virt) {
    return face.map_page(phys, virt);
}
series_bool vmmngr_switch_pdirectory(pdirectory* directory) {
    return face.switch_pdirectory(directory);
}
pdirectory* vmmngr_get_directory() {
    return face.get_directory();
}
void vmmngr_flush_tlb_entry(virtual_addr address) {
    face.drop_tlb_entry(address);
}
int vmmngr_createPageTable(pdirectory* directory, uint32_t virt, uint32_t flags) {
    return face.createPageTable(directory, virt, flags);
}
void vmmngr_mapPhysicalAddress(pdirectory* directory, uint32_t virt, uint32_t phys,
                               uint32_t flags) {
    face.mapPhysicalAddress(directory, virt, phys, flags);
}
void vmmngr_unmapPhysicalAddress(pdirectory* directory, uint32_t virt) {
    face.unmapPhysicalAddress(directory, virt);
}
void vmmngr_unmapPageTable(pdirectory* directory, uint32_t virt) {
    face.unmapPageTable(directory, virt);
}
pdirectory* vmmngr_createAddressSpace() {
    return face.createAddressSpace();
}
void* vmmngr_getPhysicalAddress(pdirectory* directory, uint32_t virt) {
    return face.getPhysicalAddress(directory, virt);
}

int series_alloc_pages(virtual_addr virt, size_t bytes, uint32_t flags) {
    return face.alloc_pages(face.active(), virt, bytes, flags);
}
int series_alloc_pages_in(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags) {
    return face.alloc_pages(directory, virt, bytes, flags);
}
int series_free_pages(virtual_addr virt, size_t bytes) {
    return face.free_pages(face.active(), virt, bytes);
}
int series_free_pages_in(pdirectory* directory, virtual_addr virt, size_t bytes) {
    return face.free_pages(directory, virt, bytes);
}
int series_map(virtual_addr virt, physical_addr phys, size_t bytes, uint32_t flags) {
    return face.map(face.active(), virt, phys, bytes, flags);
}
int series_map_in(pdirectory* directory, virtual_addr virt, physical_addr phys, size_t bytes,
                  uint32_t flags) {
    return face.map(directory, virt, phys, bytes, flags);
}
int series_unmap(virtual_addr virt, size_t bytes) {
    return face.unmap(face.active(), virt, bytes);
}
int series_unmap_in(pdirectory* directory, virtual_addr virt, size_t bytes) {
    return face.unmap(directory, virt, bytes);
}
int series_protect(virtual_addr virt, size_t bytes, uint32_t flags) {
    return face.protect(face.active(), virt, bytes, flags);
}
int series_protect_in(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags) {
    return face.protect(directory, virt, bytes, flags);
}
int series_query(virtual_addr virt, struct series_page* page) {
    return face.query(face.active(), virt, page);
}
int series_query_in(pdirectory* directory, virtual_addr virt, struct series_page* page) {
    return face.query(directory, virt, page);
}
int series_walk(virtual_addr first, virtual_addr last,
                int (*visit)(void* context, const struct series_page* page), void* context) {
    return face.walk(face.active(), first, last, visit, context);
}
int series_walk_in(pdirectory* directory, virtual_addr first, virtual_addr last,
                   int (*visit)(void* context, const struct series_page* page), void* context) {
    return face.walk(directory, first, last, visit, context);
}
pt_entry* series_entry(pdirectory* directory, virtual_addr virt) {
    return face.entry(directory, virt);
}
int series_free_address_space(pdirectory* directory) {
    return face.free_address_space(directory);
}
void series_set_flush(void (*flush)(virtual_addr first, size_t pages)) {
    face.set_flush(flush);
}

int kheap_create(virtual_addr start, size_t size, size_t maximum) {
    return face.heap_create(start, size, maximum);
}
int kheap_create_region(void* start, size_t bytes) {
    return face.heap_create_region(start, bytes);
}
void kheap_destroy() {
    face.heap_destroy();
}
void* kmalloc(size_t bytes) {
    return face.allocate(bytes);
}
void* kmalloc_aligned(size_t bytes, size_t alignment) {
    return face.allocate_aligned(bytes, alignment);
}
void* kcalloc(size_t count, size_t bytes) {
    return face.allocate_zeroed(count, bytes);
}
void* krealloc(void* block, size_t bytes) {
    return face.reallocate(block, bytes);
}
void kfree(void* block) {
    face.free(block);
}
int series_validate() {
    return face.validate();
}

}  // extern "C"

#endif
