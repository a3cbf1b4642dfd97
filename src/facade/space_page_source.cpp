// SPDX-License-Identifier: MIT
#include "quire/space_page_source.hpp"

namespace quire {

Result<PageRange> SpacePageSource::pages_of(void* address, size_t bytes) const {
    const VirtualAddress first = view_.address(address);
    if (offset_in_page(first) != 0) return Failure{Error::misaligned, first.value()};
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    return PageRange::from(page_of(first), PageCount(bytes >> page_shift));
}

// Of what is made of pages.
PageRange SpacePageSource::pages_at(void* address, size_t bytes) const {
    return PageRange(page_of(view_.address(address)), PageCount(bytes >> page_shift));
}

Result<void*> SpacePageSource::reserve(size_t bytes, size_t alignment) {
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    if (alignment % page_size != 0) return Failure{Error::misaligned, alignment};
    AllocateOptions options;
    options.name = name_;
    options.placement.alignment = PageCount(alignment >> page_shift);
    const Result<PageRange> pages = space_.reserve(PageCount(bytes >> page_shift), options);
    if (!pages.ok()) return pages.failure();
    return view_.pointer(address_of(pages->first()));
}

Status SpacePageSource::commit(void* address, size_t bytes) {
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return pages.failure();
    return space_.commit(*pages);
}

Status SpacePageSource::decommit(void* address, size_t bytes) {
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return pages.failure();
    return space_.decommit(*pages);
}

Status SpacePageSource::release(void* address, size_t bytes) {
    Status status = check_reservation(address, bytes);
    if (status.ok()) status = space_.unmap(pages_at(address, bytes));
    return status;
}

Status SpacePageSource::check_reservation(void* address, size_t bytes) const {
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return pages.failure();
    const VirtualAddress first = address_of(pages->first());
    const auto found = space_.query(first);
    const bool whole =
        found.ok() && found->region.pages == *pages && found->region.backing == Backing::reserved;
    if (!whole) return Failure{Error::no_region, first.value()};
    return {};
}

// The new memory first, which is likeliest not to be had.
Result<void*> SpacePageSource::move(void* address, const Extent& from, const Extent& to) {
    Status status = check_reservation(address, from.reserved_bytes);
    if (!status.ok()) return status.failure();
    Result<void*> base = reserve(to.reserved_bytes, page_size);
    if (!base.ok()) return base;
    const size_t kept = from.committed_bytes;
    status = commit(static_cast<unsigned char*>(*base) + kept, to.committed_bytes - kept);
    if (status.ok()) status = move_pages(address, *base, kept);
    if (!status.ok()) {
        undo_reserve(*base, to.reserved_bytes);
        return status.failure();
    }
    // From here on the block is at its new place, whatever comes.
    undo_reserve(address, from.reserved_bytes);
    return base;
}

Status SpacePageSource::move_pages(void* from, void* to, size_t bytes) {
    return space_.move(pages_at(from, bytes), pages_at(to, bytes));
}

// What is behind it goes with it.
void SpacePageSource::undo_reserve(void* base, size_t bytes) {
    const Status undone = space_.unmap(pages_at(base, bytes));
    if (debug_checks && !undone.ok()) trap();
}

}  // namespace quire
