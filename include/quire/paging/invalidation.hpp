// SPDX-License-Identifier: MIT
// The invalidation that a change of a page table leaves to be done, as a value.
#pragma once

#include "quire/base/result.hpp"
#include "quire/paging/tlb.hpp"

namespace quire {

class PageTable;

// What is left to do for the page table when the TLBs have been flushed.
enum class AfterFlush : uint8_t {
    nothing,
    give_back,  // frames and tables that were taken out
};

// Returned by every change. Spending it flushes the TLBs, and only then gives back the frames and
// tables that were taken out. Until then those wait in place: whole tables detached with their
// entries in them, single entries as absent ones, so nothing grows with the range. It is empty
// where the architecture needs no invalidation (a fresh mapping on x86).
//
// Dropping one unspent is a bug that would leave stale translations: it traps where debug_checks
// is set. Moving it leaves the source empty.
class [[nodiscard]] Invalidation {
  public:
    Invalidation() = default;
    Invalidation(Invalidation&& other);
    Invalidation& operator=(Invalidation&& other);
    ~Invalidation();

    // Nothing to flush and nothing to give back.
    bool empty() const { return table_ == nullptr; }
    const FlushRequest& request() const { return request_; }

    // Flushes through `tlb`, then finishes the change. Locks as PageTable's changes do. Afterwards
    // it is empty. O(tables and frames given back).
    void spend(TlbInvalidator& tlb);
    // For a table that no CPU is using or has used since it was changed: finishes without a flush.
    void spend_unused();

  private:
    friend class PageTable;
    Invalidation(PageTable& table, const FlushRequest& request, AfterFlush after)
        : table_(&table), request_(request), after_(after) {}

    PageTable* table_ = nullptr;
    FlushRequest request_;
    AfterFlush after_ = AfterFlush::nothing;
};

}  // namespace quire
