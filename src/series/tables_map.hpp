// SPDX-License-Identifier: MIT
// Tables: making tables and mappings. Included by tables.hpp.
#pragma once

#include "tables.hpp"

namespace quire::series {

// One pass finds what is in the way; the tables that are missing are made, and taken back when one
// cannot be; the last pass cannot fail.
template <class Choices>
Status Tables<Choices>::map(Frame root, const PageRange& pages, const Backing& backing,
                            Entry flags) {
    const Session session = access_.begin();
    const Status vacant = check_vacant(session, root, pages);
    if (!vacant.ok()) return vacant;
    const Status made = make_tables(session, root, pages);
    if (!made.ok()) return made;
    if (backing.blocks && blocks_.free_count() < as_frames(pages.count())) {
        undo_make_tables(session, root);
        return Failure{Error::out_of_frames, pages.count().value()};
    }
    return fill(session, root, pages, backing, flags);
}

template <class Choices>
Status Tables<Choices>::make_table_for(Frame root, Page page, Entry flags) {
    const Session session = access_.begin();
    const unsigned index = directory_index(page);
    const Status shared = share(session, root, index);
    if (!shared.ok()) return shared;
    const Result<Entry> entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    if (is_withheld(root, index, *entry)) return Failure{Error::out_of_range, where(page)};
    if (is_present(*entry) && is_large(*entry)) return Failure{Error::already_mapped, where(page)};
    const Status made = make_tables(session, root, PageRange(page, PageCount(1)));
    if (!made.ok()) return made;
    return grant(session, root, index, flags);
}

template <class Choices>
Status Tables<Choices>::check_vacant(const Session& session, Frame root, const PageRange& pages) {
    for (PageRange rest = pages; !rest.empty();) {
        const PageRange part = part_of(rest);
        rest = rest.without_prefix(part.count());
        const Status vacant = check_vacant_part(session, root, part);
        if (!vacant.ok()) return vacant;
    }
    return {};
}

template <class Choices>
Status Tables<Choices>::check_vacant_part(const Session& session, Frame root,
                                          const PageRange& part) {
    const unsigned index = directory_index(part.first());
    const Status shared = share(session, root, index);
    if (!shared.ok()) return shared;
    const Result<Entry> entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    if (is_withheld(root, index, *entry)) return Failure{Error::out_of_range, where(part.first())};
    if (!is_present(*entry)) return {};
    if (is_large(*entry)) return Failure{Error::already_mapped, where(part.first())};
    const auto table = open_table(session, root, *entry, index);
    if (!table.ok()) return table.failure();
    const Entry* const entries = table->entries();
    for (const Page page : part) {
        const Entry found = atomic::load(entries[table_index(page)]);
        if (is_present(found)) return Failure{Error::already_mapped, where(page)};
    }
    return {};
}

// An empty table.
template <class Choices>
Result<Frame> Tables<Choices>::new_table(const Session& session) {
    const Result<Frame> frame = blocks_.allocate_table();
    if (!frame.ok()) return frame;
    // Frames for tables are such that they can be opened.
    const auto opened = open_new(session, *frame);
    if (!opened.ok()) trap();
    Entry* const entries = opened->entries();
    __builtin_memset(entries, 0, page_size);
    return frame;
}

// Makes the tables that a range lacks, and marks them.
template <class Choices>
Status Tables<Choices>::make_tables(const Session& session, Frame root, const PageRange& pages) {
    marks_.clear();
    const unsigned last = directory_index(pages.last());
    for (unsigned index = directory_index(pages.first()); index <= last; ++index) {
        const Result<Entry> entry = load(session, root, index);
        if (entry.ok() && is_present(*entry)) continue;
        const Result<Frame> table = new_table(session);
        if (!table.ok()) {
            undo_make_tables(session, root);
            return table.failure();
        }
        marks_.set(index);
        const Status stored = store(session, root, index, entry_of_frame(*table) | table_rights);
        if (!stored.ok()) return stored;
    }
    return {};
}

template <class Choices>
void Tables<Choices>::undo_make_tables(const Session& session, Frame root) {
    for (unsigned index = 0; index < table_entries; ++index) {
        if (!marks_.test(index)) continue;
        const Result<Entry> entry = load(session, root, index);
        if (!entry.ok() || !store(session, root, index, 0).ok()) continue;
        flush_pages(PageRange(first_page(index), PageCount(1)));
        undo_new_table(frame_of_entry(*entry));
    }
}

// Makes a directory entry grant what its pages are to have. Where it withheld that from pages whose
// own entries grant it, those lose it, so that nothing but the new pages gains anything.
template <class Choices>
Status Tables<Choices>::grant(const Session& session, Frame root, unsigned index, Entry flags) {
    const Result<Entry> entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    const Entry missing = flags & (I86_PDE_WRITABLE | I86_PDE_USER) & ~*entry;
    if (missing == 0) return {};
    {
        const auto table = open_table(session, root, *entry, index);
        if (!table.ok()) return table.failure();
        Entry* const entries = table->entries();
        for (unsigned i = 0; i < table_entries; ++i) {
            Entry old = atomic::load(entries[i]);
            while (is_present(old) && (old & missing) != 0 &&
                   !atomic::compare_exchange(entries[i], old, old & ~missing)) {
            }
        }
    }
    const Status stored = store(session, root, index, *entry | missing);
    if (!stored.ok()) return stored;
    flush_pages(PageRange(first_page(index), PageCount(1)));
    return {};
}

// There are tables, nothing is mapped, and there are as many blocks as pages.
template <class Choices>
Status Tables<Choices>::fill(const Session& session, Frame root, const PageRange& pages,
                             const Backing& backing, Entry flags) {
    Frame frame = backing.first;
    for (PageRange rest = pages; !rest.empty();) {
        const PageRange part = part_of(rest);
        rest = rest.without_prefix(part.count());
        const unsigned index = directory_index(part.first());
        const Status granted = grant(session, root, index, flags);
        if (!granted.ok()) return granted;
        const Result<Entry> entry = load(session, root, index);
        if (!entry.ok()) return entry.failure();
        const auto table = open_table(session, root, *entry, index);
        if (!table.ok()) return table.failure();
        Entry* const entries = table->entries();
        for (const Page page : part) {
            if (backing.blocks) frame = *blocks_.allocate(Shown::last);
            atomic::store(entries[table_index(page)],
                          entry_of_frame(frame) | flags | I86_PTE_PRESENT, MemoryOrder::release);
            // The last frame of memory has none after it.
            if (!backing.blocks && page != pages.last()) frame += FrameCount(1);
        }
    }
    return {};
}

}  // namespace quire::series
