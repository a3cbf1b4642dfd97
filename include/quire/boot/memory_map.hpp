// SPDX-License-Identifier: MIT
// The canonical memory map: what the firmware said, put in order and repaired.
//
// However broken the firmware's own map is, a MemoryMap that was built is sorted, its entries are
// disjoint and not empty, usable entries are whole frames (rounded inward), and everything that
// must not be handed out is typed as such. Neighbours of the same kind are merged.
//
// The rule that decides overlaps: each kind has a rank, its position in MemoryKind; where ranges
// overlap, the higher rank wins. So reserved beats usable, and a reservation made by the kernel
// beats everything the firmware said. Each repair is recorded; nothing is mended in silence.
//
// Nothing here allocates. A map is several KiB: keep it in static storage, not on a stack.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/config.hpp"

namespace quire {

enum class MemoryKind : uint8_t {
    usable,            // RAM, free to hand out
    // Told by the firmware.
    acpi_reclaimable,  // ACPI tables: RAM once they have been read
    persistent,        // survives power loss; not general-purpose RAM
    acpi_nvs,          // must be kept across sleep
    reserved,          // by the firmware, or of an unknown type
    bad,               // RAM with defects
    // Reserved by the kernel while it builds the map.
    beyond_reach,      // RAM that the page-table format cannot address
    low_memory,        // the first MiB's structures that are in use (IVT, BDA, EBDA, video, ROM)
    frame_zero,        // frame 0, so that no valid frame has the address null
    boot_information,  // what the boot loader left for the kernel to read; reclaimable later
    module,            // a file the boot loader loaded
    kernel,            // the kernel's own image
};
inline constexpr size_t memory_kinds = static_cast<size_t>(MemoryKind::kernel) + 1;

const char* to_string(MemoryKind kind);

// One run of physical memory of one kind, in bytes.
struct MemoryEntry {
    PhysicalRange range;
    MemoryKind kind = MemoryKind::reserved;
};

// What was wrong with an entry of the firmware's, and what was done.
enum class RepairKind : uint8_t {
    empty_dropped,        // an entry of no bytes was ignored
    wrapped_clipped,      // an entry past the top of 64 bits was cut off there
    out_of_order,         // an entry starts below its predecessor
    overlap_resolved,     // two entries overlap; the higher rank kept the shared part
    partial_frame_cut,    // usable memory that is no whole frame was left out
    unknown_type,         // an entry of a type nobody defined became reserved
    beyond_reach,         // usable memory above the format's limit was taken out of use
    truncated_entry,      // the last entry did not fit in the map's own size and was ignored
    reserved_outside_ram, // a reservation (kernel, module) covers memory that is not RAM
    too_many_entries,     // the capacity was exceeded: the smallest usable run was given up
};
const char* to_string(RepairKind kind);

struct Repair {
    RepairKind kind = RepairKind::empty_dropped;
    uint64_t first = 0;  // of the memory concerned, as the firmware gave it
    uint64_t bytes = 0;
};

// Sums by kind, for the boot log: all entries' bytes.
struct MemoryTotals {
    Bytes by_kind[memory_kinds];
    Bytes of(MemoryKind kind) const { return by_kind[static_cast<size_t>(kind)]; }
};

// The canonical map. Immutable once built (see MemoryMapBuilder). Reading is thread-safe.
class MemoryMap {
  public:
    Span<const MemoryEntry> entries() const { return {entries_, size_}; }
    Span<const Repair> repairs() const { return {repairs_, repairs_kept_}; }
    // All repairs made, more than repairs() holds when its capacity was exceeded.
    size_t repair_count() const { return repair_count_; }
    MemoryTotals totals() const;
    // Bytes the firmware itself called usable, before any reservation of the kernel's, after
    // repairs (whole frames, disjoint). O(1).
    Bytes firmware_usable() const { return firmware_usable_; }
    // What of that each reservation kind took: firmware_usable() less the sum of these is
    // totals().of(usable), to the byte.
    Bytes taken_from_usable(MemoryKind kind) const {
        return taken_[static_cast<size_t>(kind)];
    }
    // The entry that contains an address, or null when no entry does. O(log n).
    const MemoryEntry* find(PhysicalAddress address) const;
    // True when every frame of a non-empty range is usable. O(log n).
    bool is_usable(const FrameRange& frames) const;
    // From the first usable frame to the last, holes included; empty when there is none.
    FrameRange usable_hull() const;
    FrameCount usable_frames() const;

  private:
    friend class MemoryMapBuilder;
    MemoryEntry entries_[memory_map_capacity];
    size_t size_ = 0;
    Repair repairs_[repair_capacity];
    size_t repairs_kept_ = 0;
    size_t repair_count_ = 0;
    Bytes firmware_usable_;
    Bytes taken_[memory_kinds];
};

// Collects what firmware and kernel say, in any order, and makes it canonical. Usage:
//
//     static MemoryMap map;
//     MemoryMapBuilder builder(map);
//     builder.add(base, length, MemoryKind::usable);          // for each entry of the firmware
//     builder.reserve(kernel_image, MemoryKind::kernel);      // as often as needed
//     Status built = builder.finish(PhysicalAddress(0xffffffff));
//
// Frame zero is always reserved. Not synchronised.
class MemoryMapBuilder {
  public:
    // Empties `map` and fills it in place; it must outlive the builder.
    explicit MemoryMapBuilder(MemoryMap& map);

    // An entry of the firmware's, as it stands there: whatever is wrong with it is repaired and
    // recorded. `index` order matters only for reporting disorder. O(entries).
    void add(uint64_t base, uint64_t bytes, MemoryKind kind);
    // Records a repair that a parser made.
    void note(RepairKind kind, uint64_t first, uint64_t bytes);
    // Takes memory out of use; `kind` must be one of the kernel's kinds (low_memory and up). The
    // range is widened to whole frames. Error::zero_size for an empty range, and
    // Error::bad_argument for another kind; then nothing changes. O(entries).
    Status reserve(const PhysicalRange& range, MemoryKind kind);
    // Makes the map canonical. `highest` is the last physical byte that the page-table format can
    // address; usable memory above it becomes beyond_reach.
    // Error::no_usable_memory when nothing usable is left; the map can then still be read, to be
    // shown. O(n log n).
    Status finish(PhysicalAddress highest);

  private:
    MemoryMap& map_;
    // (the implementation may keep more state here)
};

}  // namespace quire
