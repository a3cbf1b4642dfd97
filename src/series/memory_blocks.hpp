// SPDX-License-Identifier: MIT
// Memory: blocks. Included by memory.hpp.
#pragma once

#include "memory.hpp"

namespace quire::series {

namespace detail {
// A region as a firmware's map gives it; what passes the top of the 64-bit space is cut off.
inline PhysicalRange region(uint64_t base, uint64_t bytes) {
    const uint64_t most = UINT64_MAX - base;
    return PhysicalRange(PhysicalAddress(base), Bytes(bytes < most ? bytes : most));
}
}  // namespace detail

template <class Choices>
Status Memory<Choices>::make_free(uint64_t base, uint64_t bytes) {
    Guard guard(lock_);
    return blocks_.make_free(detail::region(base, bytes));
}

template <class Choices>
Status Memory<Choices>::make_used(uint64_t base, uint64_t bytes) {
    Guard guard(lock_);
    return blocks_.make_used(detail::region(base, bytes));
}

template <class Choices>
Status Memory<Choices>::keep(uint64_t base, uint64_t bytes) {
    Guard guard(lock_);
    return blocks_.keep(detail::region(base, bytes));
}

template <class Choices>
Result<uint32_t> Memory<Choices>::allocate(size_t count) {
    Guard guard(lock_);
    if (count == 1) {
        const Result<Frame> frame = blocks_.allocate(Shown::first);
        if (!frame.ok()) return frame.failure();
        return entry_of_frame(*frame);
    }
    const Result<FrameRange> run = blocks_.allocate_run(FrameCount(count));
    if (!run.ok()) return run.failure();
    return entry_of_frame(run->first());
}

template <class Choices>
Status Memory<Choices>::free(uint32_t block, size_t count) {
    Guard guard(lock_);
    if (block % page_size != 0) return Failure{Error::misaligned, block};
    const Frame first = frame_of(PhysicalAddress(block));
    if (count == 1 && blocks_.is_table(first)) return free_owned_table_locked(first);
    const Result<FrameRange> frames = FrameRange::from(first, FrameCount(count));
    if (!frames.ok()) return frames.failure();
    const Status checked = blocks_.check_free(*frames);
    if (!checked.ok()) return checked;
    const Status forgotten = forget_locked(*frames);
    if (!forgotten.ok()) return forgotten;
    return blocks_.free(*frames);
}

// Directories of the kernel's own that are given back, none of which may be active.
template <class Choices>
Status Memory<Choices>::forget_locked(const FrameRange& frames) {
    if (cpu_.is_paging() && frames.contains(cpu_.root())) {
        return Failure{Error::in_use, address_of(cpu_.root()).value()};
    }
    for (size_t at = 0; at < Choices::directories; ++at) {
        if (!known_.used(at) || !frames.contains(known_.frame(at))) continue;
        hide_locked(at);
        known_.remove(at);
    }
    return {};
}

// A table or directory of Quire's, given back by a kernel that takes an address space apart itself.
template <class Choices>
Status Memory<Choices>::free_owned_table_locked(Frame frame) {
    const uint64_t address = address_of(frame).value();
    if (cpu_.is_paging()) {
        const Frame active = cpu_.root();
        if (frame == active) return Failure{Error::in_use, address};
        if (tables_->leads_to(active, frame)) return Failure{Error::in_use, address};
    }
    const size_t at = known_.find(frame);
    if (at != Known::none) {
        hide_locked(at);
        known_.remove(at);
    }
    blocks_.free_table(frame);
    return {};
}

}  // namespace quire::series
