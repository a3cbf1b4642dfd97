// SPDX-License-Identifier: MIT
#include "quire/quire.h"

#include "quire/c_face.hpp"
#include "quire/device_memory.hpp"

namespace quire {

namespace {

// The C face's one global: which memory manager its functions work on.
constinit KernelMemory* used_from_c = nullptr;

}  // namespace

void use_from_c(KernelMemory& memory) {
    used_from_c = &memory;
}

namespace {

constexpr int code(Error error) {
    return static_cast<int>(error) + 1;
}
static_assert(code(Error::misaligned) == QUIRE_MISALIGNED);
static_assert(code(Error::unsupported) == QUIRE_UNSUPPORTED);
static_assert(code(Error::out_of_memory) == QUIRE_OUT_OF_MEMORY);
static_assert(code(Error::already_mapped) == QUIRE_ALREADY_MAPPED);
static_assert(code(Error::unreachable) == QUIRE_UNREACHABLE);
static_assert(code(Error::bad_boot_information) == QUIRE_BAD_BOOT_INFORMATION);
static_assert(code(Error::corrupted) == QUIRE_CORRUPTED);
static_assert(static_cast<int>(Protection::global) == QUIRE_GLOBAL);
static_assert(static_cast<int>(MemoryType::device) == QUIRE_DEVICE);

template <class T>
int code(const Result<T>& result) {
    return result.ok() ? QUIRE_OK : code(result.error());
}

KernelMemory& memory() {
    if (used_from_c == nullptr) trap();
    return *used_from_c;
}

AddressView view() {
    return memory().layout().view;
}

Result<Protection> protection_of(unsigned rights) {
    constexpr unsigned all = QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE | QUIRE_USER | QUIRE_GLOBAL;
    if ((rights & ~all) != 0) return Failure{Error::bad_argument, rights};
    return static_cast<Protection>(rights);
}

Result<FrameRange> frames_of(uint64_t physical, uint64_t frames) {
    const PhysicalAddress first(physical);
    if (offset_in_page(first) != 0) return Failure{Error::misaligned, physical};
    return FrameRange::from(frame_of(first), FrameCount(frames));
}

Result<PageRange> pages_of(const void* address, size_t bytes) {
    const VirtualAddress first = view().address(address);
    if (offset_in_page(first) != 0) return Failure{Error::misaligned, first.value()};
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    return PageRange::from(page_of(first), PageCount(bytes >> page_shift));
}

int map_frames(uint64_t physical, size_t bytes, unsigned rights, quire_memory_type type,
               const Placement& placement, void** address) {
    if (bytes % page_size != 0) return QUIRE_MISALIGNED;
    const Result<FrameRange> frames = frames_of(physical, bytes >> page_shift);
    if (!frames.ok()) return code(frames);
    const Result<Attributes> attributes = attributes_from_c(rights, type);
    if (!attributes.ok()) return code(attributes);
    MapOptions options;
    options.attributes = *attributes;
    options.placement = placement;
    const Result<PageRange> pages = memory().space().map(*frames, options);
    if (!pages.ok()) return code(pages);
    *address = view().pointer(address_of(pages->first()));
    return QUIRE_OK;
}

void* pointer_or_null(const Result<void*>& block) {
    return block.ok() ? *block : nullptr;
}

}  // namespace

int code_for_c(const Status& status) {
    return code(status);
}

Result<Attributes> attributes_from_c(unsigned rights, unsigned type) {
    const Result<Protection> protection = protection_of(rights);
    if (!protection.ok()) return protection.failure();
    if (type > QUIRE_DEVICE) return Failure{Error::bad_argument, type};
    return Attributes{*protection, static_cast<MemoryType>(type)};
}

}  // namespace quire

using namespace quire;

