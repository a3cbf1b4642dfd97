// SPDX-License-Identifier: MIT
#include "quire/heap/metadata_store.hpp"

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

void MetadataStore::start(unsigned char* base, size_t bytes, uint16_t* counts) {
    base_ = base;
    bytes_ = bytes;
    counts_ = counts;
    reached_ = holes_ = first_hole_ = pieces_ = 0;
    for (Piece*& head : free_)
        head = nullptr;
}

void MetadataStore::push(unsigned char* piece, unsigned shift) {
    Piece*& head = free_[shift - smallest_shift];
    head = construct_at(reinterpret_cast<Piece*>(piece), Piece{head});
}

unsigned char* MetadataStore::pop(unsigned shift) {
    Piece*& head = free_[shift - smallest_shift];
    Piece* piece = head;
    if (piece != nullptr) head = piece->next;
    return reinterpret_cast<unsigned char*>(piece);
}

bool MetadataStore::has_room(unsigned shift) const {
    if (holes_ != 0 || reached_ != bytes_ >> page_shift) return true;
    for (unsigned from = shift; from <= page_shift; ++from)
        if (free_[from - smallest_shift] != nullptr) return true;
    return false;
}

// The first of those that were given back, or else the next. There must be one.
unsigned char* MetadataStore::page_without_memory() {
    if (holes_ == 0) return base_ + (reached_ << page_shift);
    while (counts_[first_hole_] != hole)
        ++first_hole_;
    return base_ + (first_hole_ << page_shift);
}

// It has memory now.
void MetadataStore::enter_page(const unsigned char* start) {
    const size_t page = page_of(start);
    page == reached_ ? ++reached_ : --holes_;
    counts_[page] = 0;
}

unsigned char* MetadataStore::allocate(PageAccount& pages, unsigned shift) {
    unsigned from = shift;
    unsigned char* piece = nullptr;
    for (; from <= page_shift; ++from) {
        piece = pop(from);
        if (piece != nullptr) break;
    }
    if (piece == nullptr) {
        piece = page_without_memory();
        if (!pages.commit(piece, page_size)) return nullptr;
        enter_page(piece);
        from = page_shift;
    }
    // The upper half of what is too large stays free, at each halving.
    while (from > shift) {
        --from;
        push(piece + (size_t{1} << from), from);
    }
    ++pieces_;
    ++counts_[page_of(piece)];
    return piece;
}

void MetadataStore::free(unsigned char* piece, unsigned shift) {
    push(piece, shift);
    --pieces_;
    --counts_[page_of(piece)];
}

// Pieces of pages in which none is in use leave their lists.
void MetadataStore::drop_unused_pieces() {
    for (Piece*& head : free_) {
        for (Piece** at = &head; *at != nullptr;) {
            Piece& piece = **at;
            if (counts_[page_of(&piece)] == 0) {
                *at = piece.next;
            } else {
                at = &piece.next;
            }
        }
    }
}

// What the source refuses is a free piece again, a page long.
void MetadataStore::give_back_unused_pages(PageAccount& pages) {
    for (size_t page = 0; page < reached_; ++page) {
        const size_t from = page;
        while (page < reached_ && counts_[page] == 0)
            ++page;
        if (page == from) continue;
        const size_t bytes = (page - from) << page_shift;
        unsigned char* const start = base_ + (from << page_shift);
        const bool gone = pages.decommit(start, bytes, bytes);
        if (gone) holes_ += page - from;
        for (size_t i = from; i < page; ++i) {
            if (gone) {
                counts_[i] = hole;
            } else {
                push(base_ + (i << page_shift), page_shift);
            }
        }
    }
}

void MetadataStore::trim(PageAccount& pages) {
    drop_unused_pieces();
    give_back_unused_pages(pages);
    for (; reached_ != 0 && counts_[reached_ - 1] == hole; --holes_)
        --reached_;
    first_hole_ = 0;
}

bool MetadataStore::contains(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at - reinterpret_cast<uintptr_t>(base_) < bytes_;
}

bool MetadataStore::has_memory(const void* address) const {
    if (!contains(address)) return false;
    const size_t page = page_of(address);
    return page < reached_ && counts_[page] != hole;
}

bool MetadataStore::consistent() const {
    size_t free_bytes = 0;
    for (unsigned shift = smallest_shift; shift <= page_shift; ++shift) {
        for (const Piece* piece = free_[shift - smallest_shift]; piece != nullptr;
             piece = piece->next) {
            const uintptr_t offset =
                reinterpret_cast<uintptr_t>(piece) - reinterpret_cast<uintptr_t>(base_);
            free_bytes += size_t{1} << shift;
            // The sum also ends the loop when the list has become a ring.
            if (!has_memory(piece) || (offset & ((size_t{1} << shift) - 1)) != 0) return false;
            if (free_bytes > committed_bytes()) return false;
        }
    }
    size_t holes = 0;
    size_t in_use = 0;
    for (size_t page = 0; page < reached_; ++page)
        counts_[page] == hole ? ++holes : in_use += counts_[page];
    if (holes != holes_ || in_use != pieces_) return false;
    return pieces_ != 0 || free_bytes == committed_bytes();
}

}  // namespace quire::heap_internal
