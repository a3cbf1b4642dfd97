// SPDX-License-Identifier: MIT
#include "quire/paging/invalidation.hpp"

#include "quire/config.hpp"
#include "quire/paging/page_table.hpp"

namespace quire {

Invalidation::Invalidation(Invalidation&& other)
    : request_(other.request_), pending_(exchange(other.pending_, false)) {}

Invalidation& Invalidation::operator=(Invalidation&& other) {
    if (debug_checks && pending_) trap();
    request_ = other.request_;
    pending_ = exchange(other.pending_, false);
    return *this;
}

Invalidation::~Invalidation() {
    if (debug_checks && pending_) trap();
}

void Invalidation::spend(TlbInvalidator& tlb) {
    if (!pending_) return;
    pending_ = false;
    tlb.invalidate(request_);
}

UnmapInvalidation::UnmapInvalidation(UnmapInvalidation&& other)
    : flush_(move(other.flush_)), table_(exchange(other.table_, nullptr)) {}

UnmapInvalidation& UnmapInvalidation::operator=(UnmapInvalidation&& other) {
    flush_ = move(other.flush_);
    table_ = exchange(other.table_, nullptr);
    return *this;
}

void UnmapInvalidation::spend(TlbInvalidator& tlb) {
    flush_.spend(tlb);
    spend_unused();
}

void UnmapInvalidation::spend_unused() {
    flush_.spend_unused();
    PageTable* const table = exchange(table_, nullptr);
    if (table != nullptr) table->finish(flush_.request());
}

}  // namespace quire
