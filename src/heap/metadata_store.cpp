// SPDX-License-Identifier: MIT
#include "quire/heap/metadata_store.hpp"

#include <stdint.h>

#include "quire/base/traits.hpp"

namespace quire::heap_internal {

void MetadataStore::start(unsigned char* base, size_t bytes) {
    base_ = base;
    bytes_ = bytes;
    committed_ = pieces_ = 0;
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
    if (committed_ != bytes_) return true;
    for (unsigned from = shift; from <= page_shift; ++from)
        if (free_[from - smallest_shift] != nullptr) return true;
    return false;
}

unsigned char* MetadataStore::allocate(PageAccount& pages, unsigned shift) {
    unsigned from = shift;
    unsigned char* piece = nullptr;
    for (; from <= page_shift; ++from) {
        piece = pop(from);
        if (piece != nullptr) break;
    }
    if (piece == nullptr) {
        piece = base_ + committed_;
        if (!pages.commit(piece, page_size)) return nullptr;
        committed_ += page_size;
        from = page_shift;
    }
    // The upper half of what is too large stays free, at each halving.
    while (from > shift) {
        --from;
        push(piece + (size_t{1} << from), from);
    }
    ++pieces_;
    return piece;
}

void MetadataStore::free(unsigned char* piece, unsigned shift) {
    push(piece, shift);
    --pieces_;
}

void MetadataStore::trim(PageAccount& pages) {
    if (pieces_ != 0 || committed_ == 0) return;
    if (pages.decommit(base_, committed_, committed_)) start(base_, bytes_);
}

bool MetadataStore::contains(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at - reinterpret_cast<uintptr_t>(base_) < bytes_;
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
            if (offset >= committed_ || (offset & ((size_t{1} << shift) - 1)) != 0) return false;
            if (free_bytes > committed_) return false;
        }
    }
    return pieces_ != 0 || free_bytes == committed_;
}

}  // namespace quire::heap_internal
