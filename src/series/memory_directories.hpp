// SPDX-License-Identifier: MIT
// Memory: directories. Included by memory.hpp.
#pragma once

#include "memory.hpp"

namespace quire::series {

// The physical frame of the directory that the kernel sees at a pointer.
template <class Choices>
Result<Frame> Memory<Choices>::root_of_locked(pdirectory* directory) {
    const Status begun = begin_locked();
    if (!begun.ok()) return begun.failure();
    if (directory == nullptr) return Failure{Error::bad_argument, 0};
    if (directory == active()) {
        if (!cpu_.is_paging()) return Failure{Error::no_region, 0};
        return cpu_.root();
    }
    const auto address = static_cast<uint32_t>(view().address(directory).value());
    if (address % page_size != 0) return Failure{Error::misaligned, address};
    const size_t at = known_.find_shown(address);
    if (at != Known::none) return known_.frame(at);
    const Result<Frame> root = root_at_locked(address);
    if (!root.ok() || (cpu_.is_paging() && *root == cpu_.root())) return root;
    if (known_.find(*root) != Known::none) return root;
    const Status checked = tables_->check_directory(*root);
    if (!checked.ok()) return checked.failure();
    return root;
}

// What frame is at a virtual address now.
template <class Choices>
Result<Frame> Memory<Choices>::root_at_locked(uint32_t address) {
    if (!cpu_.is_paging()) {
        const Frame frame = frame_of(PhysicalAddress(address));
        if (!blocks_.contains(frame)) return Failure{Error::not_mapped, address};
        return frame;
    }
    const Result<series_page> page = tables_->query(cpu_.root(), page_of(VirtualAddress(address)));
    if (!page.ok()) return page.failure();
    return frame_of(PhysicalAddress(page->phys + (address - page->virt)));
}

// Makes a directory visible to the kernel for as long as it is known.
template <class Choices>
Result<uint32_t> Memory<Choices>::show_locked(size_t at, Frame root) {
    if constexpr (is_direct) {
        return Choices::map_address + entry_of_frame(root);
    } else {
        const PageRange page(page_of(VirtualAddress(place_of(at))), PageCount(1));
        const Status mapped =
            tables_->map(cpu_.root(), page, Backing{false, root}, I86_PTE_WRITABLE);
        if (!mapped.ok()) return mapped.failure();
        return place_of(at);
    }
}

template <class Choices>
void Memory<Choices>::hide_locked(size_t at) {
    if (is_direct || known_.shown(at) != place_of(at)) return;
    const PageRange page(page_of(VirtualAddress(place_of(at))), PageCount(1));
    static_cast<void>(tables_->change(cpu_.root(), page, Change()));
}

template <class Choices>
Result<pdirectory*> Memory<Choices>::create_directory() {
    Guard guard(lock_);
    const Status begun = begin_locked();
    if (!begun.ok()) return begun.failure();
    if (!cpu_.is_paging()) return Failure{Error::no_region, 0};
    const size_t at = known_.vacant();
    if (at == Known::none) return Failure{Error::too_many, Choices::directories};
    const Result<Frame> root = tables_->create();
    if (!root.ok()) return root.failure();
    // Known before it is shown, so that a table made for that is in it too.
    known_.put(at, *root, 0, true);
    const Result<uint32_t> shown = show_locked(at, *root);
    if (!shown.ok()) {
        known_.remove(at);
        blocks_.free_table(*root);
        return shown.failure();
    }
    known_.show(at, *shown);
    return pointer(*shown);
}

template <class Choices>
Status Memory<Choices>::destroy_directory(pdirectory* directory) {
    Guard guard(lock_);
    if (directory == active()) return Failure{Error::bad_argument, 0};
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    const uint64_t address = address_of(*root).value();
    if (cpu_.is_paging() && *root == cpu_.root()) return Failure{Error::in_use, address};
    const size_t at = known_.find(*root);
    if (at == Known::none || !known_.made(at)) return Failure{Error::foreign, address};
    tables_->destroy(*root);
    hide_locked(at);
    known_.remove(at);
    return {};
}

// A directory that does not show the code and the stack in use is not survived.
template <class Choices>
Status Memory<Choices>::check_loadable_locked(Frame root) {
    const Failure foreign{Error::foreign, address_of(root).value()};
    const Status shared = tables_->share_all(root);
    if (!shared.ok()) return shared;
    if (!tables_->agrees(root, cpu_.code())) return foreign;
    if (!tables_->agrees(root, cpu_.stack())) return foreign;
    return {};
}

template <class Choices>
Status Memory<Choices>::switch_to(pdirectory* directory) {
    Guard guard(lock_);
    if (directory == active()) return Failure{Error::bad_argument, 0};
    const Result<Frame> root = root_of_locked(directory);
    if (!root.ok()) return root.failure();
    if (cpu_.is_paging()) {
        const Status loadable = check_loadable_locked(*root);
        if (!loadable.ok()) return loadable;
    }
    cpu_.load_root(*root);
    return {};
}

template <class Choices>
Status Memory<Choices>::load_root(uint32_t directory) {
    Guard guard(lock_);
    const Status begun = begin_locked();
    if (!begun.ok()) return begun;
    if (directory == 0) return Failure{Error::bad_argument, 0};
    if (directory % page_size != 0) return Failure{Error::misaligned, directory};
    const Frame root = frame_of(PhysicalAddress(directory));
    if (!blocks_.contains(root)) return Failure{Error::not_mapped, directory};
    if (cpu_.is_paging()) {
        const Status checked = tables_->check_directory(root);
        if (!checked.ok()) return checked;
        const Status loadable = check_loadable_locked(root);
        if (!loadable.ok()) return loadable;
    }
    cpu_.load_root(root);
    return {};
}

template <class Choices>
Result<pdirectory*> Memory<Choices>::active_directory() {
    Guard guard(lock_);
    const Status begun = begin_locked();
    if (!begun.ok()) return begun.failure();
    if (!cpu_.is_paging()) return Failure{Error::no_region, 0};
    const Frame root = cpu_.root();
    size_t at = known_.find(root);
    if (at == Known::none) at = known_.vacant();
    if (at == Known::none) return Failure{Error::too_many, Choices::directories};
    if (!known_.used(at)) known_.put(at, root, 0, false);
    if (known_.shown(at) == 0) {
        const Result<uint32_t> shown = show_locked(at, root);
        if (!shown.ok()) return shown.failure();
        known_.show(at, *shown);
    }
    return pointer(known_.shown(at));
}

}  // namespace quire::series
