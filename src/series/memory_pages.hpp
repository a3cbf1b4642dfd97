// SPDX-License-Identifier: MIT
// Memory: pages, by address and by entry. Included by memory.hpp.
#pragma once

#include "memory.hpp"

namespace quire::series {

template <class Choices>
Status Memory<Choices>::map(pdirectory* directory, uint32_t virt, const Backing& backing,
                            size_t bytes, uint32_t flags) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    const Result<PageRange> pages = pages_of(virt, bytes);
    if (!pages.ok()) return pages.failure();
    if ((flags & I86_PTE_FRAME) != 0) return Failure{Error::bad_argument, flags};
    const FrameCount frames_left = frame_of_entry(I86_PTE_FRAME) - backing.first;
    if (pages->count().value() - 1 > frames_left.value()) return Failure{Error::overflow, virt};
    return tables_->map(*root, *pages, backing, flags);
}

template <class Choices>
Status Memory<Choices>::change(pdirectory* directory, uint32_t virt, size_t bytes,
                               const Change& change) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    const Result<PageRange> pages = pages_of(virt, bytes);
    if (!pages.ok()) return pages.failure();
    if ((change.flags & I86_PTE_FRAME) != 0) return Failure{Error::bad_argument, change.flags};
    return tables_->change(*root, *pages, change);
}

template <class Choices>
Status Memory<Choices>::grow(const PageRange& pages) {
    Guard guard(lock_);
    return tables_->map(cpu_.root(), pages, Backing{true, Frame()}, I86_PTE_WRITABLE);
}

template <class Choices>
Status Memory<Choices>::shrink(const PageRange& pages) {
    Guard guard(lock_);
    return tables_->change(cpu_.root(), pages, Change{Deed::free, 0, true});
}

template <class Choices>
Status Memory<Choices>::make_table(pdirectory* directory, uint32_t virt, uint32_t flags) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    if ((flags & I86_PDE_FRAME) != 0) return Failure{Error::bad_argument, flags};
    return tables_->make_table_for(*root, page_of(VirtualAddress(virt)), flags);
}

template <class Choices>
Status Memory<Choices>::unmap_table(pdirectory* directory, uint32_t virt) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    return tables_->unmap_table(*root, page_of(VirtualAddress(virt)));
}

template <class Choices>
Result<series_page> Memory<Choices>::query(pdirectory* directory, uint32_t virt) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    return tables_->query(*root, page_of(VirtualAddress(virt)));
}

template <class Choices>
Result<series_page> Memory<Choices>::next(pdirectory* directory, uint32_t first, uint32_t last) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    if (last < first) return Failure{Error::bad_argument, last};
    return tables_->next(*root, page_of(VirtualAddress(first)), page_of(VirtualAddress(last)));
}

template <class Choices>
Result<pt_entry*> Memory<Choices>::entry(pdirectory* directory, uint32_t virt) {
    Guard guard(lock_);
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    const Page page = page_of(VirtualAddress(virt));
    const Result<Frame> table = tables_->table_of(*root, page);
    if (!table.ok()) return table.failure();
    const uint64_t physical = address_of(*table).value();
    uint32_t shown = 0;
    if constexpr (is_direct) {
        if (physical >= Choices::map_bytes) return Failure{Error::unreachable, physical};
        shown = Choices::map_address + static_cast<uint32_t>(physical);
    } else {
        const bool visible = Choices::reach == Reach::recursive && *root == cpu_.root();
        if (!visible) return Failure{Error::unreachable, physical};
        shown = (uint32_t{Choices::slots.self} << 22) + (directory_index(page) << page_shift);
    }
    const uint32_t at = shown + table_index(page) * static_cast<uint32_t>(sizeof(pt_entry));
    return view().template pointer<pt_entry>(VirtualAddress(at));
}

template <class Choices>
Status Memory<Choices>::allocate_page(pt_entry* entry) {
    Guard guard(lock_);
    if (entry == nullptr) return Failure{Error::bad_argument, 0};
    if (is_present(*entry)) return Failure{Error::already_mapped, *entry & I86_PTE_FRAME};
    const Result<Frame> block = blocks_.allocate(Shown::last);
    if (!block.ok()) return block.failure();
    const Entry kept = *entry & ~(I86_PTE_FRAME | cpu_marks);
    *entry = kept | entry_of_frame(*block) | Choices::map_page_flags | I86_PTE_WRITABLE |
             I86_PTE_PRESENT;
    return {};
}

template <class Choices>
Status Memory<Choices>::free_page(pt_entry* entry) {
    Guard guard(lock_);
    if (entry == nullptr) return Failure{Error::bad_argument, 0};
    const Entry old = *entry;
    if (!is_present(old)) return Failure{Error::not_mapped, old & I86_PTE_FRAME};
    const FrameRange block(frame_of_entry(old), FrameCount(1));
    const Status checked = blocks_.check_free(block);
    if (!checked.ok()) return checked;
    const uint64_t address = old & I86_PTE_FRAME;
    if (known_.find(block.first()) != Known::none) return Failure{Error::in_use, address};
    *entry = 0;
    cpu_.flush_all();
    if (flush_ != nullptr) flush_(0, size_t{1} << (32 - page_shift));
    return blocks_.free(block);
}

}  // namespace quire::series
