// SPDX-License-Identifier: MIT
#include "quire/boot/memory_map.hpp"

namespace quire {

const char* to_string(MemoryKind kind) {
    switch (kind) {
        case MemoryKind::usable:
            return "usable";
        case MemoryKind::acpi_reclaimable:
            return "ACPI tables";
        case MemoryKind::persistent:
            return "persistent";
        case MemoryKind::acpi_nvs:
            return "ACPI non-volatile";
        case MemoryKind::reserved:
            return "reserved";
        case MemoryKind::bad:
            return "bad";
        case MemoryKind::beyond_reach:
            return "beyond reach";
        case MemoryKind::low_memory:
            return "video and ROM";
        case MemoryKind::frame_zero:
            return "frame zero";
        case MemoryKind::boot_information:
            return "boot information";
        case MemoryKind::module:
            return "module";
        case MemoryKind::kernel:
            return "kernel";
    }
    return "unknown";
}

const char* to_string(RepairKind kind) {
    switch (kind) {
        case RepairKind::empty_dropped:
            return "an entry of no bytes was ignored";
        case RepairKind::wrapped_clipped:
            return "an entry was cut off at the top of the physical address space";
        case RepairKind::out_of_order:
            return "an entry starts below its predecessor and was sorted in";
        case RepairKind::overlap_resolved:
            return "two entries overlap, and the more restrictive kind kept the shared part";
        case RepairKind::partial_frame_cut:
            return "usable memory that makes no whole frame was left out";
        case RepairKind::unknown_type:
            return "an entry of an unknown type became reserved";
        case RepairKind::beyond_reach:
            return "usable memory that the page tables cannot address was taken out of use";
        case RepairKind::truncated_entry:
            return "an entry that does not fit in the firmware's map was ignored";
        case RepairKind::reserved_outside_ram:
            return "something was loaded where the firmware names no usable memory";
        case RepairKind::too_many_entries:
            return "usable memory was given up because the map has too many entries";
    }
    return "unknown repair";
}

MemoryTotals MemoryMap::totals() const {
    MemoryTotals sums;
    for (const MemoryEntry& entry : entries())
        sums.by_kind[static_cast<size_t>(entry.kind)] += entry.range.count();
    return sums;
}

const MemoryEntry* MemoryMap::find(PhysicalAddress address) const {
    size_t low = 0;
    size_t high = size_;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (entries_[middle].range.last() < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == size_ || !entries_[low].range.contains(address)) return nullptr;
    return &entries_[low];
}

bool MemoryMap::is_usable(const FrameRange& frames) const {
    if (frames.empty()) return false;
    // Neighbours are merged, so one entry holds all of the range or the range is not all usable.
    const MemoryEntry* entry = find(address_of(frames.first()));
    return entry != nullptr && entry->kind == MemoryKind::usable &&
           frames_inside(entry->range).contains(frames);
}

FrameRange MemoryMap::usable_hull() const {
    FrameRange hull;
    for (const MemoryEntry& entry : entries()) {
        if (entry.kind != MemoryKind::usable) continue;
        const FrameRange frames = frames_inside(entry.range);
        hull = hull.empty() ? frames : FrameRange::between(hull.first(), frames.last());
    }
    return hull;
}

FrameCount MemoryMap::usable_frames() const {
    return frames_for(totals().of(MemoryKind::usable));
}

}  // namespace quire
