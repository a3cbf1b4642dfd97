// SPDX-License-Identifier: MIT
// The series' conventions over Memory and the heap: what old calls return, what the last error was,
// and the line that a debug build logs. Each function is the call of its name in quire/series.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "heap.hpp"
#include "memory.hpp"
#include "outcome.hpp"

namespace quire::series {

template <class Choices>
class Face {
  public:
    using Cpu = typename Choices::Cpu;
    using Visit = int (*)(void* context, const series_page* page);

    constexpr explicit Face(Cpu cpu = Cpu()) : memory_(cpu), heap_(memory_) {}

    Outcome& outcome() { return outcome_; }

    // ---- frames

    int init(uint64_t memory_kib, Span<unsigned char> room) {
        return note("pmmngr_init", memory_.start(memory_kib, room));
    }
    int init_region(uint64_t base, uint64_t bytes) {
        return note("pmmngr_init_region", memory_.make_free(base, bytes));
    }
    int deinit_region(uint64_t base, uint64_t bytes) {
        return note("pmmngr_deinit_region", memory_.make_used(base, bytes));
    }
    int keep_region(uint64_t base, uint64_t bytes) {
        return note("series_keep_region", memory_.keep(base, bytes));
    }
    void* alloc_blocks(size_t count) {
        const Result<uint32_t> block = memory_.allocate(count);
        return note("pmmngr_alloc_block", block) ? block_pointer(*block) : nullptr;
    }
    int alloc_blocks(size_t count, physical_addr* block) {
        if (block == nullptr) return note("series_alloc_blocks", null_pointer);
        const Result<uint32_t> allocated = memory_.allocate(count);
        if (note("series_alloc_blocks", allocated)) *block = *allocated;
        return outcome_.last_error();
    }
    int free_blocks(physical_addr block, size_t count) {
        return note("pmmngr_free_block", memory_.free(block, count));
    }
    size_t memory_size() const { return static_cast<size_t>(memory_.memory_kib()); }
    uint32_t block_count() const { return static_cast<uint32_t>(memory_.block_count()); }
    uint32_t free_block_count() const { return static_cast<uint32_t>(memory_.free_count()); }
    uint32_t use_block_count() const { return block_count() - free_block_count(); }
    void paging_enable(bool enable) { note("pmmngr_paging_enable", memory_.enable_paging(enable)); }
    bool is_paging() const { return memory_.cpu().is_paging(); }
    void load_PDBR(physical_addr directory) {
        note("pmmngr_load_PDBR", memory_.load_root(directory));
    }
    physical_addr get_PDBR() const { return entry_of_frame(memory_.cpu().root()); }

    // ---- pages

    void initialize() { note("vmmngr_initialize", memory_.initialize()); }
    int adopt(pdirectory* directory) { return note("series_adopt", memory_.adopt(directory)); }
    int set_window(void* pages, size_t count, pt_entry* entries) {
        return note("series_set_window", memory_.set_window(pages, count, entries));
    }
    bool alloc_page(pt_entry* entry) {
        return note("vmmngr_alloc_page", memory_.allocate_page(entry)) == QUIRE_OK;
    }
    void free_page(pt_entry* entry) { note("vmmngr_free_page", memory_.free_page(entry)); }
    bool map_page(void* phys, void* virt) {
        return map("vmmngr_map_page", active(), number_of(virt), number_of(phys), page_size,
                   Choices::map_page_flags) == QUIRE_OK;
    }
    void mapPhysicalAddress(pdirectory* directory, uint32_t virt, uint32_t phys, uint32_t flags) {
        map("vmmngr_mapPhysicalAddress", directory, virt, phys, page_size, flags);
    }
    void unmapPhysicalAddress(pdirectory* directory, uint32_t virt) {
        note("vmmngr_unmapPhysicalAddress", memory_.change(directory, virt, page_size, Change()));
    }
    bool switch_pdirectory(pdirectory* directory) {
        return note("vmmngr_switch_pdirectory", memory_.switch_to(directory)) == QUIRE_OK;
    }
    pdirectory* get_directory() {
        const Result<pdirectory*> directory = memory_.active_directory();
        return note("vmmngr_get_directory", directory) ? *directory : nullptr;
    }
    void drop_tlb_entry(virtual_addr address) {
        memory_.cpu().flush_page(VirtualAddress(address));
        note("vmmngr_flush_tlb_entry", Status());
    }
    int createPageTable(pdirectory* directory, uint32_t virt, uint32_t flags) {
        const Status made = memory_.make_table(directory, virt, flags);
        return note("vmmngr_createPageTable", made) == QUIRE_OK ? 1 : 0;
    }
    void unmapPageTable(pdirectory* directory, uint32_t virt) {
        note("vmmngr_unmapPageTable", memory_.unmap_table(directory, virt));
    }
    pdirectory* createAddressSpace() {
        const Result<pdirectory*> directory = memory_.create_directory();
        return note("vmmngr_createAddressSpace", directory) ? *directory : nullptr;
    }
    void* getPhysicalAddress(pdirectory* directory, uint32_t virt) {
        const Result<series_page> page = memory_.query(directory, virt);
        if (!note("vmmngr_getPhysicalAddress", page)) return nullptr;
        return block_pointer(page->phys + (virt - page->virt));
    }

