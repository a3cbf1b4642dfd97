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
    uint32_t freed_at = 0;  // the heap's tick, while it is kept

    // False when its sizes contradict one another.
    bool consistent() const { return requested <= committed && committed < reserved; }
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

    // The block that was inserted last, or null when it has been removed since. O(1).
    LargeBlock* last() const { return last_; }

    size_t size() const { return size_; }
    // False when the order is broken or the number of blocks is another. O(n log n).
    bool consistent() const;

  private:
    LargeBlock* root_ = nullptr;
    LargeBlock* last_ = nullptr;
    size_t size_ = 0;
};

// Ranges of freed large blocks, kept with their memory for the next block of about their size; a
// mapping and an unmapping would cost more than most blocks live. Not synchronised, O(most).
class LargeCache {
  public:
    static constexpr unsigned most = 16;

    constexpr LargeCache() = default;

    bool has_room() const { return count_ <= most; }
    // There must be room: one more than `most`, so that a surplus can go back after the new one
    // came.
    void put(LargeBlock& block) {
        kept_[count_++] = &block;
        bytes_ += block.committed;
    }
    // One that holds `bytes` (whole pages) and wastes at most an eighth, taken out; null when there
    // is none. The one freed last is the likeliest to be in the CPU's caches.
    LargeBlock* take(size_t bytes) {
        if (count_ == 0 || !fits(bytes, kept_[count_ - 1]->committed)) return take_older(bytes);
        LargeBlock* const newest = kept_[--count_];
        bytes_ -= newest->committed;
        return newest;
    }
    LargeBlock* oldest() const { return count_ == 0 ? nullptr : kept_[0]; }
    void drop_oldest() { remove(0); }
    bool exceeds(size_t limit) const { return count_ > most || bytes_ > limit; }
    bool holds(const void* base) const;
    size_t bytes() const { return bytes_; }

    // Whether a block of `bytes` may have come to a range of so many.
    static constexpr bool fits(size_t bytes, size_t committed) {
        return bytes <= committed && committed - bytes <= bytes / 8;
    }

  private:
    LargeBlock* take_older(size_t bytes);
    void remove(unsigned index);

    LargeBlock* kept_[most + 1] = {};  // oldest first
    unsigned count_ = 0;
    size_t bytes_ = 0;
};

}  // namespace quire::heap_internal
