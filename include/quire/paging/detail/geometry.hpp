// SPDX-License-Identifier: MIT
// Which entry of which table decides about a page, by arithmetic alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/paging/format.hpp"

namespace quire::detail {

// A slot of level n is what one entry of a table of that level covers. All functions O(1) and pure.
template <PagingFormat Format>
struct Geometry {
    static constexpr unsigned shift(unsigned level) { return level * Format::index_bits; }
    // Pages that a slot of the level has. Of the level above the root: all the format's pages.
    static constexpr PageCount slot_pages(unsigned level) {
        return PageCount(uintptr_t{1} << shift(level));
    }
    static constexpr unsigned index(Page page, unsigned level) {
        return static_cast<unsigned>((page.value() >> shift(level)) & (Format::entries - 1));
    }
    static constexpr PageRange slot(Page page, unsigned level) {
        return PageRange(page.align_down(slot_pages(level)), slot_pages(level));
    }
    // The first page of an entry of the root.
    static constexpr Page first_of_root_entry(const Format& format, unsigned index) {
        return format.canonical(uintptr_t{index} << shift(format.root_level()));
    }
    // The first page that a table of that level decides about, given any of its pages.
    static constexpr Page first_of_table(Page page, unsigned level) {
        return page.align_down(slot_pages(level + 1));
    }
    // How many slots a range touches, and how many of them lie wholly inside it.
    static constexpr size_t slots(const PageRange& pages, unsigned level) {
        return (pages.last().value() >> shift(level)) - (pages.first().value() >> shift(level)) + 1;
    }
    static constexpr size_t whole_slots(const PageRange& pages, unsigned level) {
        const uintptr_t rounding = slot_pages(level).value() - 1;
        const uintptr_t begin = (pages.first().value() + rounding) >> shift(level);
        const uintptr_t end = (pages.last().value() + 1) >> shift(level);
        return end > begin ? end - begin : 0;
    }
    // Tables that it takes to change a part of a leaf of that level but not the rest: one for each
    // slot, of that level and below, that the part covers partially.
    [[gnu::noinline]] static constexpr size_t tables_to_split(const PageRange& part,
                                                              unsigned level) {
        size_t tables = 0;
        for (unsigned upper = level; upper > 0; --upper)
            tables += slots(part, upper) - whole_slots(part, upper);
        return tables;
    }
};

}  // namespace quire::detail
