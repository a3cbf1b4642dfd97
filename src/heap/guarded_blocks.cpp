// SPDX-License-Identifier: MIT
#include "quire/heap/guarded_blocks.hpp"

#include "quire/base/traits.hpp"
#include "quire/heap/poison.hpp"
#include "quire/heap/size_class.hpp"

namespace quire::heap_internal {

namespace {

unsigned char* page_start(const unsigned char* address) {
    return const_cast<unsigned char*>(address) -
           (reinterpret_cast<uintptr_t>(address) & (page_size - 1));
}

}  // namespace

void GuardedBlocks::stop(PageAccount& pages) {
    size_t committed = 0;
    for (Block& block : blocks_) {
        committed += block.committed ? page_size : 0;
        block = Block{};
    }
    if (base_ != nullptr) pages.release(base_, reserved_bytes, committed);
    base_ = nullptr;
    next_ = owed_ = 0;
}

unsigned char* GuardedBlocks::allocate(PageAccount& pages, size_t bytes, size_t alignment,
                                       Place place) {
    if (bytes > page_size || alignment > page_size) return nullptr;
    if (base_ == nullptr) base_ = pages.reserve(reserved_bytes, page_size);
    if (base_ == nullptr) return nullptr;
    unsigned slot = next_;
    for (unsigned tried = 0; blocks_[slot].live || blocks_[slot].committed; ++tried) {
        if (tried == slots) return nullptr;
        slot = (slot + 1) % slots;
    }
    unsigned char* const page = page_of(slot);
    if (!pages.commit(page, page_size)) return nullptr;
    const size_t unit = max(alignment, granule);
    const size_t before =
        place == Place::at_start ? 0 : (page_size - max(bytes, size_t{1})) & ~(unit - 1);
    blocks_[slot] = Block{page + before, bytes, true, true};
    next_ = (slot + 1) % slots;
    poison(page, before);
    poison(page + before + bytes, page_size - before - bytes);
    return page + before;
}

bool GuardedBlocks::decommit(PageAccount& pages, Block& block) {
    if (!pages.decommit(page_of(block), page_size, page_size)) return false;
    block.committed = false;
    return true;
}

void GuardedBlocks::free(PageAccount& pages, Block& block) {
    block.live = false;
    if (!decommit(pages, block)) ++owed_;
}

void GuardedBlocks::settle(PageAccount& pages) {
    for (Block& block : blocks_) {
        if (block.live || !block.committed) continue;
        if (!decommit(pages, block)) return;
        --owed_;
    }
}

void GuardedBlocks::shrink(Block& block, size_t bytes) {
    poison(block.start + bytes, block.bytes - bytes);
    block.bytes = bytes;
}

GuardedBlocks::Block& GuardedBlocks::nearest(const void* address) {
    const uintptr_t half_pages = offset_of(address) / (page_size / 2);
    // Two halves of the first page, two of the block's own, two of the next one, and so on.
    const uintptr_t slot = half_pages < 1 ? 0 : (half_pages - 1) / 4;
    return blocks_[min(slot, uintptr_t{slots - 1})];
}

const unsigned char* GuardedBlocks::broken(const Block& block) {
    const unsigned char* byte = page_start(block.start);
    const unsigned char* const end = byte + page_size;
    for (; byte != block.start; ++byte)
        if (*byte != poison_byte) return byte;
    for (byte += block.bytes; byte != end; ++byte)
        if (*byte != poison_byte) return byte;
    return nullptr;
}

bool GuardedBlocks::on_page_of(const Block& block, const void* address) {
    return page_start(block.start) == page_start(static_cast<const unsigned char*>(address));
}

size_t GuardedBlocks::capacity_of(const Block& block) {
    return static_cast<size_t>(page_start(block.start) + page_size - block.start);
}

}  // namespace quire::heap_internal
