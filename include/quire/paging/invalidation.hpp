// SPDX-License-Identifier: MIT
// The invalidation that a change of a page table leaves to be done, as a value.
#pragma once

#include "quire/base/result.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"
#include "quire/config.hpp"
#include "quire/paging/tlb.hpp"

namespace quire {

class PageTable;

// Returned by changes that take nothing out. Spending it flushes the TLBs. It is empty where the
// architecture needs no invalidation (a fresh mapping on x86).
//
// Dropping one unspent is a bug that would leave stale translations: it traps where debug_checks
// is set. Moving it leaves the source empty.
class [[nodiscard]] Invalidation {
  public:
    // Nothing to flush.
    Invalidation() = default;
    explicit Invalidation(const FlushRequest& request) : request_(request), pending_(true) {}
    Invalidation(Invalidation&& other)
        : request_(other.request_), pending_(exchange(other.pending_, false)) {}
    Invalidation& operator=(Invalidation&& other) {
        if (debug_checks && pending_) trap();
        request_ = other.request_;
        pending_ = exchange(other.pending_, false);
        return *this;
    }
    ~Invalidation() {
        if (debug_checks && pending_) trap();
    }

    bool empty() const { return !pending_; }
    const FlushRequest& request() const { return request_; }

    // Flushes through `tlb`. Afterwards it is empty.
    void spend(TlbInvalidator& tlb);
    // For a table that no CPU is using or has used since it was changed: there is nothing to flush.
    void spend_unused() { pending_ = false; }

  private:
    FlushRequest request_;
    bool pending_ = false;
};

// Returned by unmap. Spending it flushes the TLBs, and only then gives back the frames and tables
// that were taken out. Until then those wait in place: whole tables detached with their entries in
// them, single entries as absent ones, so nothing grows with the range. Otherwise as Invalidation.
class [[nodiscard]] UnmapInvalidation {
  public:
    UnmapInvalidation() = default;
    // Nothing waits to be given back.
    explicit UnmapInvalidation(const FlushRequest& request) : flush_(request) {}
    UnmapInvalidation(PageTable& table, const FlushRequest& request)
        : flush_(request), table_(&table) {}
    UnmapInvalidation(UnmapInvalidation&& other)
        : flush_(move(other.flush_)), table_(exchange(other.table_, nullptr)) {}
    UnmapInvalidation& operator=(UnmapInvalidation&& other) {
        flush_ = move(other.flush_);
        table_ = exchange(other.table_, nullptr);
        return *this;
    }

    // Nothing to flush and nothing to give back.
    bool empty() const { return flush_.empty(); }
    const FlushRequest& request() const { return flush_.request(); }

    // Flushes through `tlb`, then finishes the change. Locks as PageTable's changes do. Afterwards
    // it is empty. O(tables and frames given back).
    void spend(TlbInvalidator& tlb);
    // For a table that no CPU is using or has used since it was changed: finishes without a flush.
    void spend_unused() {
        flush_.spend_unused();
        if (table_ != nullptr) finish();
    }

  private:
    void finish();

    Invalidation flush_;
    PageTable* table_ = nullptr;
};

}  // namespace quire
