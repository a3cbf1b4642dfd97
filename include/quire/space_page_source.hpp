// SPDX-License-Identifier: MIT
// Joins the heap to an address space: pages by address, and nothing else.
#pragma once

#include "quire/base/frame_access.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/space/address_space.hpp"

namespace quire {

// Locks as AddressSpace does. The space must outlive it.
class SpacePageSource final : public PageSource {
  public:
    // `name` is what the regions are called and must outlive them. `view` says where the space's
    // address zero appears; nothing to say in a kernel.
    constexpr SpacePageSource(AddressSpace& space, const char* name, AddressView view = {})
        : space_(space), name_(name), view_(view) {}

    Result<void*> reserve(size_t bytes, size_t alignment) override;
    Status commit(void* address, size_t bytes) override;
    Status decommit(void* address, size_t bytes) override;
    Status release(void* address, size_t bytes) override;
    Result<void*> move(void* address, const Extent& from, const Extent& to) override;

  private:
    Result<PageRange> pages_of(void* address, size_t bytes) const;
    PageRange pages_at(void* address, size_t bytes) const;
    // Whether that is one reservation, and all of it. Errors: misaligned, no_region.
    [[gnu::noinline]] Status check_reservation(void* address, size_t bytes) const;
    [[gnu::noinline]] Status move_pages(void* from, void* to, size_t bytes);
    [[gnu::noinline]] void undo_reserve(void* base, size_t bytes);

    AddressSpace& space_;
    const char* name_;
    AddressView view_;
};

}  // namespace quire
