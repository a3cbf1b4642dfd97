// SPDX-License-Identifier: MIT
#include "quire/kernel_memory.hpp"

namespace quire {

namespace {

constexpr uint64_t most_low_mark = 1024;
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

// The runs of frames that the direct map shows, each with its protection; neighbours are joined, so
// that large pages serve where they can.
class ShownRuns {
  public:
    // Frames from frame 0 up, `limit` of them, as far as the map has them.
    ShownRuns(const MemoryMap& map, FrameCount limit) : entries_(map.entries()), limit_(limit) {}

    // Goes on to the next run; false when there is none.
    bool next() {
        run_ = FrameRange();
        for (; index_ < entries_.size(); ++index_) {
            const MemoryEntry& entry = entries_[index_];
            const FrameRange frames = shown_frames(entry);
            if (frames.empty()) continue;
            if (run_.empty()) {
                run_ = frames;
                protection_ = shown_protection(entry.kind);
            } else if (run_.last() + FrameCount(1) == frames.first() &&
                       shown_protection(entry.kind) == protection_) {
                run_ = FrameRange(run_.first(), run_.count() + frames.count());
            } else {
                break;
            }
        }
        return !run_.empty();
    }
    const FrameRange& frames() const { return run_; }
    Attributes attributes() const { return Attributes{protection_, {}}; }
    // Where the run is shown in a direct map.
    PageRange pages(const PageRange& direct_map) const {
        return PageRange(direct_map.first() + as_pages(FrameCount(run_.first().value())),
                         as_pages(run_.count()));
    }

  private:
    FrameRange shown_frames(const MemoryEntry& entry) const {
        if (!is_shown(entry.kind)) return FrameRange();
        return frames_inside(entry.range).intersection(FrameRange(Frame(0), limit_));
    }

    Span<const MemoryEntry> entries_;
    FrameCount limit_;
    size_t index_ = 0;
    FrameRange run_;
    Protection protection_ = Protection::none;
};

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

Result<Frame> KernelMemory::TableFrames::allocate_frame_up_to(Frame highest) {
    const Result<FrameRange> run =
        frames->allocate_run(FrameCount(1), FrameConstraints{.zone = zone, .highest = highest});
    if (!run.ok()) return run.failure();
    return run->first();
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
    for (ShownRuns runs(parts.map, shown_frames(parts)); runs.next();) {
        const Status mapped = map_unused(table, runs.pages(parts.layout.direct_map),
                                         runs.frames().first(), runs.attributes());
        if (!mapped.ok()) return mapped;
    }
    return {};
}

FrameRange KernelMemory::table_hull(const KernelParts& parts) const {
    const FrameRange usable = parts.map.usable_hull();
    if (reach_ != TableReach::direct) return usable;
    return usable.intersection(FrameRange(Frame(0), shown_frames(parts)));
}

Status KernelMemory::map_metadata(PageTable& table, BootFrames& boot, const KernelParts& parts) {
    const Bytes wanted = FrameAllocator::metadata_bytes(parts.map);
    const Result<PageCount> count = pages_for(wanted);
    if (!count.ok()) return count.failure();
    if (*count > parts.layout.metadata.count()) {
        return Failure{Error::out_of_address_space, wanted.value()};
    }
    constexpr uint64_t words_per_page = page_size / sizeof(uint16_t);
    const FrameRange tables = table_hull(parts);
    const uint64_t room = (parts.layout.metadata.count() - *count).value();
    words_pages_ = PageCount(static_cast<uintptr_t>(
        min((tables.count().value() + words_per_page - 1) / words_per_page, room)));
    counted_tables_ = tables.prefix(
        min(tables.count(), FrameCount(uint64_t{words_pages_.value()} * words_per_page)));
    metadata_ = parts.layout.metadata.prefix(*count + words_pages_);
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
    return pages.empty() ? Status() : space_->guard(pages, name);
}

// What the direct map shows, and the addresses between, at which nothing else is to appear.
Status KernelMemory::adopt_direct_map(const KernelParts& parts) {
    if (reach_ != TableReach::direct) return {};
    constexpr const char* hole = "no RAM here";
    PageRange rest = parts.layout.direct_map;
    for (ShownRuns runs(parts.map, shown_frames(parts)); runs.next();) {
        const PageRange pages = runs.pages(parts.layout.direct_map);
        const PageCount skipped = pages.first() - rest.first();
        Status adopted = keep_unmapped(rest.prefix(skipped), hole);
        if (adopted.ok()) adopted = space_->adopt(pages, runs.attributes(), "direct map");
        if (!adopted.ok()) return adopted;
        rest = rest.without_prefix(skipped + pages.count());
    }
    return keep_unmapped(rest, hole);
}

Status KernelMemory::adopt_fixed(const KernelParts& parts) {
    for (const FixedMapping& fixed : parts.fixed) {
        const Status adopted = fixed.is_guard()
                                   ? keep_unmapped(fixed.pages, fixed.name)
                                   : space_->adopt(fixed.pages, fixed.attributes, fixed.name);
        if (!adopted.ok()) return adopted;
    }
    return {};
}

Status KernelMemory::start_frames(const KernelParts& parts, BootFrames& boot) {
    boot_table_frames_ = boot.given_frames() - as_frames(metadata_.count());
    const PageCount books = metadata_.count() - words_pages_;
    const Span<unsigned char> metadata(
        parts.layout.view.pointer<unsigned char>(address_of(metadata_.first())),
        static_cast<size_t>(bytes_of(books).value()));
    const Status started = frames_.make().start(boot, metadata, Frame(shown_frames(parts).value()));
    if (!started.ok()) return started;
    take_tables_from_frames(parts);
    return {};
}

void KernelMemory::take_tables_from_frames(const KernelParts& parts) {
    // A table must lie where the reach can show it; everything else takes the most plentiful.
    auto* const words = parts.layout.view.pointer<uint16_t>(
        address_of(metadata_.first() + metadata_.count() - words_pages_));
    tables_from_ = {&*frames_, reach_ == TableReach::direct ? Zone::direct : Zone::high,
                    TableWords{counted_tables_, words}};
    table_->set_frame_source(table_frames());
}

ShownFrames KernelMemory::direct_map() const {
    if (reach_ != TableReach::direct) return {};
    const PageRange& pages = layout_->direct_map;
    return {table_, FrameRange(Frame(0), as_frames(pages.count())), pages.first()};
}

void KernelMemory::start_space(const KernelParts& parts) {
    SpaceParts on{*table_,        FrameSource(*frames_), *zeroer_,    parts.tlb,
                  parts.platform, parts.layout.view,     direct_map()};
    space_.make(on, parts.layout.kernel, Span<unsigned char>(first_nodes_), NodeGrowth::in_itself);
}

// Quire's own pages.
Status KernelMemory::adopt_own() {
    const Status adopted = space_->adopt(metadata_, Attributes{kernel_data, {}}, "frame metadata");
    return adopted.ok() ? space_->adopt(windows_, Attributes{}, "windows") : adopted;
}

Status KernelMemory::start_heap(const KernelParts& parts) {
    pages_.make(*space_, "heap", parts.layout.view);
    return heap_.make().start(*pages_, parts.platform, parts.heap);
}

Status KernelMemory::watch_frames(const KernelParts& parts) {
    FrameWatermarks marks = parts.watermarks;
    if (marks.low == FrameCount(0)) {
        marks.low = FrameCount(min(frames_->counters().free.value() / 64, most_low_mark));
        marks.high = FrameCount(2 * marks.low.value());
    }
    return frames_->set_watermarks(marks, &pressure_.make(*heap_));
}

}  // namespace quire
