// SPDX-License-Identifier: MIT
// Tables: directories as a whole, and the part that all of them share. Included by tables.hpp.
#pragma once

#include "tables.hpp"

namespace quire::series {

template <class Choices>
Status Tables<Choices>::store_one(const Session& session, Frame root, unsigned index, Entry entry) {
    const auto opened = open_directory(session, root);
    if (!opened.ok()) return opened.failure();
    Entry* const entries = opened->entries();
    atomic::store(entries[index], entry, MemoryOrder::release);
    return {};
}

// Writes an entry of a directory; of the kernel's part, in every directory.
template <class Choices>
Status Tables<Choices>::store(const Session& session, Frame root, unsigned index, Entry entry) {
    const Status stored = store_one(session, root, index, entry);
    if (!stored.ok() || !is_shared(index)) return stored;
    for (size_t at = 0; at < Choices::directories; ++at) {
        if (!known_.used(at) || known_.frame(at) == root) continue;
        const Status also = store_one(session, known_.frame(at), index, entry);
        if (!also.ok()) return also;
    }
    if (!cpu_.is_paging() || known_.find(cpu_.root()) != Known::none) return {};
    return store_one(session, cpu_.root(), index, entry);
}

// Gives a directory what the active one has in an entry of the kernel's part, if it has nothing.
template <class Choices>
Status Tables<Choices>::share(const Session& session, Frame root, unsigned index) {
    if (!is_shared(index) || !cpu_.is_paging() || is_active(root)) return {};
    const Result<Entry> entry = load(session, root, index);
    if (!entry.ok()) return entry.failure();
    if (is_present(*entry)) return {};
    const Result<Entry> active = load(session, cpu_.root(), index);
    if (!active.ok()) return active.failure();
    if (!is_present(*active) || is_withheld(cpu_.root(), index, *active)) return {};
    return store_one(session, root, index, *active);
}

template <class Choices>
Status Tables<Choices>::share_all(Frame root) {
    const Session session = access_.begin();
    for (unsigned index = 0; index < table_entries; ++index) {
        const Status shared = share(session, root, index);
        if (!shared.ok()) return shared;
    }
    return {};
}

template <class Choices>
Result<Frame> Tables<Choices>::create() {
    const Session session = access_.begin();
    const Result<Frame> root = new_table(session);
    if (!root.ok()) return root;
    const Frame active = cpu_.root();
    for (unsigned index = 0; index < table_entries; ++index) {
        const Result<Entry> entry = load(session, active, index);
        if (!entry.ok()) {
            undo_new_table(*root);
            return entry.failure();
        }
        const auto opened = open_new(session, *root);
        if (!opened.ok()) trap();
        if (!is_present(*entry)) continue;
        Entry* const entries = opened->entries();
        if (!is_large(*entry) && frame_of_entry(*entry) == active) {
            // The kernel's recursive slot, whichever it is.
            entries[index] = (*entry & ~(I86_PDE_FRAME | cpu_marks)) | entry_of_frame(*root);
        } else if (is_shared(index)) {
            entries[index] = *entry;
        }
    }
    return root;
}

template <class Choices>
void Tables<Choices>::destroy(Frame root) {
    const Session session = access_.begin();
    for (unsigned index = 0; index < table_entries; ++index) {
        const Result<Entry> entry = load(session, root, index);
        if (!entry.ok() || !is_present(*entry) || is_large(*entry)) continue;
        if (is_shared(index) || is_withheld(root, index, *entry)) continue;
        if (store_one(session, root, index, 0).ok()) blocks_.free_table(frame_of_entry(*entry));
    }
    blocks_.free_table(root);
}

template <class Choices>
Status Tables<Choices>::keep_tables(Frame root) {
    const Session session = access_.begin();
    const auto opened = open_directory(session, root);
    if (!opened.ok()) return opened.failure();
    const Entry* const entries = opened->entries();
    blocks_.keep_unowned(root);
    for (unsigned index = 0; index < table_entries; ++index) {
        const Entry entry = atomic::load(entries[index]);
        if (is_present(entry) && !is_large(entry)) blocks_.keep_unowned(frame_of_entry(entry));
    }
    return {};
}

}  // namespace quire::series
