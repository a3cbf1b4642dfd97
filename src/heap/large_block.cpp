// SPDX-License-Identifier: MIT
#include "quire/heap/large_block.hpp"

#include "quire/config.hpp"

namespace quire::heap_internal {

namespace {

uintptr_t address_of_block(const LargeBlock& block) {
    return reinterpret_cast<uintptr_t>(block.base);
}

// Spreads page numbers over all 32 bits. Of two blocks the one of higher priority stands above.
uint32_t priority(const LargeBlock& block) {
    auto hash = static_cast<uint32_t>(address_of_block(block) >> page_shift);
    hash = (hash ^ hash >> 16) * 0x7feb352du;
    hash = (hash ^ hash >> 15) * 0x846ca68bu;
    return hash ^ hash >> 16;
}

}  // namespace

void LargeIndex::insert(LargeBlock& block) {
    const uintptr_t key = address_of_block(block);
    LargeBlock** place = &root_;
    while (*place != nullptr && priority(**place) >= priority(block))
        place = key < address_of_block(**place) ? &(*place)->left : &(*place)->right;
    // What stood here is split into what lies below and above the block.
    LargeBlock* rest = *place;
    LargeBlock** below = &block.left;
    LargeBlock** above = &block.right;
    while (rest != nullptr) {
        if (address_of_block(*rest) < key) {
            *below = rest;
            below = &rest->right;
            rest = rest->right;
        } else {
            *above = rest;
            above = &rest->left;
            rest = rest->left;
        }
    }
    *below = *above = nullptr;
    *place = last_ = &block;
    ++size_;
}

void LargeIndex::remove(LargeBlock& block) {
    const uintptr_t key = address_of_block(block);
    LargeBlock** place = &root_;
    while (*place != &block)
        place = key < address_of_block(**place) ? &(*place)->left : &(*place)->right;
    LargeBlock* left = block.left;
    LargeBlock* right = block.right;
    while (left != nullptr && right != nullptr) {
        if (priority(*left) >= priority(*right)) {
            *place = left;
            place = &left->right;
            left = left->right;
        } else {
            *place = right;
            place = &right->left;
            right = right->left;
        }
    }
    *place = left != nullptr ? left : right;
    if (last_ == &block) last_ = nullptr;
    --size_;
}

LargeBlock* LargeIndex::find(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    LargeBlock* block = root_;
    while (block != nullptr) {
        const uintptr_t start = address_of_block(*block);
        if (at >= start && at - start < block->reserved) return block;
        block = at < start ? block->left : block->right;
    }
    return nullptr;
}

LargeBlock* LargeIndex::first() const {
    LargeBlock* block = root_;
    while (block != nullptr && block->left != nullptr)
        block = block->left;
    return block;
}

LargeBlock* LargeIndex::after(const LargeBlock& block) const {
    const uintptr_t key = address_of_block(block);
    LargeBlock* best = nullptr;
    LargeBlock* here = root_;
    while (here != nullptr) {
        if (address_of_block(*here) > key) {
            best = here;
            here = here->left;
        } else {
            here = here->right;
        }
    }
    return best;
}

bool LargeIndex::consistent() const {
    size_t count = 0;
    uintptr_t end = 0;
    for (const LargeBlock* block = first(); block != nullptr; block = after(*block)) {
        const uintptr_t start = address_of_block(*block);
        if (++count > size_ || start < end || find(block->base) != block) return false;
        end = start + block->reserved;
    }
    return count == size_;
}

void LargeCache::remove(unsigned index) {
    bytes_ -= kept_[index]->committed;
    --count_;
    for (; index < count_; ++index)
        kept_[index] = kept_[index + 1];
}

LargeBlock* LargeCache::take_older(size_t bytes) {
    for (unsigned index = count_; index-- > 0;) {
        LargeBlock* const block = kept_[index];
        if (!fits(bytes, block->committed)) continue;
        remove(index);
        return block;
    }
    return nullptr;
}

bool LargeCache::holds(const void* base) const {
    for (unsigned index = 0; index < count_; ++index)
        if (kept_[index]->base == base) return true;
    return false;
}

}  // namespace quire::heap_internal
