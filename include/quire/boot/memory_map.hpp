// SPDX-License-Identifier: MIT
// The canonical memory map: what the firmware said, put in order and repaired.
//
// However broken the firmware's own map is, a MemoryMap that was built is sorted, and its entries
// are disjoint, not empty and made of whole frames. A frame is usable when each of its bytes is
// (usable memory is rounded inward); otherwise it has the kind of the highest rank found in it
// (everything else is rounded outward), or is in no entry when there is nothing but usable bytes
// and holes. Neighbours of the same kind are merged.
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
#include "quire/base/text.hpp"
#include "quire/config.hpp"

namespace quire {

enum class MemoryKind : uint8_t {
    usable,  // RAM, free to hand out
    // Told by the firmware. An entry's first and last frame may hold bytes of other kinds too.
    acpi_reclaimable,  // ACPI tables: RAM once they have been read
    persistent,        // survives power loss; not general-purpose RAM
    acpi_nvs,          // must be kept across sleep
    reserved,          // by the firmware, or of an unknown type
    bad,               // RAM with defects
    // Reserved by the kernel while it builds the map.
    beyond_reach,      // RAM that the page-table format cannot address
    low_memory,        // the part of the first MiB that video memory and ROMs occupy
    frame_zero,        // frame 0 (on a PC: interrupt vectors, BIOS data), so that null is no frame
    boot_information,  // what the boot loader left for the kernel to read; reclaimable later
    module,            // a file the boot loader loaded
    kernel,            // the kernel's own image
};
inline constexpr size_t memory_kinds = static_cast<size_t>(MemoryKind::kernel) + 1;

// A few words, lower case; never null. Any context. O(1).
const char* to_string(MemoryKind kind);

// One run of physical memory of one kind, in bytes.
struct MemoryEntry {
    PhysicalRange range;
    MemoryKind kind = MemoryKind::reserved;
};

// What was wrong with an entry of the firmware's, and what was done.
enum class RepairKind : uint8_t {
    empty_dropped,         // an entry of no bytes was ignored
    wrapped_clipped,       // an entry was cut off where the top frame of the 64-bit space starts
    out_of_order,          // an entry starts below its predecessor
    overlap_resolved,      // two entries overlap; the higher rank kept the shared part
    partial_frame_cut,     // usable memory that is no whole frame was left out
    unknown_type,          // an entry of a type nobody defined became reserved
    beyond_reach,          // usable memory above the format's limit was taken out of use
    truncated_entry,       // the last entry did not fit in the map's own size and was ignored
    reserved_outside_ram,  // what the kernel, a module or boot information lies in is not usable
    too_many_entries,      // the capacity was exceeded: the smallest usable run was given up
};
inline constexpr size_t repair_kinds = static_cast<size_t>(RepairKind::too_many_entries) + 1;

// One sentence without a full stop; never null. Any context. O(1).
const char* to_string(RepairKind kind);

struct Repair {
    RepairKind kind = RepairKind::empty_dropped;
    uint64_t first = 0;  // of the memory concerned, as the firmware gave it
    uint64_t bytes = 0;
};

// One line each, for the boot log: "0x00100000-0x07fdffff usable, 130944 KiB". Any context.
void write(TextWriter& out, const MemoryEntry& entry);
void write(TextWriter& out, const Repair& repair);

// Sums by kind, for the boot log: all entries' bytes.
struct MemoryTotals {
    Bytes by_kind[memory_kinds];
    Bytes of(MemoryKind kind) const { return by_kind[static_cast<size_t>(kind)]; }
};

// The canonical map. Immutable once built (see MemoryMapBuilder). Reading is thread-safe.
//
// Three equations hold to the byte:
//     firmware_usable_raw() - partial_frames() = firmware_usable()
//     firmware_usable() - the sum of taken_from_usable(kind) over all kinds
//         = totals().of(MemoryKind::usable) = bytes_of(usable_frames())
class MemoryMap {
  public:
    Span<const MemoryEntry> entries() const { return {entries_, size_}; }
    Span<const Repair> repairs() const { return {repairs_, repairs_kept_}; }
    // All repairs made, more than repairs() holds when its capacity was exceeded.
    size_t repair_count() const { return repair_count_; }
    // O(entries).
    MemoryTotals totals() const;
    // Bytes the firmware called usable and nothing of higher rank, each counted once, whether or
    // not they make whole frames; less what was given up for too many entries. O(1).
    Bytes firmware_usable_raw() const { return firmware_usable_ + partial_frames_; }
    // What of that makes no whole frames, and is left out.
    Bytes partial_frames() const { return partial_frames_; }
    // What of that is whole frames, before any reservation of the kernel's.
    Bytes firmware_usable() const { return firmware_usable_; }
    // What of firmware_usable() a kind of the kernel's took; zero for the firmware's kinds. Where
    // reservations overlap, the higher rank took it. O(1).
    Bytes taken_from_usable(MemoryKind kind) const { return taken_[static_cast<size_t>(kind)]; }
    // The entry that contains an address, or null when no entry does. O(log n).
    const MemoryEntry* find(PhysicalAddress address) const;
    // True when every frame of a range is usable; false for an empty one. O(log n).
    bool is_usable(const FrameRange& frames) const;
    // From the first usable frame to the last, holes included; empty when there is none.
    // O(entries).
    FrameRange usable_hull() const;
    // O(entries).
    FrameCount usable_frames() const;

