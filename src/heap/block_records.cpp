// SPDX-License-Identifier: MIT
#include "quire/heap/block_records.hpp"

#include "quire/base/traits.hpp"
#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

void BlockRecords::undo_reserve(void* reserved, size_t bytes) {
    const Status released = pages_->release(reserved, bytes);
    static_cast<void>(released);
}

Status BlockRecords::start(PageSource& pages, size_t most) {
    if (started()) return Failure{Error::bad_argument};
    if (most == 0) return Failure{Error::bad_argument};
    if (most > SIZE_MAX / 4 / sizeof(BlockRecord)) return Failure{Error::bad_argument, most};
    const size_t records_bytes = round_up_to_pages(most * sizeof(BlockRecord));
    const size_t buckets = most / records_a_bucket + first_buckets;
    const size_t buckets_bytes = round_up_to_pages(buckets * sizeof(BlockRecord*));
    pages_ = &pages;
    const Result<void*> records = pages.reserve(records_bytes, page_size);
    if (!records.ok()) return records.failure();
    const Result<void*> table = pages.reserve(buckets_bytes, page_size);
    if (!table.ok()) {
        undo_reserve(*records, records_bytes);
        return table.failure();
    }
    const Status committed = pages.commit(*table, page_size);
    if (!committed.ok()) {
        undo_reserve(*table, buckets_bytes);
        undo_reserve(*records, records_bytes);
        return committed;
    }
    records_ = static_cast<BlockRecord*>(*records);
    buckets_ = static_cast<BlockRecord**>(*table);
    most_ = most;
    records_bytes_ = records_bytes;
    buckets_bytes_ = buckets_bytes;
    buckets_committed_ = page_size;
    doubling_ = buckets_in_use_ = first_buckets;
    return {};
}

void BlockRecords::stop() {
    if (!started()) return;
    undo_reserve(records_, records_bytes_);
    undo_reserve(static_cast<void*>(buckets_), buckets_bytes_);
    records_ = nullptr;
    free_ = nullptr;
    records_committed_ = high_water_ = size_ = 0;
}

BlockRecord* BlockRecords::take() {
    if (free_ != nullptr) {
        BlockRecord* const record = free_;
        free_ = record->next;
        return record;
    }
    if (high_water_ == most_) return nullptr;
    if ((high_water_ + 1) * sizeof(BlockRecord) > records_committed_) {
        auto* const end = reinterpret_cast<unsigned char*>(records_) + records_committed_;
        if (!pages_->commit(end, page_size).ok()) return nullptr;
        records_committed_ += page_size;
    }
    return construct_at(records_ + high_water_++);
}

void BlockRecords::give_back(BlockRecord& record) {
    record.address = nullptr;
    record.next = free_;
    free_ = &record;
}

// Buckets before the one that is split next are those of the coming doubling already.
size_t BlockRecords::bucket_of(const void* address) const {
    auto hash = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) >> 4);
    hash = (hash ^ hash >> 16) * 0x7feb352du;
    hash = (hash ^ hash >> 15) * 0x846ca68bu;
    hash ^= hash >> 16;
    const size_t bucket = hash & (2 * doubling_ - 1);
    return bucket < buckets_in_use_ ? bucket : bucket - doubling_;
}

// False when the table stays as large as it is.
bool BlockRecords::grow_buckets() {
    const size_t needed = (buckets_in_use_ + 1) * sizeof(BlockRecord*);
    if (needed > buckets_bytes_) return false;
    if (needed <= buckets_committed_) return true;
    auto* const end = reinterpret_cast<unsigned char*>(buckets_) + buckets_committed_;
    if (!pages_->commit(end, page_size).ok()) return false;
    buckets_committed_ += page_size;
    return true;
}

void BlockRecords::split_bucket() {
    const size_t from = buckets_in_use_ - doubling_;
    BlockRecord* next = buckets_[from];
    buckets_[from] = nullptr;
    buckets_[buckets_in_use_] = nullptr;
    ++buckets_in_use_;
    while (next != nullptr) {
        BlockRecord* const record = next;
        next = record->next;
        BlockRecord*& bucket = buckets_[bucket_of(record->address)];
        record->next = bucket;
        bucket = record;
    }
    if (buckets_in_use_ == 2 * doubling_) doubling_ = buckets_in_use_;
}

void BlockRecords::insert(BlockRecord& record) {
    if (size_ >= buckets_in_use_ * records_a_bucket && grow_buckets()) split_bucket();
    BlockRecord*& bucket = buckets_[bucket_of(record.address)];
    record.next = bucket;
    bucket = &record;
    ++size_;
}

BlockRecord* BlockRecords::remove(const void* address) {
    BlockRecord** place = &buckets_[bucket_of(address)];
    while (*place != nullptr && (*place)->address != address)
        place = &(*place)->next;
    BlockRecord* const record = *place;
    if (record == nullptr) return nullptr;
    *place = record->next;
    --size_;
    return record;
}

BlockRecord* BlockRecords::find(const void* address) const {
    BlockRecord* record = buckets_[bucket_of(address)];
    while (record != nullptr && record->address != address)
        record = record->next;
    return record;
}

bool BlockRecords::consistent() const {
    if (buckets_in_use_ < doubling_ || buckets_in_use_ >= 2 * doubling_) return false;
    size_t found = 0;
    for (size_t number = 0; number < high_water_; ++number) {
        const BlockRecord& record = records_[number];
        if (record.address == nullptr) continue;
        if (find(record.address) != &record) return false;
        ++found;
    }
    return found == size_;
}

}  // namespace quire::heap_internal
