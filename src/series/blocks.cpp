// SPDX-License-Identifier: MIT
#include "blocks.hpp"

namespace quire::series {

Status Blocks::start(uint64_t memory_kib, Span<unsigned char> room, Frame shown_end,
                     uint64_t reserve) {
    const Status fit = check_start(memory_kib, room);
    if (!fit.ok()) return fit;
    memory_kib_ = memory_kib;
    reserve_ = reserve;
    return start_books(room, shown_end);
}

// Leaves the map built.
Status Blocks::check_start(uint64_t memory_kib, Span<unsigned char> room) {
    if (started()) return Failure{Error::in_use, 0};
    const uint64_t frames = frames_of(memory_kib);
    const uintptr_t address = reinterpret_cast<uintptr_t>(room.data());
    if (address % room_alignment != 0) return Failure{Error::misaligned, address};
    const Status mapped = make_map(frames);
    if (!mapped.ok()) return mapped;
    const size_t wanted = allocator_bytes() + BlockStates::bytes_for(frames);
    if (room.size() < wanted) return Failure{Error::out_of_nodes, wanted};
    return {};
}

Status Blocks::start_books(Span<unsigned char> room, Frame shown_end) {
    const uint64_t frames = frames_of(memory_kib_);
    const size_t allocator = allocator_bytes();
    boot_.make(map_, map_.usable_hull());
    const Status begun = frames_.start(*boot_, room.first(allocator), shown_end);
    if (!begun.ok()) return begun;
    states_ = BlockStates(room.subspan(allocator, BlockStates::bytes_for(frames)), frames);
    states_.set(0, BlockState::kept);
    return frames_.allocate_at(map_.usable_hull());
}

size_t Blocks::allocator_bytes() const {
    return round_up(BasicFrameAllocator<NoLock>::metadata_bytes(map_).value());
}

// A map in which all memory is usable.
Status Blocks::make_map(uint64_t frames) {
    MemoryMapBuilder builder(map_);
    builder.add(0, frames << page_shift, MemoryKind::usable);
    return builder.finish(PhysicalAddress(UINT32_MAX));
}

// What of some frames is memory at all. `asked` is for the error.
Result<FrameRange> Blocks::clip(const FrameRange& frames, PhysicalAddress asked) const {
    if (frames.empty()) return Failure{Error::zero_size, asked.value()};
    const FrameRange memory(Frame(0), count());
    const FrameRange inside = frames.intersection(memory);
    if (inside.empty()) return Failure{Error::out_of_range, asked.value()};
    return inside;
}

// The first frames of a range whose state is the same, and whether they are free is too.
FrameRange Blocks::equal_run(const FrameRange& frames) const {
    const uint64_t first = frames.first().value();
    const BlockState state = states_.of(first);
    const bool is_free = frames_.is_free(frames.first());
    uint64_t count = 1;
    while (count < frames.count().value() && states_.of(first + count) == state &&
           frames_.is_free(Frame(first + count)) == is_free) {
        ++count;
    }
    return frames.prefix(FrameCount(count));
}

void Blocks::set(const FrameRange& frames, BlockState state) {
    for (const Frame frame : frames)
        states_.set(frame.value(), state);
}

Status Blocks::make_free(const PhysicalRange& region) {
    const Result<FrameRange> frames = clip(frames_inside(region), region.first());
    if (!frames.ok()) return frames.failure();
    for (FrameRange rest = *frames; !rest.empty();) {
        const FrameRange run = equal_run(rest);
        rest = rest.without_prefix(run.count());
        if (states_.of(run.first().value()) != BlockState::withheld) continue;
        set(run, BlockState::available);
        const Status freed = frames_.free(run);
        if (!freed.ok()) return freed;
    }
    return {};
}

Status Blocks::make_used(const PhysicalRange& region) {
    const Result<FrameRange> frames = clip(frames_covering(region), region.first());
    if (!frames.ok()) return frames.failure();
    for (FrameRange rest = *frames; !rest.empty();) {
        const FrameRange run = equal_run(rest);
        rest = rest.without_prefix(run.count());
        const BlockState state = states_.of(run.first().value());
        if (frames_.is_free(run.first())) {
            const Status taken = frames_.allocate_at(run);
            if (!taken.ok()) return taken;
            set(run, BlockState::withheld);
        } else if (state != BlockState::withheld) {
            set(run, BlockState::kept);
        }
    }
    return {};
}

Status Blocks::keep(const PhysicalRange& region) {
    const Result<FrameRange> frames = clip(frames_covering(region), region.first());
    if (!frames.ok()) return frames.failure();
    for (FrameRange rest = *frames; !rest.empty();) {
        const FrameRange run = equal_run(rest);
        rest = rest.without_prefix(run.count());
        if (frames_.is_free(run.first())) {
            const Status taken = frames_.allocate_at(run);
            if (!taken.ok()) return taken;
        }
        set(run, BlockState::kept);
    }
    return {};
}

void Blocks::keep_unowned(Frame frame) {
    if (!contains(frame)) return;
    const FrameRange one(frame, FrameCount(1));
    const bool is_free = frames_.is_free(frame);
    if (is_free && !frames_.allocate_at(one).ok()) return;
    if (is_free || state_is(frame, BlockState::withheld)) set(one, BlockState::kept);
}

// Whether so many of the frames that the map shows can go and the tables' reserve stays.
bool Blocks::leaves_reserve(FrameCount count) const {
    const FrameCounters counters = frames_.counters();
    const FrameCount shown = counters.of(Zone::dma).free + counters.of(Zone::direct).free;
    return shown >= count && (shown - count).value() >= reserve_;
}

Result<Frame> Blocks::allocate(Shown shown) {
    const bool low = shown == Shown::first && leaves_reserve(FrameCount(1));
    return frames_.allocate(low ? Zone::direct : Zone::high);
}

Result<FrameRange> Blocks::allocate_run(FrameCount count) {
    FrameConstraints constraints;
    constraints.zone = Zone::direct;
    if (leaves_reserve(count)) {
        const Result<FrameRange> run = frames_.allocate_run(count, constraints);
        if (run.ok()) return run;
    }
    constraints.zone = Zone::high;
    return frames_.allocate_run(count, constraints);
}

Status Blocks::check_free(const FrameRange& frames) const {
    for (const Frame frame : frames) {
        const uint64_t address = address_of(frame).value();
        if (!contains(frame)) return Failure{Error::out_of_range, address};
        const BlockState state = states_.of(frame.value());
        if (state == BlockState::table) return Failure{Error::in_use, address};
        if (state != BlockState::available) return Failure{Error::reserved, address};
        if (frames_.is_free(frame)) return Failure{Error::already_free, address};
    }
    return {};
}

Status Blocks::free(const FrameRange& frames) {
    const Status checked = check_free(frames);
    if (!checked.ok()) return checked;
    return frames_.free(frames);
}

void Blocks::free_checked(Frame frame) {
    if (is_available(frame)) static_cast<void>(frames_.free(frame));
}

Result<Frame> Blocks::allocate_table() {
    const Result<Frame> frame = frames_.allocate(Zone::direct);
    if (frame.ok()) states_.set(frame->value(), BlockState::table);
    return frame;
}

void Blocks::free_table(Frame frame) {
    if (!is_table(frame)) return;
    if (frames_.free(frame).ok()) states_.set(frame.value(), BlockState::available);
}

Status Blocks::validate() const {
    if (!started()) return {};
    const Status valid = frames_.validate();
    if (!valid.ok()) return valid;
    for (uint64_t frame = 0; frame < states_.frames(); ++frame) {
        const bool wrong =
            frames_.is_free(Frame(frame)) && states_.of(frame) != BlockState::available;
        if (wrong) return Failure{Error::corrupted, frame << page_shift};
    }
    return {};
}

}  // namespace quire::series