  private:
    friend class MemoryMapBuilder;
    MemoryEntry entries_[memory_map_capacity];
    size_t size_ = 0;
    Repair repairs_[repair_capacity];
    size_t repairs_kept_ = 0;
    size_t repair_count_ = 0;
    Bytes firmware_usable_;
    Bytes partial_frames_;
    Bytes taken_[memory_kinds];
};

// Told of every entry of the firmware's as it stands there, before anything is mended: for boot
// logs.
class FirmwareListener {
  public:
    virtual void entry(uint64_t /*base*/, uint64_t /*bytes*/, MemoryKind) {}

  protected:
    ~FirmwareListener() = default;
};

// Collects what firmware and kernel say, in any order, and makes it canonical. Usage:
//
//     static MemoryMap map;
//     MemoryMapBuilder builder(map);
//     builder.add(base, length, MemoryKind::usable);          // for each entry of the firmware
//     builder.reserve(kernel_image, MemoryKind::kernel);      // as often as needed
//     Status built = builder.finish(PhysicalAddress(0xffffffff));
//
// Frame zero is always reserved. The top frame of the 64-bit space is in no map: no machine has
// memory there, and without it the size of every range fits 64 bits. Not synchronised. What is
// added after finish(), and a kind that is not the firmware's, are traps.
class MemoryMapBuilder {
  public:
    // Empties `map` and fills it in place; it must outlive the builder. So must the listener, if
    // there is one.
    explicit MemoryMapBuilder(MemoryMap& map, FirmwareListener* listener = nullptr);
    MemoryMapBuilder(const MemoryMapBuilder&) = delete;
    MemoryMapBuilder& operator=(const MemoryMapBuilder&) = delete;

    // An entry of the firmware's, as it stands there: whatever is wrong with it is repaired and
    // recorded. The order of entries matters only for reporting disorder. O(entries) for each
    // entry that it overlaps, and one.
    void add(uint64_t base, uint64_t bytes, MemoryKind kind);
    // Records a repair that a parser made. O(1).
    void note(RepairKind kind, uint64_t first, uint64_t bytes);
    // Takes memory out of use; `kind` must be one of the kernel's kinds (low_memory and up). The
    // range is widened to whole frames. Error::zero_size for an empty range, Error::bad_argument
    // for another kind or after finish(), Error::out_of_range when it touches the top frame of the
    // 64-bit space, Error::too_many when the capacity is exhausted; then nothing changes. O(1).
    Status reserve(const PhysicalRange& range, MemoryKind kind);
    // Makes the map canonical. `highest` is the last physical byte that the page-table format can
    // address; usable memory above it becomes beyond_reach.
    // Error::no_usable_memory when nothing usable is left, Error::too_many when the capacity does
    // not even hold what must not be handed out; the map can then still be read, to be shown.
    // Error::bad_argument when it was called before; then nothing changes. O(n^2) for n entries.
    Status finish(PhysicalAddress highest);

  private:
    enum class Stage : uint8_t { collecting, finishing };

    size_t limit() const { return memory_map_capacity - reservations_; }
    size_t first_reaching(uint64_t address) const;
    void insert(size_t index, uint64_t first, uint64_t last, MemoryKind kind);
    void remove(size_t index);
    void replace_part(size_t index, uint64_t first, uint64_t last, MemoryKind kind);
    void merge_neighbours();
    bool give_up_smallest_usable();
    bool make_room();
    bool place(uint64_t first, uint64_t last, MemoryKind kind);
    void note_reservations_outside_ram();
    FrameRange cut_to_frames(const PhysicalRange& range);
    void round_to_frames();
    void place_reservations();
    void take_beyond(PhysicalAddress highest);

    MemoryMap& map_;
    FirmwareListener* listener_;
    size_t reservations_ = 0;  // kept at the far end of the map's entries until finish()
    uint64_t previous_base_ = 0;
    Stage stage_ = Stage::collecting;
    bool entry_lost_ = false;  // something that must not be handed out found no room
};

}  // namespace quire
