// SPDX-License-Identifier: MIT
#include "quire/kernel_memory.hpp"

namespace quire {

namespace {

constexpr Protection kernel_data = read_write | Protection::global;

// Whether the direct map shows memory of this kind: RAM, but not what lies in the first MiB's
// device holes, nor what the firmware wants left alone.
bool is_shown(MemoryKind kind) {
    switch (kind) {
        case MemoryKind::usable:
        case MemoryKind::acpi_reclaimable:
        case MemoryKind::boot_information:
        case MemoryKind::module:
        case MemoryKind::kernel:
            return true;
        default:
            return false;
    }
}

// The kernel's image is mapped elsewhere with its own protections, which a writable alias would
// undo.
Protection shown_protection(MemoryKind kind) {
    return kind == MemoryKind::kernel ? read_only | Protection::global : kernel_data;
}

// Calls `use` for each run of frames that the direct map shows, with its protection, joining
// neighbours so that large pages serve where they can; stops at the first failure.
Status for_each_shown(const MemoryMap& map, FrameCount limit,
                      FunctionRef<Status(const FrameRange&, Protection)> use) {
    if (limit == FrameCount(0)) return {};
    const FrameRange reach(Frame(0), limit);
    FrameRange run;
    Protection run_protection = Protection::none;
    for (const MemoryEntry& entry : map.entries()) {
        if (!is_shown(entry.kind)) continue;
        const FrameRange frames = frames_inside(entry.range).intersection(reach);
        if (frames.empty()) continue;
        const Protection protection = shown_protection(entry.kind);
        if (!run.empty() && run_protection == protection &&
            run.last() + FrameCount(1) == frames.first()) {
            run = FrameRange(run.first(), run.count() + frames.count());
            continue;
        }
        if (!run.empty()) {
            const Status used = use(run, run_protection);
            if (!used.ok()) return used;
        }
        run = frames;
        run_protection = protection;
    }
    return run.empty() ? Status() : use(run, run_protection);
}

PageRange direct_pages(const KernelLayout& layout, const FrameRange& frames) {
    return PageRange(layout.direct_map.first() + as_pages(FrameCount(frames.first().value())),
                     as_pages(frames.count()));
}

// Maps in a table that no CPU uses yet.
Status map_unused(PageTable& table, const PageRange& pages, Frame first,
                  const Attributes& attributes) {
    Result<Invalidation> mapped = table.map(pages, first, attributes);
    if (!mapped.ok()) return mapped.failure();
    mapped->spend_unused();
    return {};
}

}  // namespace

const char* to_string(TableReach reach) {
    switch (reach) {
        case TableReach::direct:
            return "direct map";
        case TableReach::recursive:
            return "recursive slot";
        case TableReach::window:
            return "window";
    }
    return "unknown";
}

Status KernelMemory::map_fixed(PageTable& table, const KernelParts& parts) {
    for (const FixedMapping& fixed : parts.fixed) {
        if (fixed.is_guard()) continue;
        const Status mapped = map_unused(table, fixed.pages, fixed.first, fixed.attributes);
        if (!mapped.ok()) return mapped;
    }
    return {};
}

FrameCount KernelMemory::shown_frames(const KernelParts& parts) const {
    if (reach_ != TableReach::direct) return FrameCount(0);
    return as_frames(parts.layout.direct_map.count());
}

Status KernelMemory::map_direct(PageTable& table, const KernelParts& parts) {
    return for_each_shown(parts.map, shown_frames(parts),
                          [&](const FrameRange& frames, Protection protection) {
                              return map_unused(table, direct_pages(parts.layout, frames),
                                                frames.first(), Attributes{protection, {}});
                          });
}

Status KernelMemory::map_metadata(PageTable& table, BootFrames& boot, const KernelParts& parts) {
    const Bytes wanted = FrameAllocator::metadata_bytes(parts.map);
    const Result<PageCount> count = pages_for(wanted);
    if (!count.ok()) return count.failure();
    if (*count > parts.layout.metadata.count()) {
        return Failure{Error::out_of_address_space, wanted.value()};
    }
    metadata_ = parts.layout.metadata.prefix(*count);
    for (const Page page : metadata_) {
        const Result<Frame> frame = boot.allocate_frame();
        if (!frame.ok()) return frame.failure();
        const Status mapped =
            map_unused(table, PageRange(page, PageCount(1)), *frame, Attributes{kernel_data, {}});
        if (!mapped.ok()) return mapped;
    }
    return {};
}

Status KernelMemory::keep_unmapped(const PageRange& pages, const char* name) {
    AllocateOptions options;
    options.name = name;
    options.placement.fixed = true;
    options.placement.at = pages.first();
    const Result<PageRange> kept = space_->reserve(pages.count(), options);
    return kept.ok() ? Status() : Status(kept.failure());
}

// What the direct map shows, and the addresses between, at which nothing else is to appear.
Status KernelMemory::adopt_direct_map(const KernelParts& parts) {
    PageRange rest = parts.layout.direct_map;
    const auto skip = [&](PageCount pages) -> Status {
        if (pages == PageCount(0)) return {};
        const Status kept = keep_unmapped(rest.prefix(pages), "direct map, no RAM here");
        rest = rest.without_prefix(pages);
        return kept;
    };
    const Status shown = for_each_shown(
        parts.map, shown_frames(parts), [&](const FrameRange& frames, Protection protection) {
            const PageRange pages = direct_pages(parts.layout, frames);
            const Status kept = skip(pages.first() - rest.first());
            if (!kept.ok()) return kept;
            rest = rest.without_prefix(pages.count());
            return space_->adopt(pages, Attributes{protection, {}}, "direct map");
        });
    if (!shown.ok()) return shown;
    return skip(rest.count());
}

Status KernelMemory::adopt_mappings(const KernelParts& parts) {
    for (const FixedMapping& fixed : parts.fixed) {
        const Status adopted = fixed.is_guard()
                                   ? keep_unmapped(fixed.pages, fixed.name)
                                   : space_->adopt(fixed.pages, fixed.attributes, fixed.name);
        if (!adopted.ok()) return adopted;
    }
    if (reach_ == TableReach::direct) {
        const Status adopted = adopt_direct_map(parts);
        if (!adopted.ok()) return adopted;
    }
    const Status metadata = space_->adopt(metadata_, Attributes{kernel_data, {}}, "frame metadata");
    if (!metadata.ok()) return metadata;
    return space_->adopt(windows_, Attributes{}, "windows");
}

Status KernelMemory::start_managers(const KernelParts& parts, BootFrames& boot) {
    const KernelLayout& layout = parts.layout;
    boot_table_frames_ = boot.given_frames() - as_frames(metadata_.count());
    const Span<unsigned char> metadata(
        layout.view.pointer<unsigned char>(address_of(metadata_.first())),
        static_cast<size_t>(bytes_of(metadata_.count()).value()));
    const Status frames = frames_.make().start(boot, metadata, Frame(shown_frames(parts).value()));
    if (!frames.ok()) return frames;

    // A table must lie where the reach can show it; everything else takes the most plentiful.
    tables_from_ = {&*frames_, reach_ == TableReach::direct ? Zone::direct : Zone::high};
    table_->set_frame_source(table_frames());

    space_.make(SpaceParts{*table_, FrameSource(*frames_), *zeroer_, parts.tlb, parts.platform,
                           layout.view},
                layout.kernel, Span<unsigned char>(first_nodes_), NodeGrowth::in_itself);
    const Status adopted = adopt_mappings(parts);
    if (!adopted.ok()) return adopted;

    pages_.make(*space_, "heap", layout.view);
    return heap_.make().start(*pages_, parts.platform, parts.heap);
}

}  // namespace quire
