// SPDX-License-Identifier: MIT
// The frame allocator with what may stand in front of it, as kernels put them together.
#pragma once

#include <cstdint>

#include "quire/base/cpu_local.hpp"
#include "quire/phys/frame_allocator.hpp"
#include "quire/phys/per_cpu_frames.hpp"

namespace quire::test {

// Nothing in front.
struct PlainFrames {
    // Frames that may lie in magazines.
    static constexpr uint64_t most_kept = 0;

    FrameAllocator blocks;
    FrameAllocator& front() { return blocks; }
    void drain() {}
};

// Several homes, of which each request may use any.
struct FramesWithHomes {
    static constexpr uint64_t most_kept = 0;

    BasicFrameAllocator<SpinLock, 3> blocks;
    BasicFrameAllocator<SpinLock, 3>& front() { return blocks; }
    void drain() {}
};

// The magazines of one CPU.
template <Reuse reuse, uint32_t batch>
struct FramesWithMagazines {
    static constexpr uint64_t most_kept = 2 * batch;

    using Front = PerCpuFrames<FrameAllocator, SingleCpu, reuse, batch>;
    FrameAllocator blocks;
    typename Front::Slot slots[1];
    Front per_cpu{blocks, Span<typename Front::Slot>(slots, 1)};
    Front& front() { return per_cpu; }
    void drain() { per_cpu.drain(); }
};

}  // namespace quire::test
