// SPDX-License-Identifier: MIT
// Tables: unmapping, freeing and protecting what is mapped. Included by tables.hpp.
#pragma once

#include "tables.hpp"

namespace quire::series {

// Tables for the 4 MiB pages that have to be cut: at the two ends of a range at most.
template <class Choices>
struct Tables<Choices>::Plan {
    unsigned cuts = 0;
    Frame tables[2];
    unsigned taken = 0;

    Frame take() { return tables[--taken]; }
};

// One pass finds what is in the way; the tables that are needed are taken; the last pass cannot
// fail.
template <class Choices>
Status Tables<Choices>::change(Frame root, const PageRange& pages, const Change& change) {
    const Session session = access_.begin();
    Plan plan;
    const Status planned = plan_change(session, root, pages, change, plan);
    if (!planned.ok()) return planned;
    while (plan.taken < plan.cuts) {
        const Result<Frame> table = new_table(session);
        if (!table.ok()) {
            if (plan.taken != 0) undo_new_table(plan.take());
            return table.failure();
        }
        plan.tables[plan.taken++] = *table;
    }
    for (PageRange rest = pages; !rest.empty();) {
        const PageRange part = part_of(rest);
        rest = rest.without_prefix(part.count());
        const Status applied = apply_part(session, root, part, change, plan);
        if (!applied.ok()) return applied;
    }
    return {};
}

template <class Choices>
Status Tables<Choices>::plan_change(const Session& session, Frame root, const PageRange& pages,
                                    const Change& change, Plan& plan) {
    for (PageRange rest = pages; !rest.empty();) {
        const PageRange part = part_of(rest);
        rest = rest.without_prefix(part.count());
        const unsigned index = directory_index(part.first());
        const uint64_t address = where(part.first());
        const Result<Entry> entry = load(session, root, index);
        if (!entry.ok()) return entry.failure();
        if (is_withheld(root, index, *entry)) return Failure{Error::out_of_range, address};
        if (!is_present(*entry)) {
            if (!change.skip_holes) return Failure{Error::not_mapped, address};
            continue;
        }
        if (is_large(*entry) && !is_whole(part)) ++plan.cuts;
        const Status checked = plan_pages(session, root, part, *entry, change);
        if (!checked.ok()) return checked;
    }
    return {};
}

template <class Choices>
Status Tables<Choices>::plan_pages(const Session& session, Frame root, const PageRange& part,
                                   Entry entry, const Change& change) {
    const unsigned index = directory_index(part.first());
    if (is_large(entry)) {
        if (change.deed != Deed::free) return {};
        const Frame first =
            Frame((entry & large_frame) >> page_shift) + FrameCount(table_index(part.first()));
        return check_free(FrameRange(first, as_frames(part.count())));
    }
    const auto table = open_table(session, root, entry, index);
    if (!table.ok()) return table.failure();
    const Entry* const entries = table->entries();
    for (const Page page : part) {
        const Entry found = atomic::load(entries[table_index(page)]);
        if (!is_present(found)) {
            if (!change.skip_holes) return Failure{Error::not_mapped, where(page)};
            continue;
        }
        if (change.deed != Deed::free) continue;
        const FrameRange frame(frame_of_entry(found), FrameCount(1));
        const Status checked = check_free(frame);
        if (!checked.ok()) return checked;
    }
    return {};
}

template <class Choices>
Status Tables<Choices>::apply_part(const Session& session, Frame root, const PageRange& part,
                                   const Change& change, Plan& plan) {
    const unsigned index = directory_index(part.first());
    Result<Entry> entry = load(session, root, index);
    if (!entry.ok() || !is_present(*entry)) return {};
    if (is_large(*entry)) {
        if (is_whole(part)) return apply_large(session, root, part, *entry, change);
        const Status cut = split(session, root, index, plan.take());
        if (!cut.ok()) return cut;
    }
    if (change.deed == Deed::protect) {
        const Status granted = grant(session, root, index, change.flags);
        if (!granted.ok()) return granted;
    }
    entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    return apply_pages(session, root, part, *entry, change);
}

template <class Choices>
Status Tables<Choices>::apply_large(const Session& session, Frame root, const PageRange& part,
                                    Entry entry, const Change& change) {
    const unsigned index = directory_index(part.first());
    Entry changed = 0;
    if (change.deed == Deed::protect) {
        const Entry attribute = (change.flags & I86_PTE_PAT) != 0 ? large_attribute : 0;
        changed = (entry & (large_frame | cpu_marks)) | (change.flags & ~Entry{I86_PTE_PAT}) |
                  attribute | I86_PDE_4MB | I86_PDE_PRESENT;
    }
    const Status stored = store(session, root, index, changed);
    if (!stored.ok()) return stored;
    flush_everything(part);
    if (change.deed != Deed::free) return {};
    const Frame first((entry & large_frame) >> page_shift);
    for (unsigned i = 0; i < table_entries; ++i)
        blocks_.free_checked(first + FrameCount(i));
    return {};
}

// What is freed waits in its entry, not present any more, until no TLB knows it.
template <class Choices>
Status Tables<Choices>::apply_pages(const Session& session, Frame root, const PageRange& part,
                                    Entry entry, const Change& change) {
    const auto table = open_table(session, root, entry, directory_index(part.first()));
    if (!table.ok()) return table.failure();
    Entry* const entries = table->entries();
    marks_.clear();
    for (const Page page : part) {
        Entry& place = entries[table_index(page)];
        Entry old = atomic::load(place);
        if (!is_present(old)) continue;
        if (change.deed == Deed::protect) {
            const Entry flags = change.flags | I86_PTE_PRESENT;
            while (!atomic::compare_exchange(place, old,
                                             (old & (I86_PTE_FRAME | cpu_marks)) | flags)) {
            }
        } else {
            marks_.set(table_index(page));
            atomic::store(place, change.deed == Deed::free ? old & I86_PTE_FRAME : 0);
        }
    }
    flush_pages(part);
    if (change.deed != Deed::free) return {};
    for (const Page page : part) {
        if (!marks_.test(table_index(page))) continue;
        const Entry old = atomic::exchange(entries[table_index(page)], 0);
        // A block that is mapped at two of the pages is freed once.
        blocks_.free_checked(frame_of_entry(old));
    }
    return {};
}

// Replaces a 4 MiB page by a table that says the same; once more when the CPU has noted something
// in the entry meanwhile.
template <class Choices>
Status Tables<Choices>::split(const Session& session, Frame root, unsigned index, Frame table) {
    for (;;) {
        const Result<Entry> large = load(session, root, index);
        if (!large.ok()) return large.failure();
        Entry first = *large & (large_frame | (0xfffU & ~Entry{I86_PDE_4MB}));
        if ((*large & large_attribute) != 0) first |= I86_PTE_PAT;
        {
            const auto opened = open_new(session, table);
            if (!opened.ok()) return opened.failure();
            Entry* const entries = opened->entries();
            for (unsigned i = 0; i < table_entries; ++i)
                entries[i] = first + i * static_cast<Entry>(page_size);
        }
        {
            const auto directory = open_directory(session, root);
            if (!directory.ok()) return directory.failure();
            Entry* const entries = directory->entries();
            Entry expected = *large;
            if (!atomic::compare_exchange(entries[index], expected,
                                          entry_of_frame(table) | table_rights)) {
                continue;
            }
        }
        // The pages that are about to change will be flushed, and with any of them the large page
        // goes (SDM vol. 3A 4.10.4.1).
        return store(session, root, index, entry_of_frame(table) | table_rights);
    }
}

template <class Choices>
Status Tables<Choices>::unmap_table(Frame root, Page page) {
    const Session session = access_.begin();
    const unsigned index = directory_index(page);
    const Result<Entry> entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    if (is_withheld(root, index, *entry)) return Failure{Error::out_of_range, where(page)};
    if (!is_present(*entry)) return Failure{Error::not_mapped, where(page)};
    const PageRange all(first_page(index), PageCount(table_entries));
    if (is_shared(index) && !is_large(*entry)) {
        // Other directories lead to it too: it stays, empty.
        const auto table = open_table(session, root, *entry, index);
        if (!table.ok()) return table.failure();
        Entry* const entries = table->entries();
        for (unsigned i = 0; i < table_entries; ++i)
            atomic::store(entries[i], 0);
        flush_everything(all);
        return {};
    }
    const Status stored = store(session, root, index, 0);
    if (!stored.ok()) return stored;
    flush_everything(all);
    if (!is_large(*entry)) blocks_.free_table(frame_of_entry(*entry));
    return {};
}

template <class Choices>
void Tables<Choices>::flush_pages(const PageRange& pages) {
    for (const Page page : pages)
        cpu_.flush_page(address_of(page));
    if (flush_others_ != nullptr) {
        flush_others_(static_cast<virtual_addr>(where(pages.first())), pages.count().value());
    }
}

// Where an entry of the directory has changed.
template <class Choices>
void Tables<Choices>::flush_everything(const PageRange& pages) {
    cpu_.flush_all();
    if (flush_others_ != nullptr) {
        flush_others_(static_cast<virtual_addr>(where(pages.first())), pages.count().value());
    }
}

}  // namespace quire::series
