// SPDX-License-Identifier: MIT
// Sampled blocks: a page each between two that fault, for one allocation in many.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/config.hpp"
#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

// Each block has a slot: a page that has memory while the block lives, and a page behind it that
// never has; another such page stands before the first slot. The block lies at the end of its page,
// or at its start, where even one byte too many faults (behind it, up to its alignment). The rest
// of the page holds a pattern, looked at when the block is freed. A freed block's page goes back at
// once, and its slot is used again after all other free ones. Not synchronised; O(slots) each.
class GuardedBlocks {
  public:
    static constexpr unsigned slots = 32;

    struct Block {
        unsigned char* start;  // null in a slot that was never used
        size_t bytes;
        bool live;
        bool committed;  // also a freed one's, while the page source does not take the page
    };
    enum class Place : uint8_t { at_end, at_start };

    constexpr GuardedBlocks() = default;

    // Gives everything back.
    void stop(PageAccount& pages);
    // Of zeroes. Null when it is larger than a page, or aligned to more, no slot is free, or the
    // page source fails; the first call also reserves the slots.
    unsigned char* allocate(PageAccount& pages, size_t bytes, size_t alignment, Place place);
    // The block must be live.
    void free(PageAccount& pages, Block& block);
    // Takes back the pages that could not be taken when their blocks were freed.
    void settle(PageAccount& pages);
    bool owes() const { return owed_ != 0; }
    // Makes a live block smaller, where it is.
    static void shrink(Block& block, size_t bytes);

    bool contains(const void* address) const {
        return base_ != nullptr && offset_of(address) < reserved_bytes;
    }
    // The block whose page this is, or the page before or behind it: in the middle of two, the one
    // whose end is nearer. The address must be one of those that it contains.
    Block& nearest(const void* address);
    const Block& nearest(const void* address) const {
        return const_cast<GuardedBlocks*>(this)->nearest(address);
    }
    // The first byte of the page, outside the block, that was overwritten; null when none was.
    static const unsigned char* broken(const Block& block);
    // Whether the address lies on the page that the block has for itself.
    static bool on_page_of(const Block& block, const void* address);
    // From the block's start to the end of its page.
    static size_t capacity_of(const Block& block);

    const Block& at(unsigned slot) const { return blocks_[slot]; }

  private:
    static constexpr size_t reserved_bytes = (2 * size_t{slots} + 1) * page_size;

    uintptr_t offset_of(const void* address) const {
        return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_);
    }
    unsigned char* page_of(unsigned slot) const {
        return base_ + (2 * size_t{slot} + 1) * page_size;
    }
    unsigned char* page_of(const Block& block) const {
        return page_of(static_cast<unsigned>(&block - blocks_));
    }
    bool decommit(PageAccount& pages, Block& block);

    unsigned char* base_ = nullptr;
    unsigned next_ = 0;
    unsigned owed_ = 0;
    Block blocks_[slots] = {};
};

}  // namespace quire::heap_internal
