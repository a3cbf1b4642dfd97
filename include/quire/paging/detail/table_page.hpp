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

// The table of `start_level` that decides about a page, or null; it is remembered.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::noinline]] typename Format::Entry* FormatPageTable<Format, Access>::find_start(Page page)
    requires(VisibleTableAccess<Access>)
{
    if (!reach_.contains(page)) return nullptr;
    Entry* entries = bytes_.visible_unchecked(root());
    for (unsigned level = bytes_.root_level(); level > start_level; --level) {
        const Entry entry = load_entry(entries[Shape::index(page, level)]);
        const Frame table = format().frame_of(0, entry);
        if (!format().leads_to_table(entry) || table == root()) return nullptr;
        entries = bytes_.visible(table);
        if (entries == nullptr) return nullptr;
    }
    // What a root decides about is not within reach as a whole where it is shared.
    if (!starts_at_root || reach_ == format().pages()) {
        start_ = {page.value() >> Shape::shift(start_level + 1), entries};
    }
    return entries;
}

// Whether the entry for a page leads to a table of the next lower level; and which.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::leads_below(
    const Entry* entries, Page page, unsigned level, Frame& table) const
    requires(VisibleTableAccess<Access>)
{
    const Entry entry = load_entry(entries[Shape::index(page, level)]);
    table = format().frame_of(0, entry);
    // Only in a root can an entry lead to the root.
    const bool shows_itself =
        starts_at_root && RecursivePagingFormat<Format> && level == start_level && table == root();
    return format().leads_to_table(entry) && !shows_itself;
}

// Remembers the leaf table that decides about a page which is going to be changed, if there is one.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::remember_leaf_table(Page page)
    requires(VisibleTableAccess<Access>)
{
    Entry* entries = starts_with(page) ? start_.entries : find_start(page);
    if (entries == nullptr) return false;
    Frame table;
    for (unsigned level = start_level; level > 0; --level) {
        if (!leads_below(entries, page, level, table)) return false;
        entries = bytes_.visible(table);
        if (entries == nullptr) return false;
    }
    leaf_ = {page.value() >> Format::index_bits, entries};
    leaf_count_ = count_of(table);
    return true;
}

