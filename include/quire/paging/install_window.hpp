// SPDX-License-Identifier: MIT
// Makes a place for a Window in a page table that is reached some other way.
#pragma once

#include "quire/paging/format_page_table.hpp"
#include "quire/paging/window.hpp"

namespace quire {

// Makes the leaf table of the pages exist and shows it at the first of them, so that the entries of
// the others can be written from then on wherever `table` is the active page table; they show the
// same table at first, and are never empty, so that nothing else can be mapped there. The pages
// stay part of `table`: do not unmap them while a Window uses them.
//
//     const auto place = install_window(table, pages);      // through another access
//     ... activate table ...
//     X86Window window(*place, ...);
//
// Needs levels + 3 pages at least, in one leaf table: bad_argument. Other errors as
// PageTable::map. Nothing changes on failure.
template <PagingFormat Format, class Access>
Result<WindowPlace> install_window(FormatPageTable<Format, Access>& table, const PageRange& pages) {
    constexpr uintptr_t least_pages = Format::levels + 3;
    if (pages.count().value() < least_pages) {
        return Failure{Error::bad_argument, address_of(pages.first()).value()};
    }
    const auto leaf_table = table.map_own_leaf_table(pages);
    if (!leaf_table.ok()) return leaf_table.failure();
    const PageRange shown = pages.without_prefix(PageCount(1));
    const unsigned index = detail::Geometry<Format>::index(shown.first(), 0);
    const Bytes offset(uint64_t{index} * sizeof(typename Format::Entry));
    return WindowPlace{shown, address_of(pages.first()) + offset};
}

}  // namespace quire
