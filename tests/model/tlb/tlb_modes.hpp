// SPDX-License-Identifier: MIT
// The paging modes that the model of TLBs runs in: where its pages lie, and how roots share some.
#pragma once

#include <cstdint>

#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "sim/x86_mmu32.hpp"
#include "sim/x86_mmu64.hpp"

namespace quire::model {

// Each space has its pages on both sides of a boundary between tables, so that tables come and go;
// what all spaces share lies in the other half, and a page of it that stays keeps the tables that
// the roots have in common.
struct TlbMode64 {
    using Format = X86_64;
    using Entry = uint64_t;
    static constexpr uintptr_t gigabyte = 512 * 512;  // in pages
    static constexpr uintptr_t half = ~uintptr_t{0} << (47 - 12) & (~uintptr_t{0} >> 12);
    static constexpr uintptr_t space_pages = gigabyte - 48;
    static constexpr uintptr_t common_pages = half + gigabyte - 48;
    static constexpr uintptr_t kept_page = half + 100 * gigabyte;
    static constexpr unsigned common_root_entry = 256;
    static constexpr uintptr_t large_page = 512;         // in pages
    static constexpr uintptr_t large_at = 2 * gigabyte;  // of a space, and likewise in the half
    static constexpr uintptr_t common_large_at = half + large_at;
    static constexpr bool tables_validate = true;

    static Format format(bool common) {
        X86_64Features features;
        features.no_execute = features.global_pages = true;
        return X86_64(features, common ? AddressHalf::high : AddressHalf::low);
    }
    static sim::Control control(bool pcids) {
        sim::Control control;
        control.paging = control.write_protect = control.global_pages = control.no_execute = true;
        control.pcids = pcids;
        return control;
    }
    sim::X86Mmu64 mmu;
};

// The format does not know of halves: what the roots share counts as a space's own, so that only
// the table that made it can be validated. It lies below one root entry.
struct TlbMode32 {
    using Format = X86_32;
    using Entry = uint32_t;
    static constexpr uintptr_t space_pages = 1024 - 48;
    static constexpr uintptr_t common_pages = 0xc0000;
    static constexpr uintptr_t kept_page = 0xc03ff;
    static constexpr unsigned common_root_entry = 0x300;
    static constexpr uintptr_t large_page = 1024;
    static constexpr uintptr_t large_at = 8 * large_page;
    static constexpr uintptr_t common_large_at = 0;  // none: it would be an entry of each root
    static constexpr bool tables_validate = false;

    static Format format(bool) { return X86_32({true, true, false}); }
    static sim::Control control(bool) {
        sim::Control control;
        control.paging = control.write_protect = control.global_pages = true;
        control.large_pages = true;
        return control;
    }
    sim::X86Mmu32 mmu;
};

}  // namespace quire::model
