// SPDX-License-Identifier: MIT
// The series' functions that know nothing but an entry, a table or an address.
#include "quire/series.h"

#include "outcome.hpp"

extern "C" {

const char* series_error_text(int error) {
    if (error == QUIRE_OK) return "no error";
    if (error < 0 || error > QUIRE_CORRUPTED) return "unknown error";
    return quire::to_string(static_cast<quire::Error>(error - 1));
}

void pt_entry_add_attrib(pt_entry* entry, uint32_t attributes) {
    if (entry != nullptr) *entry |= attributes;
}
void pt_entry_del_attrib(pt_entry* entry, uint32_t attributes) {
    if (entry != nullptr) *entry &= ~attributes;
}
void pt_entry_set_frame(pt_entry* entry, physical_addr frame) {
    if (entry != nullptr) *entry = (*entry & ~I86_PTE_FRAME) | (frame & I86_PTE_FRAME);
}
series_bool pt_entry_is_present(pt_entry entry) {
    return (entry & I86_PTE_PRESENT) != 0;
}
series_bool pt_entry_is_writable(pt_entry entry) {
    return (entry & I86_PTE_WRITABLE) != 0;
}
physical_addr pt_entry_pfn(pt_entry entry) {
    return entry & I86_PTE_FRAME;
}

void pd_entry_add_attrib(pd_entry* entry, uint32_t attributes) {
    pt_entry_add_attrib(entry, attributes);
}
void pd_entry_del_attrib(pd_entry* entry, uint32_t attributes) {
    pt_entry_del_attrib(entry, attributes);
}
void pd_entry_set_frame(pd_entry* entry, physical_addr frame) {
    pt_entry_set_frame(entry, frame);
}
series_bool pd_entry_is_present(pd_entry entry) {
    return (entry & I86_PDE_PRESENT) != 0;
}
series_bool pd_entry_is_writable(pd_entry entry) {
    return (entry & I86_PDE_WRITABLE) != 0;
}
series_bool pd_entry_is_user(pd_entry entry) {
    return (entry & I86_PDE_USER) != 0;
}
series_bool pd_entry_is_4mb(pd_entry entry) {
    return (entry & I86_PDE_4MB) != 0;
}
physical_addr pd_entry_pfn(pd_entry entry) {
    return entry & I86_PDE_FRAME;
}
void pd_entry_enable_global(pd_entry* entry) {
    pt_entry_add_attrib(entry, I86_PDE_CPU_GLOBAL);
}

void vmmngr_ptable_clear(ptable* table) {
    if (table != nullptr) __builtin_memset(table, 0, sizeof *table);
}
void vmmngr_pdirectory_clear(pdirectory* directory) {
    if (directory != nullptr) __builtin_memset(directory, 0, sizeof *directory);
}
uint32_t vmmngr_ptable_virt_to_index(virtual_addr address) {
    return PAGE_TABLE_INDEX(address);
}
uint32_t vmmngr_pdirectory_virt_to_index(virtual_addr address) {
    return PAGE_DIRECTORY_INDEX(address);
}
pt_entry* vmmngr_ptable_lookup_entry(ptable* table, virtual_addr address) {
    return table != nullptr ? &table->m_entries[PAGE_TABLE_INDEX(address)] : nullptr;
}
pd_entry* vmmngr_pdirectory_lookup_entry(pdirectory* directory, virtual_addr address) {
    return directory != nullptr ? &directory->m_entries[PAGE_DIRECTORY_INDEX(address)] : nullptr;
}

}  // extern "C"
