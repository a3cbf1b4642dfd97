// SPDX-License-Identifier: MIT
// Self-tests of the frame allocator.
#include "selftest.hpp"

namespace kernel {
namespace {

using namespace quire;

bool owns_what_the_map_says(KernelMemory& memory) {
    Bytes rest = memory.map().firmware_usable();
    for (size_t i = 0; i < memory_kinds; ++i) {
        rest -= memory.map().taken_from_usable(static_cast<MemoryKind>(i));
    }
    return bytes_of(memory.frames().counters().total) == rest;
}

bool gives_and_takes_one(KernelMemory& memory) {
    FrameAllocator& frames = memory.frames();
    const FrameCount before = frames.counters().free;
    const auto frame = frames.allocate();
    if (!frame.ok()) return false;
    const bool taken = !frames.is_free(*frame) && frames.counters().free + FrameCount(1) == before;
    return frames.free(*frame).ok() && taken && frames.is_free(*frame) &&
           frames.counters().free == before;
}

bool aligns_orders(KernelMemory& memory) {
    for (unsigned order = 0; order <= 6; ++order) {
        const auto run = memory.frames().allocate_order(order);
        if (!run.ok()) return false;
        const FrameCount count(uint64_t{1} << order);
        const bool right = run->count() == count && run->first().is_aligned(count);
        if (!memory.frames().free(*run).ok() || !right) return false;
    }
    return true;
}

bool respects_constraints(KernelMemory& memory) {
    FrameConstraints constraints;
    constraints.highest = Frame(0xFFF);  // 16 MiB
    constraints.alignment = FrameCount(4);
    constraints.boundary = FrameCount(16);
    const auto run = memory.frames().allocate_run(FrameCount(5), constraints);
    if (!run.ok()) return false;
    const bool right = run->last() <= constraints.highest &&
                       run->first().is_aligned(constraints.alignment) &&
                       run->first().align_down(constraints.boundary) ==
                           run->last().align_down(constraints.boundary);
    return memory.frames().free(*run).ok() && right;
}

bool refuses_bad_frees(KernelMemory& memory) {
    FrameAllocator& frames = memory.frames();
    const auto frame = frames.allocate();
    if (!frame.ok() || !frames.free(*frame).ok()) return false;
    const FrameCount before = frames.counters().free;
    const Status twice = frames.free(*frame);
    const Status never_owned = frames.free(Frame(0));
    const Status outside = frames.free(Frame(Frame::highest));
    return !twice.ok() && twice.failure().error == Error::already_free && !never_owned.ok() &&
           !outside.ok() && frames.counters().free == before;
}

bool refuses_the_impossible(KernelMemory& memory) {
    FrameAllocator& frames = memory.frames();
    const FrameCount before = frames.counters().free;
    const auto none = frames.allocate_run(FrameCount(0));
    const auto all = frames.allocate_run(frames.counters().total + FrameCount(1));
    return !none.ok() && none.error() == Error::zero_size && !all.ok() &&
           all.error() == Error::out_of_frames && frames.counters().free == before;
}

constexpr SelfTest tests[] = {
    {"frames owned are the map's usable bytes less its reservations", owns_what_the_map_says},
    {"a frame comes and goes, and the counters follow", gives_and_takes_one},
    {"orders 0 to 6 are naturally aligned", aligns_orders},
    {"a run keeps below, aligned and inside its boundary", respects_constraints},
    {"double, foreign and outside frees change nothing", refuses_bad_frees},
    {"no frames, and more than there are, are refused", refuses_the_impossible},
};

}  // namespace

Span<const SelfTest> frame_tests() {
    return tests;
}

}  // namespace kernel
