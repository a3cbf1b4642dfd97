// SPDX-License-Identifier: MIT
// Invalidation for a machine with one CPU: everything is local.
#pragma once

#include "quire/paging/tlb.hpp"

namespace quire {

// What drops translations from this CPU's TLB: one page's, or all of them, global ones included
// (x86: toggle CR4.PGE, SDM vol. 3A 4.10.4.1).
template <class T>
concept LocalFlusher = LocalTlb<T> && requires(const T& tlb) { tlb.flush_all(); };

template <LocalFlusher Tlb>
class SingleCpuInvalidator final : public TlbInvalidator {
  public:
    constexpr explicit SingleCpuInvalidator(Tlb tlb = {}) : tlb_(tlb) {}

    void invalidate(const FlushRequest& request) override {
        if (request.prefers_full_flush()) {
            tlb_.flush_all();
            return;
        }
        for (const Page page : request.pages)
            tlb_.flush_page(address_of(page));
    }

  private:
    Tlb tlb_;
};

}  // namespace quire
