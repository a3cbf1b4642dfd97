// SPDX-License-Identifier: MIT
#include "quire/device_memory.hpp"

#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"

namespace quire {

namespace {

// The regions are known by it.
constexpr char region_name[] = "device memory";

}  // namespace

Result<FrameRange> DeviceMemory::allocate_frames(const DeviceRequest& request) {
    const uint64_t frames = (request.bytes >> page_shift) + (request.bytes % page_size != 0);
    if (!is_power_of_two(request.alignment)) return Failure{Error::misaligned, request.alignment};
    if ((request.boundary & (request.boundary - 1)) != 0) {
        return Failure{Error::misaligned, request.boundary};
    }
    if (request.boundary != 0 && request.boundary < frames << page_shift) {
        return Failure{Error::bad_argument, request.boundary};
    }
    // The last whole frame at or below the limit.
    const uint64_t end = (request.highest.value() >> page_shift) +
                         ((request.highest.value() + 1) % page_size == 0 ? 1 : 0);
    if (end == 0) return Failure{Error::out_of_frames, request.highest.value()};
    FrameConstraints conditions;
    conditions.highest = Frame(min(end - 1, Frame::highest));
    conditions.alignment = FrameCount(max(request.alignment >> page_shift, uint64_t{1}));
    conditions.boundary = FrameCount(request.boundary >> page_shift);
    return frames_.allocate_run(FrameCount(frames), conditions);
}

void DeviceMemory::undo_allocate_frames(const FrameRange& frames) {
    const Status freed = frames_.free(frames);
    if (debug_checks && !freed.ok()) trap();
}

Result<DeviceBlock> DeviceMemory::allocate(const DeviceRequest& request) {
    const Result<FrameRange> frames = allocate_frames(request);
    if (!frames.ok()) return frames.failure();
    MapOptions options;
    options.attributes = Attributes{read_write | Protection::global, request.type};
    options.name = region_name;
    const Result<PageRange> pages = space_.map(*frames, options);
    if (!pages.ok()) {
        undo_allocate_frames(*frames);
        return pages.failure();
    }
    void* const address = view_.pointer(address_of(pages->first()));
    const uint64_t bytes = frames->count().value() << page_shift;
    __builtin_memset(address, 0, static_cast<size_t>(bytes));
    return DeviceBlock{address, address_of(frames->first()), bytes};
}

Status DeviceMemory::free(void* address) {
    const VirtualAddress at = view_.address(address);
    const auto found = space_.query(at);
    if (!found.ok()) return Failure{Error::foreign, at.value()};
    const PageRange pages = found->region.pages;
    const bool ours = found->region.name == region_name && address_of(pages.first()) == at;
    if (!ours) return Failure{Error::foreign, at.value()};
    const Frame first = frame_of(found->translation.physical(at));
    const Status unmapped = space_.unmap(pages);
    if (!unmapped.ok()) return unmapped;
    return frames_.free(FrameRange(first, as_frames(pages.count())));
}

}  // namespace quire
