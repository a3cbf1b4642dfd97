// SPDX-License-Identifier: MIT
#include "quire/heap/metadata_store.hpp"

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

void MetadataStore::start(unsigned char* base, size_t bytes) {
    base_ = base;
    bytes_ = bytes;
    reached_ = holes_ = first_hole_ = pieces_ = 0;
    for (Piece*& head : free_)
        head = nullptr;
}

void MetadataStore::push(unsigned char* piece, unsigned shift) {
    Piece*& head = free_[shift - smallest_shift];
    head = construct_at(reinterpret_cast<Piece*>(piece), Piece{head});
}

bool MetadataStore::has_room(unsigned shift) const {
    if (holes_ != 0 || reached_ != bytes_ >> page_shift) return true;
    for (unsigned from = shift; from <= largest_shift; ++from)
        if (free_[from - smallest_shift] != nullptr) return true;
    return false;
}

// Null when no piece is free that is large enough.
unsigned char* MetadataStore::take_free(unsigned shift) {
    unsigned from = shift;
    while (from <= largest_shift && free_[from - smallest_shift] == nullptr)
        ++from;
    if (from > largest_shift) return nullptr;
    Piece*& head = free_[from - smallest_shift];
    auto* const piece = reinterpret_cast<unsigned char*>(head);
    head = head->next;
    // The upper half of what is too large stays free, at each halving.
    while (from > shift) {
        --from;
        push(piece + (size_t{1} << from), from);
    }
    ++pieces_;
    ++count_of(page_of(piece));
    return piece;
}

// The first of those that were given back, or else the next. There must be one.
unsigned char* MetadataStore::page_without_memory() {
    if (holes_ == 0) return start_of(reached_);
    while (count_of(first_hole_) != hole)
        ++first_hole_;
    return start_of(first_hole_);
}

// All of a page in which nothing is in use but, in a segment's first one, its counts.
void MetadataStore::push_pieces_of(size_t page) {
    const unsigned kept = page % segment_pages == 0 ? counts_shift : largest_shift;
    unsigned char* const start = start_of(page);
    for (unsigned shift = largest_shift; shift >= kept; --shift)
        push(start + (size_t{1} << shift), shift);
    if (kept == largest_shift) push(start, largest_shift);
}

// The page has memory now.
unsigned char* MetadataStore::take_of_new_page(size_t page, unsigned shift) {
    page == reached_ ? ++reached_ : --holes_;
    count_of(page) = page % segment_pages == 0 ? 1 : 0;
    push_pieces_of(page);
    return take_free(shift);
}

unsigned char* MetadataStore::allocate(PageAccount& pages, unsigned shift) {
    if (unsigned char* const piece = take_free(shift)) return piece;
    unsigned char* const start = page_without_memory();
    if (!pages.commit(start, page_size)) return nullptr;
    return take_of_new_page(page_of(start), shift);
}

void MetadataStore::free(unsigned char* piece, unsigned shift) {
    push(piece, shift);
    --pieces_;
    --count_of(page_of(piece));
}

// Pieces of pages in which none is in use leave their lists.
void MetadataStore::drop_unused_pieces() {
    for (Piece*& head : free_) {
        for (Piece** at = &head; *at != nullptr;) {
            Piece& piece = **at;
            if (count_of(page_of(&piece)) == 0) {
                *at = piece.next;
            } else {
                at = &piece.next;
            }
        }
    }
}

// What the source refuses is free again.
void MetadataStore::give_back_unused_pages(PageAccount& pages) {
    for (size_t page = 0; page < reached_; ++page) {
        const size_t from = page;
        while (page < reached_ && count_of(page) == 0)
            ++page;
        if (page == from) continue;
        const size_t bytes = (page - from) << page_shift;
        const bool gone = pages.decommit(start_of(from), bytes, bytes);
        if (gone) holes_ += page - from;
        for (size_t i = from; i < page; ++i) {
            if (gone) {
                count_of(i) = hole;
            } else {
                push_pieces_of(i);
            }
        }
    }
}

void MetadataStore::trim(PageAccount& pages) {
    if (idle()) {
        const size_t bytes = reached_ << page_shift;
        if (bytes != 0 && pages.decommit(base_, bytes, committed_bytes())) start(base_, bytes_);
        return;
    }
    drop_unused_pieces();
    give_back_unused_pages(pages);
    first_hole_ = 0;
}

bool MetadataStore::contains(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at - reinterpret_cast<uintptr_t>(base_) < bytes_;
}

bool MetadataStore::has_memory(const void* address) const {
    if (!contains(address)) return false;
    const size_t page = page_of(address);
    return page < reached_ && count_of(page) != hole;
}

bool MetadataStore::consistent() const {
    size_t free_bytes = 0;
    for (unsigned shift = smallest_shift; shift <= largest_shift; ++shift) {
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
        count_of(page) == hole ? ++holes : in_use += count_of(page);
    if (holes != holes_ || in_use != pieces_ + segments()) return false;
    return !idle() || free_bytes + (segments() << counts_shift) == committed_bytes();
}

}  // namespace quire::heap_internal