    // ---- siblings

    pdirectory* active() const { return memory_.active(); }
    int alloc_pages(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags) {
        const Backing blocks{true, Frame()};
        return note("series_alloc_pages", memory_.map(directory, virt, blocks, bytes, flags));
    }
    int free_pages(pdirectory* directory, virtual_addr virt, size_t bytes) {
        const Change change{Deed::free, 0, false};
        return note("series_free_pages", memory_.change(directory, virt, bytes, change));
    }
    int map(pdirectory* directory, virtual_addr virt, physical_addr phys, size_t bytes,
            uint32_t flags) {
        return map("series_map", directory, virt, phys, bytes, flags);
    }
    int unmap(pdirectory* directory, virtual_addr virt, size_t bytes) {
        return note("series_unmap", memory_.change(directory, virt, bytes, Change()));
    }
    int protect(pdirectory* directory, virtual_addr virt, size_t bytes, uint32_t flags) {
        const Change change{Deed::protect, flags, false};
        return note("series_protect", memory_.change(directory, virt, bytes, change));
    }
    int query(pdirectory* directory, virtual_addr virt, series_page* page) {
        if (page == nullptr) return note("series_query", null_pointer);
        const Result<series_page> found = memory_.query(directory, virt);
        if (note("series_query", found)) *page = *found;
        return outcome_.last_error();
    }
    // Takes the lock for each page, so that the visitor may call what it likes.
    int walk(pdirectory* directory, virtual_addr first, virtual_addr last, Visit visit,
             void* context) {
        if (visit == nullptr) return note("series_walk", null_pointer);
        for (virtual_addr at = first;;) {
            const Result<series_page> page = memory_.next(directory, at, last);
            if (!page.ok() || page->bytes == 0) return note_last("series_walk", page);
            const virtual_addr end = page->virt + (page->bytes - 1);
            if (visit(context, &*page) == 0 || end >= last) return note("series_walk", Status());
            at = end + 1;
        }
    }
    pt_entry* entry(pdirectory* directory, virtual_addr virt) {
        const Result<pt_entry*> found = memory_.entry(directory, virt);
        return note("series_entry", found) ? *found : nullptr;
    }
    int free_address_space(pdirectory* directory) {
        return note("series_free_address_space", memory_.destroy_directory(directory));
    }
    void set_flush(void (*flush)(virtual_addr, size_t)) { memory_.set_flush(flush); }
    int validate() { return note("series_validate", memory_.validate()); }

    // ---- heap

    int heap_create(virtual_addr start, size_t bytes, size_t maximum) {
        return note("kheap_create", heap_.create(start, bytes, maximum));
    }
    int heap_create_region(void* start, size_t bytes) {
        return note("kheap_create_region", heap_.create_region(start, bytes));
    }
    void heap_destroy() {
        heap_.destroy();
        note("kheap_destroy", Status());
    }
    void* allocate(size_t bytes) { return block("kmalloc", heap_.heap().allocate(bytes)); }
    void* allocate_aligned(size_t bytes, size_t alignment) {
        return block("kmalloc_aligned", heap_.heap().allocate_aligned(bytes, alignment));
    }
    void* allocate_zeroed(size_t count, size_t bytes) {
        size_t total = 0;
        if (__builtin_mul_overflow(count, bytes, &total)) {
            note("kcalloc", Failure{Error::overflow, bytes});
            return nullptr;
        }
        return block("kcalloc", heap_.heap().allocate_zeroed(total));
    }
    void* reallocate(void* old, size_t bytes) {
        return block("krealloc", heap_.heap().reallocate(old, bytes));
    }
    void free(void* old) { note("kfree", heap_.heap().try_free(old)); }

  private:
    int map(const char* call, pdirectory* directory, virtual_addr virt, physical_addr phys,
            size_t bytes, uint32_t flags) {
        if (phys % page_size != 0) return note(call, Failure{Error::misaligned, phys});
        const Backing frames{false, frame_of(PhysicalAddress(phys))};
        return note(call, memory_.map(directory, virt, frames, bytes, flags));
    }
    static constexpr Failure null_pointer{Error::bad_argument, 0};

    static void* block_pointer(uint32_t block) { return reinterpret_cast<void*>(uintptr_t{block}); }
    int note(const char* call, const Status& status) {
        return outcome_.note(call, status, Choices::logs);
    }
    template <class T>
    bool note(const char* call, const Result<T>& result) {
        return note(call, result.ok() ? Status() : Status(result.failure())) == QUIRE_OK;
    }
    template <class T>
    int note_last(const char* call, const Result<T>& result) {
        note(call, result);
        return outcome_.last_error();
    }
    void* block(const char* call, const Result<void*>& result) {
        return note(call, result) ? *result : nullptr;
    }

    Outcome outcome_;
    Memory<Choices> memory_;
    KernelHeap<Choices> heap_;
};

}  // namespace quire::series
