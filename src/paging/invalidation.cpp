// SPDX-License-Identifier: MIT
#include "quire/paging/invalidation.hpp"

#include "quire/paging/page_table.hpp"

namespace quire {

void Invalidation::spend(TlbInvalidator& tlb) {
    if (!pending_) return;
    pending_ = false;
    tlb.invalidate(request_);
}

void UnmapInvalidation::spend(TlbInvalidator& tlb) {
    flush_.spend(tlb);
    spend_unused();
}

void UnmapInvalidation::finish() {
    exchange(table_, nullptr)->finish(flush_.request());
}

}  // namespace quire
