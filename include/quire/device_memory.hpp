// SPDX-License-Identifier: MIT
// Memory for devices: frames that follow one another, under the device's conditions, and mapped.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/phys/frame_allocator.hpp"
#include "quire/space/address_space.hpp"

namespace quire {

struct DeviceRequest {
    uint64_t bytes = 0;  // rounded up to whole frames
    // The last byte lies at or below: what the device can address.
    PhysicalAddress highest = PhysicalAddress(UINT64_MAX);
    uint64_t alignment = page_size;  // of the first byte; a power of two
    uint64_t boundary = 0;           // no multiple of this power of two lies inside; 0: any may
    // Write-back where devices see the CPU's caches (x86): then the direct map may show it too.
    MemoryType type = MemoryType::write_back;
};

struct DeviceBlock {
    void* address;             // for the CPU
    PhysicalAddress physical;  // for the device
    uint64_t bytes;            // whole pages
};

// Synchronised as the frame allocator and the space are, which must outlive it. In threads.
class DeviceMemory {
  public:
    constexpr DeviceMemory(FrameAllocator& frames, AddressSpace& space, AddressView view = {})
        : frames_(frames), space_(space), view_(view) {}

    // Zeroed memory. Errors, nothing changed: zero_size, misaligned (alignment or boundary no
    // power of two), bad_argument (a boundary smaller than the block), out_of_frames, and as
    // AddressSpace::map. O(bytes), and O(blocks) of the frame
    // allocator.
    Result<DeviceBlock> allocate(const DeviceRequest& request);
    // By the address that allocate returned. Errors, nothing changed: foreign (another address or
    // mapping), and as AddressSpace::unmap.
    Status free(void* address);

  private:
    Result<FrameRange> allocate_frames(const DeviceRequest& request);
    void undo_allocate_frames(const FrameRange& frames);

    FrameAllocator& frames_;
    AddressSpace& space_;
    AddressView view_;
};

}  // namespace quire
