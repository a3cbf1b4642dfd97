// SPDX-License-Identifier: MIT
#include "host_pages.hpp"

#include <errno.h>
#include <sys/mman.h>

namespace quire::hosted {

namespace {

// What these calls set errno to is nothing to the program.
class KeepErrno {
  public:
    KeepErrno() : saved_(errno) {}
    ~KeepErrno() { errno = saved_; }
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

  private:
    int saved_;
};

void* map(size_t bytes, int protection) {
    return mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

uint64_t number_of(const void* address) {
    return reinterpret_cast<uintptr_t>(address);
}

}  // namespace

Result<void*> HostPages::reserve(size_t bytes, size_t alignment) {
    const KeepErrno keep;
    const size_t extra = alignment > page_size ? alignment - page_size : 0;
    if (extra > SIZE_MAX - bytes) return Failure{Error::out_of_address_space, bytes};
    const bool open = !guarding_ || bytes >= small_limit;
    void* const mapped = map(bytes + extra, open ? PROT_READ | PROT_WRITE : PROT_NONE);
    if (mapped == MAP_FAILED) return Failure{Error::out_of_address_space, bytes};
    auto* const start = static_cast<unsigned char*>(mapped);
    const size_t before = (~reinterpret_cast<uintptr_t>(start) + 1) & (alignment - 1);
    if (bytes >= small_limit) {
        open_base_ = reinterpret_cast<uintptr_t>(start) + before;
        open_bytes_ = bytes;
    }
    if (before != 0) munmap(start, before);
    if (extra != before) munmap(start + before + bytes, extra - before);
    return start + before;
}

Status HostPages::commit(void* address, size_t bytes) {
    if (!guarding_) return {};
    if (reinterpret_cast<uintptr_t>(address) - open_base_ < open_bytes_) return {};
    const KeepErrno keep;
    if (mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0) return {};
    return Failure{Error::out_of_frames, bytes};
}

Status HostPages::decommit(void* address, size_t bytes) {
    const KeepErrno keep;
    const bool open = !guarding_ || reinterpret_cast<uintptr_t>(address) - open_base_ < open_bytes_;
    if (!open && bytes != 0) mprotect(address, bytes, PROT_NONE);
    if (bytes == 0 || madvise(address, bytes, MADV_DONTNEED) == 0) return {};
    return Failure{Error::misaligned, number_of(address)};
}

Status HostPages::release(void* address, size_t bytes) {
    const KeepErrno keep;
    if (munmap(address, bytes) == 0) return {};
    return Failure{Error::out_of_nodes, number_of(address)};
}

Result<void*> HostPages::move(void* address, const Extent& from, const Extent& to) {
    const KeepErrno keep;
    // The host moves one mapping at a time; with guards, what has none of them is one.
    const size_t mapped = guarding_ ? from.committed_bytes : from.reserved_bytes;
    void* const moved = mremap(address, mapped, to.reserved_bytes, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) return Failure{Error::out_of_address_space, to.reserved_bytes};
    if (guarding_) {
        munmap(static_cast<unsigned char*>(address) + mapped, from.reserved_bytes - mapped);
        mprotect(static_cast<unsigned char*>(moved) + to.committed_bytes,
                 to.reserved_bytes - to.committed_bytes, PROT_NONE);
    }
    return moved;
}

}  // namespace quire::hosted
