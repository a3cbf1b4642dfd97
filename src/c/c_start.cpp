// SPDX-License-Identifier: MIT
// What a C kernel says of itself, made into the parts that the facade starts on.
#include "quire/c_start.hpp"

namespace quire::detail {

namespace {

// Whole pages; none when both are zero.
Result<PageRange> pages_between(uintptr_t first, uintptr_t last) {
    if (first == 0 && last == 0) return PageRange();
    if (last < first) return Failure{Error::bad_argument, first};
    const VirtualRange bytes = VirtualRange::between(VirtualAddress(first), VirtualAddress(last));
    const PageRange pages = pages_inside(bytes);
    if (pages != pages_covering(bytes)) return Failure{Error::misaligned, first};
    return pages;
}

Result<FixedMapping> fixed_mapping(const quire_mapping& from) {
    if (from.address % page_size != 0) return Failure{Error::misaligned, from.address};
    if (from.physical % page_size != 0) return Failure{Error::misaligned, from.physical};
    if (from.bytes % page_size != 0) return Failure{Error::misaligned, from.bytes};
    const Result<PageRange> pages =
        PageRange::from(page_of(VirtualAddress(from.address)), PageCount(from.bytes >> page_shift));
    if (!pages.ok()) return pages.failure();
    const Result<Attributes> attributes = attributes_from_c(from.rights, from.type);
    if (!attributes.ok()) return attributes.failure();
    return FixedMapping{*pages, frame_of(PhysicalAddress(from.physical)), *attributes, from.name};
}

}  // namespace

Status read_map_from_c(const StartParts& start, PhysicalReader read, MemoryMapBuilder& builder,
                       BootInformation& information) {
    const PhysicalAddress address(start.multiboot_information);
    const Status parsed =
        parse_multiboot(start.multiboot_magic, address, read, builder, information);
    if (!parsed.ok()) return parsed;
    if (start.image_end <= start.image_begin) return Failure{Error::zero_size, start.image_begin};
    const PhysicalRange image = PhysicalRange::between(PhysicalAddress(start.image_begin),
                                                       PhysicalAddress(start.image_end - 1));
    const Status reserved = builder.reserve(image, MemoryKind::kernel);
    if (!reserved.ok()) return reserved;
    return builder.finish(PhysicalAddress(UINT32_MAX));
}

Result<KernelLayout> layout_from_c(const StartParts& start, AddressView view) {
    KernelLayout layout;
    const struct {
        PageRange& pages;
        uintptr_t first;
        uintptr_t last;
    } ranges[] = {{layout.kernel, start.kernel_first, start.kernel_last},
                  {layout.direct_map, start.direct_map_first, start.direct_map_last},
                  {layout.metadata, start.metadata_first, start.metadata_last},
                  {layout.windows, start.windows_first, start.windows_last}};
    for (const auto& range : ranges) {
        const Result<PageRange> pages = pages_between(range.first, range.last);
        if (!pages.ok()) return pages.failure();
        range.pages = *pages;
    }
    layout.self_slot = start.self_slot;
    layout.foreign_slot = start.foreign_slot;
    layout.scratch_slot = start.scratch_slot;
    layout.view = view;
    return layout;
}

Result<size_t> fixed_from_c(const StartParts& start, Span<FixedMapping> fixed) {
    if (start.fixed_count > fixed.size()) return Failure{Error::too_many, start.fixed_count};
    for (size_t i = 0; i < start.fixed_count; ++i) {
        const Result<FixedMapping> mapping = fixed_mapping(start.fixed[i]);
        if (!mapping.ok()) return mapping.failure();
        fixed[i] = *mapping;
    }
    return start.fixed_count;
}

void CPlatform::log(Severity severity, const char* text) {
    if (log_ != nullptr) log_(static_cast<int>(severity), text);
}

void CPlatform::panic(const Report& report) {
    char buffer[256];
    TextWriter text(buffer);
    write(text, report);
    if (panic_ != nullptr) panic_(text.text());
    trap();
}

}  // namespace quire::detail
