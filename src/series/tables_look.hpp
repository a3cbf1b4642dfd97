// SPDX-License-Identifier: MIT
// Tables: what is mapped where. Included by tables.hpp.
#pragma once

#include "tables.hpp"

namespace quire::series {

// A page as its two entries describe it.
constexpr series_page page_of_entries(Page page, Entry directory_entry, Entry entry) {
    constexpr Entry rights = I86_PTE_WRITABLE | I86_PTE_USER;
    const Entry flags = entry & ~I86_PTE_FRAME & (directory_entry | ~rights);
    return series_page{static_cast<uint32_t>(where(page)), entry & I86_PTE_FRAME,
                       static_cast<uint32_t>(page_size), flags};
}
constexpr series_page page_of_large(unsigned index, Entry entry) {
    Entry flags = entry & 0xfffU & ~Entry{I86_PDE_4MB};
    if ((entry & large_attribute) != 0) flags |= I86_PTE_PAT;
    return series_page{static_cast<uint32_t>(where(first_page(index))), entry & large_frame,
                       uint32_t{1} << 22, flags};
}

template <class Choices>
auto Tables<Choices>::load(const Session& session, Frame root, unsigned index) -> Result<Entry> {
    const auto opened = open_directory(session, root);
    if (!opened.ok()) return opened.failure();
    const Entry* const entries = opened->entries();
    return atomic::load(entries[index]);
}

template <class Choices>
Result<Entry> Tables<Choices>::entry(Frame root, unsigned index) {
    const Session session = access_.begin();
    return load(session, root, index);
}

template <class Choices>
Result<series_page> Tables<Choices>::query(Frame root, Page page) {
    const Result<series_page> found = next(root, page, page);
    if (found.ok() && found->bytes == 0) return Failure{Error::not_mapped, where(page)};
    return found;
}

template <class Choices>
Result<series_page> Tables<Choices>::next(Frame root, Page first, Page last) {
    const Session session = access_.begin();
    for (PageRange rest = PageRange::between(first, last); !rest.empty();) {
        const PageRange part = part_of(rest);
        rest = rest.without_prefix(part.count());
        const unsigned index = directory_index(part.first());
        const Result<Entry> entry = load(session, root, index);
        if (!entry.ok()) return entry.failure();
        if (!is_present(*entry)) continue;
        // A walk shows what is mapped, not the tables by which it is.
        if (first != last && is_withheld(root, index, *entry)) continue;
        if (is_large(*entry)) return page_of_large(index, *entry);
        const auto table = open_table(session, root, *entry, index);
        if (!table.ok()) return table.failure();
        const Entry* const entries = table->entries();
        for (const Page page : part) {
            const Entry found = atomic::load(entries[table_index(page)]);
            if (is_present(found)) return page_of_entries(page, *entry, found);
        }
    }
    return series_page{};
}

template <class Choices>
Result<Frame> Tables<Choices>::table_of(Frame root, Page page) {
    const Result<Entry> found = entry(root, directory_index(page));
    if (!found.ok()) return found.failure();
    if (!is_present(*found) || is_large(*found)) return Failure{Error::not_mapped, where(page)};
    return frame_of_entry(*found);
}

template <class Choices>
Status Tables<Choices>::check_free(const FrameRange& frames) const {
    for (size_t at = 0; at < Choices::directories; ++at) {
        const bool inside = known_.used(at) && frames.contains(known_.frame(at));
        if (inside) return Failure{Error::in_use, address_of(known_.frame(at)).value()};
    }
    return blocks_.check_free(frames);
}

template <class Choices>
Status Tables<Choices>::check_directory(Frame root) {
    const Session session = access_.begin();
    const auto opened = open_directory(session, root);
    if (!opened.ok()) return opened.failure();
    const Entry* const entries = opened->entries();
    for (unsigned index = 0; index < table_entries; ++index) {
        const Entry entry = atomic::load(entries[index]);
        if (!is_present(entry) || is_large(entry)) continue;
        const Frame table = frame_of_entry(entry);
        if (table == Frame(0) || !blocks_.contains(table)) {
            return Failure{Error::foreign, address_of(root).value()};
        }
    }
    return {};
}

template <class Choices>
bool Tables<Choices>::agrees(Frame root, uint32_t address) {
    const Page page = page_of(VirtualAddress(address));
    const Result<series_page> now = query(cpu_.root(), page);
    const Result<series_page> then = query(root, page);
    return now.ok() && then.ok() && now->phys - now->virt == then->phys - then->virt;
}

template <class Choices>
bool Tables<Choices>::leads_to(Frame root, Frame table) {
    const Session session = access_.begin();
    const auto opened = open_directory(session, root);
    if (!opened.ok()) return false;
    const Entry* const entries = opened->entries();
    for (unsigned index = 0; index < table_entries; ++index) {
        const Entry entry = atomic::load(entries[index]);
        if (is_present(entry) && !is_large(entry) && frame_of_entry(entry) == table) return true;
    }
    return false;
}

}  // namespace quire::series