extern "C" {

const char* quire_error_text(int error) {
    if (error == QUIRE_OK) return "no error";
    if (error < 0 || error > QUIRE_CORRUPTED) return "unknown error";
    return to_string(static_cast<Error>(error - 1));
}

int quire_frames_allocate(size_t count, uint64_t* physical) {
    return quire_frames_allocate_below(count, UINT64_MAX, page_size, physical);
}

int quire_frames_allocate_below(size_t count, uint64_t highest, uint64_t alignment,
                                uint64_t* physical) {
    if (alignment % page_size != 0) return QUIRE_MISALIGNED;
    const FrameRange allowed = frames_inside(
        PhysicalRange(PhysicalAddress(0), Bytes(highest == UINT64_MAX ? highest : highest + 1)));
    if (allowed.empty()) return QUIRE_OUT_OF_FRAMES;
    FrameConstraints constraints;
    constraints.highest = allowed.last();
    constraints.alignment = FrameCount(alignment >> page_shift);
    const Result<FrameRange> frames =
        memory().frames().allocate_run(FrameCount(count), constraints);
    if (!frames.ok()) return code(frames);
    *physical = address_of(frames->first()).value();
    return QUIRE_OK;
}

int quire_frames_free(uint64_t physical, size_t count) {
    const Result<FrameRange> frames = frames_of(physical, count);
    return frames.ok() ? code(memory().frames().free(*frames)) : code(frames);
}

void quire_frames_count(uint64_t* total, uint64_t* free_frames) {
    const FrameCounters counters = memory().frames().counters();
    *total = counters.total.value();
    *free_frames = counters.free.value();
}

int quire_pages_allocate(size_t bytes, unsigned rights, void** address) {
    if (bytes % page_size != 0) return QUIRE_MISALIGNED;
    const Result<Protection> protection = protection_of(rights);
    if (!protection.ok()) return code(protection);
    AllocateOptions options;
    options.protection = *protection;
    const Result<PageRange> pages =
        memory().space().allocate(PageCount(bytes >> page_shift), options);
    if (!pages.ok()) return code(pages);
    *address = view().pointer(address_of(pages->first()));
    return QUIRE_OK;
}

int quire_map(uint64_t physical, size_t bytes, unsigned rights, enum quire_memory_type type,
              void** address) {
    return map_frames(physical, bytes, rights, type, Placement(), address);
}

int quire_map_at(void* address, uint64_t physical, size_t bytes, unsigned rights,
                 enum quire_memory_type type) {
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return code(pages);
    Placement placement;
    placement.fixed = true;
    placement.at = pages->first();
    void* mapped = nullptr;
    return map_frames(physical, bytes, rights, type, placement, &mapped);
}

int quire_unmap(void* address, size_t bytes) {
    const Result<PageRange> pages = pages_of(address, bytes);
    return pages.ok() ? code(memory().space().unmap(*pages)) : code(pages);
}

int quire_protect(void* address, size_t bytes, unsigned rights) {
    const Result<PageRange> pages = pages_of(address, bytes);
    if (!pages.ok()) return code(pages);
    const Result<Protection> protection = protection_of(rights);
    if (!protection.ok()) return code(protection);
    return code(memory().space().protect(*pages, *protection));
}

int quire_query(const void* address, struct quire_query* answer) {
    const VirtualAddress asked = view().address(address);
    const auto found = memory().space().query(asked);
    if (!found.ok()) return code(found);
    const RegionInfo& region = found->region;
    const Translation& translation = found->translation;
    *answer = {};
    answer->present = translation.state == EntryState::present ? 1 : 0;
    if (answer->present != 0) {
        answer->physical = translation.physical(asked).value();
        answer->rights = static_cast<unsigned>(translation.attributes.protection);
        answer->type = static_cast<quire_memory_type>(translation.attributes.type);
    }
    answer->region_address = address_of(region.pages.first()).value();
    answer->region_bytes = static_cast<size_t>(bytes_of(region.pages.count()).value());
    answer->region_name = region.name;
    return QUIRE_OK;
}

int quire_fault(const struct quire_fault* fault, char* report, size_t report_bytes) {
    Fault told;
    told.address = VirtualAddress(fault->address);
    told.instruction = VirtualAddress(fault->instruction);
    told.access = fault->execute != 0 ? AccessKind::execute
                  : fault->write != 0 ? AccessKind::write
                                      : AccessKind::read;
    told.user = fault->user != 0;
    told.was_present = fault->present != 0;
    const FaultOutcome outcome = memory().space().fault(told);
    if (outcome.resolved) return QUIRE_OK;
    if (report_bytes != 0) {
        TextWriter text(report, report_bytes);
        write(text, outcome.report);
    }
    return code(outcome.report.error);
}

void* quire_malloc(size_t bytes) {
    return pointer_or_null(memory().heap().allocate(bytes));
}

void* quire_calloc(size_t count, size_t bytes) {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) return nullptr;
    return pointer_or_null(memory().heap().allocate_zeroed(total));
}

void* quire_realloc(void* block, size_t bytes) {
    return pointer_or_null(memory().heap().reallocate(block, bytes));
}

void* quire_aligned_alloc(size_t alignment, size_t bytes) {
    return pointer_or_null(memory().heap().allocate_aligned(bytes, alignment));
}

void quire_free(void* block) {
    memory().heap().free(block);
}

void quire_free_sized(void* block, size_t bytes) {
    memory().heap().free_sized(block, bytes);
}

void quire_free_aligned_sized(void* block, size_t alignment, size_t bytes) {
    memory().heap().free_sized(block, bytes, alignment);
}

size_t quire_malloc_trim(void) {
    return memory().heap().trim();
}

void quire_malloc_count(size_t* blocks, size_t* live_bytes, size_t* committed_bytes) {
    const HeapCounters counters = memory().heap().counters();
    *blocks = counters.live_blocks;
    *live_bytes = counters.live_bytes;
    *committed_bytes = counters.committed_bytes;
}

int quire_device_allocate(uint64_t bytes, uint64_t highest, uint64_t alignment, uint64_t boundary,
                          void** address, uint64_t* physical) {
    DeviceMemory devices(memory().frames(), memory().space(), view());
    const Result<DeviceBlock> block = devices.allocate({.bytes = bytes,
                                                        .highest = PhysicalAddress(highest),
                                                        .alignment = alignment,
                                                        .boundary = boundary});
    if (!block.ok()) return code(block);
    *address = block->address;
    *physical = block->physical.value();
    return QUIRE_OK;
}

int quire_device_free(void* address) {
    DeviceMemory devices(memory().frames(), memory().space(), view());
    return code(devices.free(address));
}

size_t quire_malloc_usable_size(const void* block) {
    const Result<size_t> size = memory().heap().usable_size(block);
    return size.ok() ? *size : 0;
}

}  // extern "C"
