// SPDX-License-Identifier: MIT
// Blocks with a page range of their own, found by address.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace quire::heap_internal {

// A block too large for a span. It starts a reservation of its own; the pages behind the committed
// ones, at least one, are its guard.
struct LargeBlock {
    LargeBlock* left;
    LargeBlock* right;
    unsigned char* base;
    size_t requested;
    size_t committed;
    size_t reserved;
};

// The large blocks ordered by address. The nodes are the records themselves, so that nothing is
// allocated here. A treap whose priorities are hashes of the addresses: expected O(log n) for each
// operation, whatever the order in which blocks come and go. Not synchronised.
class LargeIndex {
  public:
    constexpr LargeIndex() = default;

    void insert(LargeBlock& block);
    // The block must be in the index.
    void remove(LargeBlock& block);
    // The block whose reservation holds the address; null when none does.
    LargeBlock* find(const void* address) const;
    // The block of the lowest address, and the one that follows; null when there is none.
    LargeBlock* first() const;
    LargeBlock* after(const LargeBlock& block) const;

    size_t size() const { return size_; }
    // False when the order is broken or the number of blocks is another. O(n log n).
    bool consistent() const;

  private:
    LargeBlock* root_ = nullptr;
    size_t size_ = 0;
};

}  // namespace quire::heap_internal
