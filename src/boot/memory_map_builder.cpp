// SPDX-License-Identifier: MIT
// How a map is made canonical. The map's own entries are the work space: from the front the
// firmware's memory, kept sorted and disjoint in bytes while it is collected; from the back the
// kernel's reservations, which must wait until all of the firmware's memory is known so that what
// they take from it can be counted. finish() rounds the former to frames and lays the latter over.
#include "quire/boot/memory_map.hpp"

namespace quire {

namespace {

// The last byte that an entry may have: the top frame is left out, see the header.
constexpr uint64_t last_byte = UINT64_MAX - page_size;

constexpr PhysicalRange bytes_between(uint64_t first, uint64_t last) {
    return PhysicalRange::between(PhysicalAddress(first), PhysicalAddress(last));
}

constexpr bool is_kernels(MemoryKind kind) {
    return kind >= MemoryKind::beyond_reach;
}

}  // namespace

MemoryMapBuilder::MemoryMapBuilder(MemoryMap& map, FirmwareListener* listener)
    : map_(map), listener_(listener) {
    map_.size_ = 0;
    map_.repairs_kept_ = 0;
    map_.repair_count_ = 0;
    map_.firmware_usable_ = Bytes(0);
    map_.partial_frames_ = Bytes(0);
    for (Bytes& taken : map_.taken_)
        taken = Bytes(0);
}

void MemoryMapBuilder::note(RepairKind kind, uint64_t first, uint64_t bytes) {
    ++map_.repair_count_;
    if (map_.repairs_kept_ == repair_capacity) return;
    map_.repairs_[map_.repairs_kept_++] = Repair{kind, first, bytes};
}

void MemoryMapBuilder::add(uint64_t base, uint64_t bytes, MemoryKind kind) {
    if (stage_ != Stage::collecting || is_kernels(kind)) trap();
    if (listener_ != nullptr) listener_->entry(base, bytes, kind);
    if (bytes == 0) return note(RepairKind::empty_dropped, base, bytes);
    if (base < previous_base_) note(RepairKind::out_of_order, base, bytes);
    previous_base_ = base;
    uint64_t last = 0;
    if (__builtin_add_overflow(base, bytes - 1, &last) || last > last_byte) {
        note(RepairKind::wrapped_clipped, base, bytes);
        if (base > last_byte) return;
        last = last_byte;
    }
    if (!place(base, last, kind)) entry_lost_ = true;
}

Status MemoryMapBuilder::reserve(const PhysicalRange& range, MemoryKind kind) {
    if (stage_ != Stage::collecting) return Error::bad_argument;
    if (range.empty()) return Failure{Error::zero_size, range.first().value()};
    if (kind < MemoryKind::low_memory || static_cast<size_t>(kind) >= memory_kinds) {
        return Failure{Error::bad_argument, range.first().value()};
    }
    if (range.last().value() > last_byte) {
        return Failure{Error::out_of_range, range.first().value()};
    }
    // What must not be handed out is worth more than the smallest piece of what may be.
    if (map_.size_ == limit() && !give_up_smallest_usable()) {
        return Failure{Error::too_many, memory_map_capacity};
    }
    ++reservations_;
    map_.entries_[limit()] = MemoryEntry{range, kind};
    return {};
}

Status MemoryMapBuilder::finish(PhysicalAddress highest) {
    if (stage_ != Stage::collecting) return Error::bad_argument;
    note_reservations_outside_ram();
    round_to_frames();
    stage_ = Stage::finishing;
    place_reservations();
    take_beyond(highest);
    if (entry_lost_) return Failure{Error::too_many, memory_map_capacity};
    if (map_.usable_frames() == FrameCount(0)) return Error::no_usable_memory;
    return {};
}

// ---- the sorted entries -------------------------------------------------------------------------

// The first entry that ends at the address or above it.
size_t MemoryMapBuilder::first_reaching(uint64_t address) const {
    size_t index = 0;
    while (index < map_.size_ && map_.entries_[index].range.last().value() < address)
        ++index;
    return index;
}

// Needs a free entry: make_room() first.
void MemoryMapBuilder::insert(size_t index, uint64_t first, uint64_t last, MemoryKind kind) {
    for (size_t i = map_.size_; i > index; --i)
        map_.entries_[i] = map_.entries_[i - 1];
    map_.entries_[index] = MemoryEntry{bytes_between(first, last), kind};
    ++map_.size_;
}

void MemoryMapBuilder::remove(size_t index) {
    --map_.size_;
    for (size_t i = index; i < map_.size_; ++i)
        map_.entries_[i] = map_.entries_[i + 1];
}

// Gives part of one entry another kind; needs two free entries.
void MemoryMapBuilder::replace_part(size_t index, uint64_t first, uint64_t last, MemoryKind kind) {
    const MemoryEntry old = map_.entries_[index];
    if (stage_ == Stage::finishing && old.kind == MemoryKind::usable) {
        map_.taken_[static_cast<size_t>(kind)] += Bytes(last - first) + Bytes(1);
    }
    map_.entries_[index] = MemoryEntry{bytes_between(first, last), kind};
    const uint64_t old_first = old.range.first().value();
    const uint64_t old_last = old.range.last().value();
    if (old_last > last) insert(index + 1, last + 1, old_last, old.kind);
    if (old_first < first) insert(index, old_first, first - 1, old.kind);
}

void MemoryMapBuilder::merge_neighbours() {
    size_t kept = 0;
    for (size_t i = 1; i < map_.size_; ++i) {
        MemoryEntry& left = map_.entries_[kept];
        const MemoryEntry right = map_.entries_[i];
        if (left.kind == right.kind && left.range.last() + Bytes(1) == right.range.first()) {
            left.range = PhysicalRange::between(left.range.first(), right.range.last());
        } else {
            map_.entries_[++kept] = right;
        }
    }
    if (map_.size_ != 0) map_.size_ = kept + 1;
}

// Makes the smallest usable entry a hole, which is safe and costs least; false when there is none.
bool MemoryMapBuilder::give_up_smallest_usable() {
    size_t smallest = map_.size_;
    for (size_t i = 0; i < map_.size_; ++i) {
        const MemoryEntry& entry = map_.entries_[i];
        if (entry.kind == MemoryKind::usable &&
            (smallest == map_.size_ ||
             entry.range.count() < map_.entries_[smallest].range.count())) {
            smallest = i;
        }
    }
    if (smallest == map_.size_) return false;
    const PhysicalRange range = map_.entries_[smallest].range;
    note(RepairKind::too_many_entries, range.first().value(), range.count().value());
    if (stage_ == Stage::finishing) map_.firmware_usable_ -= range.count();
    remove(smallest);
    return true;
}

// Frees two entries, the most that one step of place() needs. Entries may move or go.
bool MemoryMapBuilder::make_room() {
    if (map_.size_ + 2 <= limit()) return true;
    merge_neighbours();
    while (map_.size_ + 2 > limit()) {
        if (!give_up_smallest_usable()) return false;
    }
    return true;
}

// Lays [first, last] over the entries: it fills holes and takes over what has a lower rank. False
// when there was no room for all of it. Each step looks its place up again, because making room
// moves entries, and covers at least one byte more, so that it ends.
bool MemoryMapBuilder::place(uint64_t first, uint64_t last, MemoryKind kind) {
    bool placed = false;
    for (uint64_t at = first; !placed;) {
        if (!make_room()) {
            if (kind != MemoryKind::usable) break;
            note(RepairKind::too_many_entries, at, last - at + 1);
            placed = true;
            break;
        }
        const size_t index = first_reaching(at);
        uint64_t step_last = last;
        if (index == map_.size_ || map_.entries_[index].range.first().value() > at) {
            if (index != map_.size_) {
                step_last = min(last, map_.entries_[index].range.first().value() - 1);
            }
            insert(index, at, step_last, kind);
        } else {
            step_last = min(last, map_.entries_[index].range.last().value());
            if (stage_ == Stage::collecting) {
                note(RepairKind::overlap_resolved, at, step_last - at + 1);
            }
            if (map_.entries_[index].kind < kind) replace_part(index, at, step_last, kind);
        }
        placed = step_last == last;
        at = step_last + 1;
    }
    merge_neighbours();
    return placed;
}

// ---- the steps of finish() ----------------------------------------------------------------------

// Must come before rounding: what was loaded may end in a frame that is only partly usable.
void MemoryMapBuilder::note_reservations_outside_ram() {
    for (size_t i = limit(); i < memory_map_capacity; ++i) {
        const MemoryEntry& reservation = map_.entries_[i];
        if (reservation.kind < MemoryKind::boot_information) continue;
        Bytes outside = reservation.range.count();
        for (const MemoryEntry& entry : map_.entries()) {
            if (entry.kind != MemoryKind::usable) continue;
            outside -= entry.range.intersection(reservation.range).count();
        }
        if (outside == Bytes(0)) continue;
        note(RepairKind::reserved_outside_ram, reservation.range.first().value(), outside.value());
    }
}

// The whole frames inside a usable range; what is left over at its edges is counted and noted.
FrameRange MemoryMapBuilder::cut_to_frames(const PhysicalRange& range) {
    const FrameRange frames = frames_inside(range);
    const auto cut = [&](PhysicalAddress first, Bytes bytes) {
        if (bytes == Bytes(0)) return;
        note(RepairKind::partial_frame_cut, first.value(), bytes.value());
        map_.partial_frames_ += bytes;
    };
    if (frames.empty()) {
        cut(range.first(), range.count());
        return frames;
    }
    const PhysicalRange whole = bytes_of(frames);
    cut(range.first(), whole.first() - range.first());
    cut(whole.last() + Bytes(1), range.last() - whole.last());
    map_.firmware_usable_ += whole.count();
    return frames;
}

// Usable memory inward, everything else outward. Several entries can lie in one frame: each is
// compared with the one kept before it, which is the highest of those that reach that frame.
// Nothing shares a frame that is usable, and no entry becomes more than one run.
void MemoryMapBuilder::round_to_frames() {
    size_t kept = 0;
    for (size_t i = 0; i < map_.size_; ++i) {
        const MemoryEntry entry = map_.entries_[i];
        FrameRange frames;
        if (entry.kind == MemoryKind::usable) {
            frames = cut_to_frames(entry.range);
            if (frames.empty()) continue;
        } else {
            frames = frames_covering(entry.range);
        }
        if (kept != 0) {
            MemoryEntry& below = map_.entries_[kept - 1];
            const FrameRange below_frames = frames_inside(below.range);
            if (below_frames.last() == frames.first()) {
                if (below.kind >= entry.kind) {
                    frames = frames.without_prefix(FrameCount(1));
                    if (frames.empty()) continue;
                } else if (below_frames.count() == FrameCount(1)) {
                    --kept;
                } else {
                    below.range =
                        bytes_of(below_frames.prefix(below_frames.count() - FrameCount(1)));
                }
            }
        }
        map_.entries_[kept++] = MemoryEntry{bytes_of(frames), entry.kind};
    }
    map_.size_ = kept;
    merge_neighbours();
}

// The highest rank first, so that what each kind takes is taken from the firmware's memory and
// from no other reservation. A reservation's entry becomes free before it is placed.
void MemoryMapBuilder::place_reservations() {
    bool frame_zero_placed = false;
    const auto place_frame_zero = [&] {
        if (!place(0, page_size - 1, MemoryKind::frame_zero)) entry_lost_ = true;
        frame_zero_placed = true;
    };
    while (reservations_ != 0) {
        size_t highest = limit();
        for (size_t i = highest + 1; i < memory_map_capacity; ++i) {
            if (map_.entries_[highest].kind < map_.entries_[i].kind) highest = i;
        }
        const MemoryEntry reservation = map_.entries_[highest];
        map_.entries_[highest] = map_.entries_[limit()];
        --reservations_;
        if (reservation.kind <= MemoryKind::frame_zero && !frame_zero_placed) place_frame_zero();
        const PhysicalRange bytes = bytes_of(frames_covering(reservation.range));
        if (!place(bytes.first().value(), bytes.last().value(), reservation.kind)) {
            entry_lost_ = true;
        }
    }
    if (!frame_zero_placed) place_frame_zero();
}

void MemoryMapBuilder::take_beyond(PhysicalAddress highest) {
    // Counted from the top so that it cannot overflow: frames that end above `highest`.
    const PhysicalAddress first = highest.align_down(Bytes(page_size));
    const bool whole = highest - first == Bytes(page_size - 1);
    if (whole && first.value() > last_byte) return;
    const uint64_t beyond = first.value() + (whole ? page_size : 0);
    // From the top down: each turn takes an entry, or the upper part of one, out of use.
    for (size_t i = map_.size_; i-- != 0;) {
        const MemoryEntry entry = map_.entries_[i];
        if (entry.range.last().value() < beyond) return;
        if (entry.kind != MemoryKind::usable) continue;
        const uint64_t from = max(beyond, entry.range.first().value());
        const uint64_t last = entry.range.last().value();
        note(RepairKind::beyond_reach, from, last - from + 1);
        if (!place(from, last, MemoryKind::beyond_reach)) entry_lost_ = true;
        i = first_reaching(from);
    }
}

}  // namespace quire
