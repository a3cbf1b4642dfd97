// SPDX-License-Identifier: MIT
#include "quire/space_page_source.hpp"

namespace quire {

Result<PageRange> SpacePageSource::pages_of(void* address, size_t bytes) const {
    const VirtualAddress first = view_.address(address);
    if (offset_in_page(first) != 0) return Failure{Error::misaligned, first.value()};
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    return PageRange::from(page_of(first), PageCount(bytes >> page_shift));
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
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return pages.failure();
    if (!is_whole_reservation(*pages)) {
        return Failure{Error::no_region, address_of(pages->first()).value()};
    }
    return space_.unmap(*pages);
}

bool SpacePageSource::is_whole_reservation(const PageRange& pages) const {
    const auto found = space_.query(address_of(pages.first()));
    return found.ok() && found->region.pages == pages && found->region.backing == Backing::reserved;
}

}  // namespace quire
