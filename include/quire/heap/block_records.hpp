// SPDX-License-Identifier: MIT
// A record for each of many blocks, found by the block's address.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/heap/page_source.hpp"

namespace quire {

class HeapTag;

namespace heap_internal {

struct BlockRecord {
    BlockRecord* next;  // of its bucket, or of the free ones
    void* address;      // null in a free one
    size_t bytes;
    HeapTag* tag;
    const void* caller;
};

// A hash table that grows by a bucket with every few records (linear hashing), so that no operation
// has to move them all. Lives in two reservations, which it commits a page at a time. O(1) each,
// expected. Not synchronised.
class BlockRecords {
  public:
    constexpr BlockRecords() = default;
    BlockRecords(const BlockRecords&) = delete;
    BlockRecords& operator=(const BlockRecords&) = delete;

    // Reserves room for so many records. Errors as PageSource::reserve and commit, and bad_argument
    // (none, or more than fit); nothing changed.
    Status start(PageSource& pages, size_t most);
    // Gives all of it back. Nothing when it is not started.
    void stop();
    bool started() const { return records_ != nullptr; }

    // A record to fill and insert; null when there is no room or no page for it.
    BlockRecord* take();
    void give_back(BlockRecord& record);
    // The record's address must not be null, nor be in the table.
    void insert(BlockRecord& record);
    // Takes the record out, which is not given back yet; null when there is none.
    BlockRecord* remove(const void* address);
    BlockRecord* find(const void* address) const;

    size_t size() const { return size_; }
    // By number, 0 to high_water() - 1, in no order; those without an address are free.
    size_t high_water() const { return high_water_; }
    const BlockRecord& at(size_t number) const { return records_[number]; }
    // False when a record is not found where it should be, or there are more or fewer. O(records).
    bool consistent() const;

  private:
    static constexpr size_t first_buckets = page_size / sizeof(BlockRecord*);
    static constexpr size_t records_a_bucket = 2;

    size_t bucket_of(const void* address) const;
    bool grow_buckets();
    void split_bucket();
    void undo_reserve(void* reserved, size_t bytes);

    PageSource* pages_ = nullptr;
    BlockRecord* records_ = nullptr;
    BlockRecord** buckets_ = nullptr;
    size_t most_ = 0;
    size_t records_bytes_ = 0;  // reserved
    size_t buckets_bytes_ = 0;
    size_t records_committed_ = 0;  // bytes
    size_t buckets_committed_ = 0;
    size_t high_water_ = 0;
    size_t size_ = 0;
    size_t doubling_ = first_buckets;  // as many buckets there were when this doubling began
    size_t buckets_in_use_ = 0;
    BlockRecord* free_ = nullptr;
};

}  // namespace heap_internal

}  // namespace quire
