// SPDX-License-Identifier: MIT
// Memory: how it begins. Included by memory.hpp.
#pragma once

#include "memory.hpp"

namespace quire::series {

// How tables will be reached, for ever.
template <class Choices>
void Memory<Choices>::make_access() {
    if (access_.made()) return;
    if constexpr (is_direct) {
        access_.make(FrameRange(Frame(0), FrameCount(Choices::map_bytes >> page_shift)),
                     VirtualAddress(Choices::map_address), view());
    } else if constexpr (Choices::reach == Reach::recursive) {
        access_.make(Choices::slots, cpu_.local(), view());
    } else {
        access_.make(window_, cpu_.local(), view());
    }
    tables_.make(*access_, cpu_, blocks_, known_);
    tables_->tell_others_through(flush_);
}

template <class Choices>
Status Memory<Choices>::set_window(void* pages, size_t count, pt_entry* entries) {
    Guard guard(lock_);
    if (Choices::reach != Reach::window) return Failure{Error::unsupported, 0};
    if (access_.made() || !window_.pages.empty()) return Failure{Error::in_use, 0};
    const VirtualAddress first = view().address(pages);
    if (!first.is_aligned(Bytes(page_size))) return Failure{Error::misaligned, first.value()};
    if (pages == nullptr || entries == nullptr) return Failure{Error::bad_argument, 0};
    constexpr size_t least = X86_32::levels + 2;
    if (count < least || count > table_entries) return Failure{Error::bad_argument, count};
    const Result<PageRange> range = PageRange::from(page_of(first), PageCount(count));
    if (!range.ok()) return range.failure();
    window_ = WindowPlace{*range, view().address(entries)};
    return {};
}

// The books are told apart from memory that is handed out, where the kernel sees them.
template <class Choices>
void Memory<Choices>::keep_room_locked(Span<unsigned char> room) {
    const uintptr_t first = view().address(room.data()).value();
    if (first > UINT32_MAX || room.size() > UINT32_MAX - first) return;
    const PageRange pages = pages_covering(VirtualRange(VirtualAddress(first), Bytes(room.size())));
    for (const Page page : pages) {
        const Result<Frame> frame = root_at_locked(static_cast<uint32_t>(where(page)));
        if (frame.ok()) blocks_.keep_unowned(*frame);
    }
}

// The books, and the tables that are active already, if they can be looked at.
template <class Choices>
void Memory<Choices>::keep_what_is_in_use_locked(Span<unsigned char> room) {
    const bool can_look = Choices::reach != Reach::window || !window_.pages.empty();
    if (can_look) make_access();
    if (!cpu_.is_paging() || can_look) keep_room_locked(room);
    if (cpu_.is_paging() && can_look) static_cast<void>(tables_->keep_tables(cpu_.root()));
}

template <class Choices>
Status Memory<Choices>::start(uint64_t memory_kib, Span<unsigned char> room) {
    Guard guard(lock_);
    constexpr uint64_t all = uint64_t{1} << (32 - page_shift);
    const Frame shown_end(is_direct ? Choices::map_bytes >> page_shift : all);
    const uint64_t reserve = is_direct ? Choices::table_reserve : 0;
    const Status started = blocks_.start(memory_kib, room, shown_end, reserve);
    if (!started.ok()) return started;
    keep_what_is_in_use_locked(room.first(min(room.size(), Blocks::room_bytes(memory_kib))));
    return {};
}

// Before anything that needs tables: adopts those that are active when nobody said so.
template <class Choices>
Status Memory<Choices>::begin_locked() {
    if (!blocks_.started()) return Failure{Error::no_region, 0};
    if (begun_) return {};
    if (cpu_.is_paging()) return adopt_locked(nullptr);
    // Tables can be built before paging is on where they are seen at their physical addresses.
    if (!is_identity) return Failure{Error::no_region, 0};
    make_access();
    return {};
}

template <class Choices>
Status Memory<Choices>::adopt(pdirectory* directory) {
    Guard guard(lock_);
    if (!blocks_.started()) return Failure{Error::no_region, 0};
    return adopt_locked(directory);
}

template <class Choices>
Status Memory<Choices>::adopt_locked(pdirectory* directory) {
    if (!cpu_.is_paging()) return Failure{Error::unsupported, 0};
    if (Choices::reach == Reach::window && window_.pages.empty()) {
        return Failure{Error::not_mapped, 0};
    }
    make_access();
    const Status slots = check_slots_locked();
    if (!slots.ok()) return slots;
    const Frame root = cpu_.root();
    uint32_t shown = 0;
    if (directory != nullptr) {
        shown = static_cast<uint32_t>(view().address(directory).value());
        const Result<Frame> seen = root_at_locked(shown);
        if (!seen.ok()) return seen.failure();
        if (*seen != root || shown % page_size != 0) return Failure{Error::bad_argument, shown};
    }
    size_t at = known_.find(root);
    if (at == Known::none) at = known_.vacant();
    if (at == Known::none) return Failure{Error::too_many, Choices::directories};
    const Status kept = tables_->keep_tables(root);
    if (!kept.ok()) return kept;
    if (!known_.used(at)) known_.put(at, root, shown, false);
    if (shown != 0) known_.show(at, shown);
    begun_ = true;
    return {};
}

// The kernel's slot leads to its directory; the two that it left to Quire are empty.
template <class Choices>
Status Memory<Choices>::check_slots_locked() {
    if constexpr (Choices::reach == Reach::recursive) {
        const Frame root = cpu_.root();
        const uint32_t self = uint32_t{Choices::slots.self} << 22;
        if (access_->active_root() != root) return Failure{Error::not_mapped, self};
        const unsigned ours[] = {Choices::slots.foreign, Choices::slots.scratch};
        for (const unsigned slot : ours) {
            const Result<Entry> entry = tables_->entry(root, slot);
            if (!entry.ok()) return entry.failure();
            if (is_present(*entry)) return Failure{Error::in_use, uint64_t{slot} << 22};
        }
    }
    return {};
}

// As the tutorial does it: the map at identity, 0xC0000000 to 1 MiB, paging on. Paging is off until
// the end, so physical addresses can be used as they are.
template <class Choices>
Status Memory<Choices>::initialize() {
    Guard guard(lock_);
    if (!blocks_.started()) return Failure{Error::no_region, 0};
    if (cpu_.is_paging()) return adopt_locked(nullptr);
    if (begun_) return Failure{Error::in_use, 0};
    if (!is_identity && Choices::reach != Reach::recursive) return Failure{Error::unsupported, 0};
    const Result<Frame> root = blocks_.allocate_table();
    if (!root.ok()) return root.failure();
    __builtin_memset(entries_at(*root), 0, page_size);
    const Status built = build_first_locked(*root);
    if (!built.ok()) {
        undo_build_first_locked(*root);
        return built;
    }
    const size_t at = known_.vacant();
    known_.put(at, *root, is_identity ? entry_of_frame(*root) : 0, true);
    cpu_.load_root(*root);
    cpu_.set_paging(true);
    make_access();
    begun_ = true;
    return {};
}

template <class Choices>
Status Memory<Choices>::build_first_locked(Frame root) {
    constexpr unsigned map_tables = is_identity ? Choices::map_bytes >> 22 : 1;
    constexpr unsigned high_index = 0xC0000000 >> 22;
    constexpr Frame one_mebibyte(0x100000 >> page_shift);
    for (unsigned index = 0; index < map_tables; ++index) {
        const Frame first(first_page(index).value());
        const Status built = build_table_locked(root, index, first);
        if (!built.ok()) return built;
    }
    if (high_index >= map_tables) {
        const Status built = build_table_locked(root, high_index, one_mebibyte);
        if (!built.ok()) return built;
    }
    if constexpr (Choices::reach == Reach::recursive) {
        entries_at(root)[Choices::slots.self] =
            entry_of_frame(root) | I86_PDE_PRESENT | I86_PDE_WRITABLE;
    }
    return {};
}

// A table that maps 4 MiB from `first` on.
template <class Choices>
Status Memory<Choices>::build_table_locked(Frame root, unsigned index, Frame first) {
    const Result<Frame> table = blocks_.allocate_table();
    if (!table.ok()) return table.failure();
    Entry* const entries = entries_at(*table);
    for (unsigned i = 0; i < table_entries; ++i)
        entries[i] = entry_of_frame(first + FrameCount(i)) | I86_PTE_PRESENT | I86_PTE_WRITABLE;
    entries_at(root)[index] = entry_of_frame(*table) | table_rights;
    return {};
}

template <class Choices>
void Memory<Choices>::undo_build_first_locked(Frame root) {
    for (unsigned index = 0; index < table_entries; ++index) {
        const Entry entry = entries_at(root)[index];
        if (is_present(entry)) blocks_.free_table(frame_of_entry(entry));
    }
    blocks_.free_table(root);
}

template <class Choices>
Status Memory<Choices>::enable_paging(bool enable) {
    Guard guard(lock_);
    if (enable == cpu_.is_paging()) return {};
    if (enable) {
        const Frame root = cpu_.root();
        const uint64_t address = address_of(root).value();
        if (root == Frame(0)) return Failure{Error::bad_argument, 0};
        if (is_identity && blocks_.contains(root)) {
            make_access();
            const uint32_t code = cpu_.code();
            const Result<series_page> page = tables_->query(root, page_of(VirtualAddress(code)));
            // The next instruction is fetched through it.
            if (!page.ok()) return Failure{Error::bad_argument, address};
            if (page->phys != page->virt) return Failure{Error::bad_argument, address};
        }
    }
    cpu_.set_paging(enable);
    return {};
}

}  // namespace quire::series
