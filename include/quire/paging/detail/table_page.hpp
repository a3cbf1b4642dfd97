// SPDX-License-Identifier: MIT
// FormatPageTable: single pages, where every table is visible. Each function does the usual case
// and says no to all others, which then take the way of ranges. Included by format_page_table.hpp.
#pragma once

#include "quire/paging/format_page_table.hpp"

namespace quire {

// The leaf that decides about a page, if there is one.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
auto FormatPageTable<Format, Access>::look(Page page) const -> Found
    requires(VisibleTableAccess<Access>)
{
    Frame table = root();
    for (unsigned level = bytes_.root_level();; --level) {
        const Entry* const entries = bytes_.visible(table);
        if (entries == nullptr) return {};
        const Entry entry = load_entry(entries[Shape::index(page, level)]);
        const EntryKind kind = format().kind(level, entry);
        if (kind != EntryKind::table) return {kind == EntryKind::leaf, level, entry};
        table = format().frame_of(level, entry);
        if (table == root()) return {};  // it shows itself
    }
}

// From a table of that level down to the leaf table, or null. One step a level, each with its own
// constants.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
template <unsigned Level>
[[gnu::always_inline]] inline typename Format::Entry* FormatPageTable<Format, Access>::leaf_below(
    Entry* entries, Page page) const
    requires(VisibleTableAccess<Access>)
{
    if constexpr (Level == 0) {
        return entries;
    } else {
        if (entries == nullptr) return nullptr;
        const Entry entry = load_entry(entries[Shape::index(page, Level)]);
        if (format().kind(Level, entry) != EntryKind::table) return nullptr;
        const Frame table = format().frame_of(Level, entry);
        // Only in a root can an entry lead to the root; which level that is, is among the highest.
        if (Level + 2 >= Format::levels && table == root()) return nullptr;
        return leaf_below<Level - 1>(bytes_.visible(table), page);
    }
}

// The leaf table that decides about a page within reach, or null; it is remembered.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline typename Format::Entry*
FormatPageTable<Format, Access>::walk_to_leaf_table(Page page)
    requires(VisibleTableAccess<Access>)
{
    constexpr unsigned highest = Format::levels - 1;
    Entry* const top = bytes_.visible(root());
    Entry* const entries = bytes_.root_level() == highest ? leaf_below<highest>(top, page)
                                                          : leaf_below<highest - 1>(top, page);
    if (entries == nullptr) return nullptr;
    leaf_number_ = page.value() >> Format::index_bits;
    return leaf_entries_ = entries;
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::noinline]] typename Format::Entry* FormatPageTable<Format, Access>::find_leaf_table(
    Page page)
    requires(VisibleTableAccess<Access>)
{
    return walk_to_leaf_table(page);
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline typename Format::Entry* FormatPageTable<Format, Access>::leaf_table(
    Page page)
    requires(VisibleTableAccess<Access>)
{
    const bool known = (page.value() >> Format::index_bits) == leaf_number_;
    return known ? leaf_entries_ : find_leaf_table(page);
}

// Where a page of the lowest level is mapped.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::translate_page(
    VirtualAddress address, PhysicalAddress& physical)
    requires(VisibleTableAccess<Access>)
{
    const Page page = page_of(address);
    if (!reach_.contains(page)) return false;
    const bool known = (page.value() >> Format::index_bits) == leaf_number_;
    const Entry* const entries = known ? leaf_entries_ : walk_to_leaf_table(page);
    if (entries == nullptr) return false;
    const Entry entry = load_entry(entries[Shape::index(page, 0)]);
    if (format().kind(0, entry) != EntryKind::leaf) return false;
    physical =
        PhysicalAddress(address_of(format().frame_of(0, entry)).value() | offset_in_page(address));
    return true;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::map_page(
    const PageRange& pages, Frame frame, const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    const Page page = pages.first();
    if (pages.count() != PageCount(1) || !reach_.contains(page)) return false;
    if (frame > highest_frame_ || !format().check(attributes).ok()) return false;
    Entry* const entries = leaf_table(page);
    if (entries == nullptr) return false;
    Entry& place = entries[Shape::index(page, 0)];
    if (load_entry(place) != Format::empty) return false;
    store_entry(place, format().leaf(0, frame, attributes));
    return true;
}

// Where the leaf table stays, because something else is in it.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::unmap_page(
    const PageRange& pages, bool& global)
    requires(VisibleTableAccess<Access>)
{
    const Page page = pages.first();
    if (pages.count() != PageCount(1) || !reach_.contains(page)) return false;
    if (waiting_ != Waiting::nothing) return false;
    Entry* const entries = leaf_table(page);
    if (entries == nullptr) return false;
    const unsigned index = Shape::index(page, 0);
    const Entry entry = load_entry(entries[index]);
    if (format().kind(0, entry) != EntryKind::leaf) return false;
    const unsigned neighbour = index + 1 < Format::entries ? index + 1 : index - 1;
    if (is_vacant(format().kind(0, load_entry(entries[neighbour]))) &&
        !has_other_live_entry(entries, 0, index)) {
        return false;
    }
    store_entry(entries[index], Format::empty);
    global = format().is_global(entry);
    return true;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::protect_page(
    const PageRange& pages, Protection protection, bool& global)
    requires(VisibleTableAccess<Access>)
{
    const Page page = pages.first();
    if (pages.count() != PageCount(1) || !reach_.contains(page)) return false;
    if (!format().check(Attributes{protection, MemoryType::write_back}).ok()) return false;
    Entry* const entries = leaf_table(page);
    if (entries == nullptr) return false;
    Entry& place = entries[Shape::index(page, 0)];
    const Entry entry = load_entry(place);
    if (format().kind(0, entry) != EntryKind::leaf) return false;
    if (format().with_protection(entry, protection) == entry) return false;
    protect_leaf(place, entry, protection);
    global = format().is_global(entry);
    return true;
}

}  // namespace quire
