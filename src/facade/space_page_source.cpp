// SPDX-License-Identifier: MIT
#include "quire/space_page_source.hpp"

namespace quire {

namespace {

Result<PageCount> whole_pages(size_t bytes) {
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    return PageCount(bytes >> page_shift);
}

}  // namespace

Result<PageRange> SpacePageSource::pages_of(void* address, size_t bytes) const {
    const VirtualAddress first = view_.address(address);
    if (offset_in_page(first) != 0) return Failure{Error::misaligned, first.value()};
    const Result<PageCount> count = whole_pages(bytes);
    if (!count.ok()) return count.failure();
    return PageRange::from(page_of(first), *count);
}

Result<void*> SpacePageSource::reserve(size_t bytes, size_t alignment) {
    const Result<PageCount> count = whole_pages(bytes);
    if (!count.ok()) return count.failure();
    if (alignment % page_size != 0) return Failure{Error::misaligned, alignment};
    AllocateOptions options;
    options.name = name_;
    options.placement.alignment = PageCount(alignment >> page_shift);
    const Result<PageRange> pages = space_.reserve(*count, options);
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
