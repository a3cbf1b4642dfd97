// SPDX-License-Identifier: MIT
#include "quire/paging/invalidation.hpp"

#include "quire/config.hpp"
#include "quire/paging/page_table.hpp"

namespace quire {

Invalidation::Invalidation(Invalidation&& other)
    : table_(exchange(other.table_, nullptr)), request_(other.request_), after_(other.after_) {}

Invalidation& Invalidation::operator=(Invalidation&& other) {
    if (debug_checks && table_ != nullptr) trap();
    table_ = exchange(other.table_, nullptr);
    request_ = other.request_;
    after_ = other.after_;
    return *this;
}

Invalidation::~Invalidation() {
    if (debug_checks && table_ != nullptr) trap();
}

void Invalidation::spend(TlbInvalidator& tlb) {
    if (empty()) return;
    tlb.invalidate(request_);
    spend_unused();
}

void Invalidation::spend_unused() {
    PageTable* const table = exchange(table_, nullptr);
    if (table != nullptr && after_ == AfterFlush::give_back) table->finish(request_);
}

}  // namespace quire