// Where a page of the lowest level is mapped. What start_ decides about is within reach.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::translate_page(
    VirtualAddress address, PhysicalAddress& physical)
    requires(VisibleTableAccess<Access>)
{
    const Page page = page_of(address);
    const uintptr_t number = page.value() >> Format::index_bits;
    Entry* entries = seen_.entries;
    if (number != seen_.number) {
        if (!starts_with(page)) return false;
        entries = start_.entries;
        Frame table;
        for (unsigned level = start_level; level > 0; --level) {
            if (!leads_below(entries, page, level, table)) return false;
            entries = bytes_.visible_unchecked(table);
        }
        seen_ = {number, entries};
    }
    const Entry entry = load_entry(entries[Shape::index(page, 0)]);
    if (format().kind(0, entry) != EntryKind::leaf) return false;
    physical =
        PhysicalAddress(address_of(format().frame_of(0, entry)).value() | offset_in_page(address));
    return true;
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<PhysicalAddress> FormatPageTable<Format, Access>::translate_out_of_line(
    VirtualAddress address)
    requires(VisibleTableAccess<Access>)
{
    const Page page = page_of(address);
    PhysicalAddress physical;
    if (!starts_with(page) && find_start(page) && translate_page(address, physical)) {
        return physical;
    }
    const Found found = reach_.contains(page) ? look(page) : Found();
    if (found.is_leaf) return found.physical(format(), address);
    return PageTable::translate(address);
}

// Whether the format can grant the attributes; what they make of a page is remembered.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::grants(
    const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    if (attributes == granted_) return true;
    if (!format().check(attributes).ok()) return false;
    granted_ = attributes;
    granted_entry_ = format().leaf(0, Frame(0), attributes);
    granted_global_ = format().is_global(granted_entry_);
    return true;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::map_page(
    const PageRange& pages, Frame frame, const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    const Page page = pages.first();
    if (pages.count() != PageCount(1) || !remembers(page)) return false;
    if (frame > highest_frame_ || !grants(attributes)) return false;
    Entry& place = leaf_.entries[Shape::index(page, 0)];
    if (load_entry(place) != Format::empty) return false;
    store_entry(place, granted_entry_ | format().frame_bits(frame));
    leaf_count_.add(1, granted_global_);
    return true;
}
// As map_page, for several pages.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::map_few_pages(
    const PageRange& pages, Frame first, const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    if (!lies_in_leaf(pages) || !grants(attributes)) return false;
    const size_t count = pages.count().value();
    if (first > highest_frame_ || (highest_frame_ - first).value() < count - 1) return false;
    Entry* const place = &leaf_.entries[Shape::index(pages.first(), 0)];
    if (detail::count_equal(place, count, Format::empty) != count) return false;
    detail::store_run(place, count, granted_entry_ | format().frame_bits(first),
                      format().frame_bits(Frame(1)));
    leaf_count_.add(count, granted_global_);
    return true;
}
// The place of the entry for a large page of the lowest size, in its table; null where the pages
// are not one, or there is no such table.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
auto FormatPageTable<Format, Access>::large_place(const PageRange& pages, Frame& table)
    -> Entry* requires(VisibleTableAccess<Access>) {
        const Page page = pages.first();
        if (pages != Shape::slot(page, 1) || !format().can_map_at(1)) return nullptr;
        Entry* entries = starts_with(page) ? start_.entries : find_start(page);
        table = root();
        for (unsigned level = start_level; level > 1 && entries != nullptr; --level) {
            if (!leads_below(entries, page, level, table)) return nullptr;
            entries = bytes_.visible(table);
        }
        return entries == nullptr ? nullptr : &entries[Shape::index(page, 1)];
    }

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::map_large_page(const PageRange& pages, Frame first,
                                                     const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    const FrameCount frames = as_frames(Shape::slot_pages(1));
    if (!first.is_aligned(frames) || first > highest_frame_ || !grants(attributes)) return false;
    Frame table;
    Entry* const place = large_place(pages, table);
    if (place == nullptr || load_entry(*place) != Format::empty) return false;
    store_entry(*place, format().leaf(1, first, attributes));
    count_of(table).add(1, granted_global_);
    return true;
}
// Where its table stays, by the count.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::unmap_large_page(const PageRange& pages, bool& global)
    requires(VisibleTableAccess<Access>)
{
    Frame table;
    Entry* const place = large_place(pages, table);
    if (place == nullptr || waiting_ != Waiting::nothing) return false;
    const Entry entry = load_entry(*place);
    if (format().kind(1, entry) != EntryKind::leaf) return false;
    const detail::TableCount count = count_of(table);
    if (!count.known() || !count.remove_but_last(1)) return false;
    store_entry(*place, Format::empty);
    global = format().is_global(entry);
    return true;
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
bool FormatPageTable<Format, Access>::protect_large_page(const PageRange& pages,
                                                         Protection protection, bool& global)
    requires(VisibleTableAccess<Access>)
{
    Frame table;
    Entry* const place = large_place(pages, table);
    if (place == nullptr || !can_grant(protection)) return false;
    const Entry entry = load_entry(*place);
    if (format().kind(1, entry) != EntryKind::leaf || rights_.of(entry) == entry) return false;
    protect_leaf(*place, entry, rights_);
    global = format().is_global(entry);
    return true;
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::map_out_of_line(const PageRange& pages,
                                                                      Frame first,
                                                                      const Attributes& attributes)
    requires(VisibleTableAccess<Access>)
{
    if (remember_leaf_table(pages.first()) &&
        (map_page(pages, first, attributes) || map_few_pages(pages, first, attributes))) {
        return Result<Invalidation>(in_place);
    }
    if (map_large_page(pages, first, attributes)) return Result<Invalidation>(in_place);
    return map_range(pages, first, attributes);
}

// The entry that maps a single page of the remembered leaf table, if that is so, and its place.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline auto FormatPageTable<Format, Access>::mapped_leaf(
    const PageRange& pages, Entry& entry) const -> Entry* requires(VisibleTableAccess<Access>) {
    const Page page = pages.first();
    if (pages.count() != PageCount(1) || !remembers(page)) return nullptr;
    Entry* const place = &leaf_.entries[Shape::index(page, 0)];
    entry = load_entry(*place);
    return format().kind(0, entry) == EntryKind::leaf ? place : nullptr;
}

// Where the leaf table stays, because something else is in it: known from its count or a neighbour,
// or found by a scan.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::unmap_page(
    const PageRange& pages, Scan scan, bool& global)
    requires(VisibleTableAccess<Access>)
{
    Entry entry;
    Entry* const place = mapped_leaf(pages, entry);
    if (place == nullptr || waiting_ != Waiting::nothing) return false;
    if (leaf_count_.known()) {
        if (!leaf_count_.remove_but_last(1)) return false;
    } else {
        const unsigned index = Shape::index(pages.first(), 0);
        const Entry* const neighbour = index + 1 < Format::entries ? place + 1 : place - 1;
        if (is_vacant(format().kind(0, load_entry(*neighbour))) &&
            (scan == Scan::no || !has_other_live_entry(leaf_.entries, 0, index))) {
            return false;
        }
    }
    store_entry(*place, Format::empty);
    global = format().is_global(entry);
    return true;
}
// As unmap_page, for several pages and where there is a count.
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::unmap_few_pages(
    const PageRange& pages, bool& global)
    requires(VisibleTableAccess<Access>)
{
    if (!lies_in_leaf(pages) || waiting_ != Waiting::nothing || !leaf_count_.known()) return false;
    const size_t count = pages.count().value();
    Entry* const place = &leaf_.entries[Shape::index(pages.first(), 0)];
    for (size_t i = 0; i < count; ++i) {
        const Entry entry = load_entry(place[i]);
        if (format().kind(0, entry) != EntryKind::leaf) return false;
        global = global || format().is_global(entry);
    }
    if (!leaf_count_.remove_but_last(count)) return false;
    detail::store_run(place, count, Format::empty, Entry{0});
    return true;
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<UnmapInvalidation> FormatPageTable<Format, Access>::unmap_out_of_line(const PageRange& pages,
                                                                             UnmappedFrames frames,
                                                                             Holes holes)
    requires(VisibleTableAccess<Access>)
{
    bool global = false;
    const bool keeps = frames == UnmappedFrames::keep;
    if ((keeps && remember_leaf_table(pages.first()) &&
         (unmap_page(pages, Scan::yes, global) || unmap_few_pages(pages, global))) ||
        (keeps && unmap_large_page(pages, global))) {
        return Result<UnmapInvalidation>(in_place, request_of(pages, global));
    }
    return unmap_range(pages, frames, holes);
}

template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
[[gnu::always_inline]] inline bool FormatPageTable<Format, Access>::protect_page(
    const PageRange& pages, Protection protection, bool& global)
    requires(VisibleTableAccess<Access>)
{
    Entry entry;
    Entry* const place = mapped_leaf(pages, entry);
    if (place == nullptr || !can_grant(protection)) return false;
    const Rights rights = rights_;
    if (rights.of(entry) == entry) return false;
    protect_leaf(*place, entry, rights);
    if (format().is_global(rights.set)) leaf_count_.add(0, true);
    global = format().is_global(entry);
    return true;
}
template <PagingFormat Format, class Access>
    requires(TableAccess<Access, typename Format::Entry>)
Result<Invalidation> FormatPageTable<Format, Access>::protect_out_of_line(const PageRange& pages,
                                                                          Protection protection,
                                                                          Holes holes)
    requires(VisibleTableAccess<Access>)
{
    bool global = false;
    if ((remember_leaf_table(pages.first()) && protect_page(pages, protection, global)) ||
        protect_large_page(pages, protection, global)) {
        return Result<Invalidation>(in_place, request_of(pages, global));
    }
    return protect_range(pages, protection, holes);
}

}  // namespace quire
