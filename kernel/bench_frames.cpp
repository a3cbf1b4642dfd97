// SPDX-License-Identifier: MIT
#include "bench_frames.hpp"

#include <stddef.h>
#include <stdint.h>

#include "console.hpp"
#include "guarded_cpu.hpp"
#include "machine.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_allocator.hpp"
#include "quire/phys/per_cpu_frames.hpp"
#include "random.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t frames_in_all = 1u << 18;
constexpr unsigned rounds_shift = 12;
constexpr uint32_t rounds = 1u << rounds_shift;
constexpr uint32_t window = 1024;

// Large, so not on the stack; one benchmark at a time.
constinit MemoryMap map;
constinit uint32_t frame_numbers[window] = {};

// Runs a step many times and prints its mean.
template <class Step>
void measure(const char* guard, const char* workload, Step step) {
    for (uint32_t i = 0; i < window; ++i)
        step(i);
    const uint64_t start = machine::cycles();
    for (uint32_t i = 0; i < rounds; ++i)
        step(i);
    const uint64_t spent = machine::cycles() - start;
    print("  %-24s %-8s %8llu\n", guard, workload,
          static_cast<unsigned long long>(spent >> rounds_shift));
}

// All frames taken, and a random half of them given back: `taken` holds the rest at its front.
template <class Frames>
bool leave_random_half(Frames& frames, Span<uint32_t> taken) {
    for (uint32_t& number : taken) {
        const Result<Frame> frame = frames.allocate();
        if (!frame.ok()) return false;
        number = static_cast<uint32_t>(frame->value());
    }
    Random random(1);
    for (size_t left = taken.size(); left > taken.size() / 2; --left) {
        uint32_t& any = taken[random.below(static_cast<uint32_t>(left))];
        if (!frames.free(Frame(any)).ok()) return false;
        any = taken[left - 1];
    }
    return true;
}

template <class Frames>
void run(const char* guard, Frames& frames, Span<uint32_t> taken) {
    if (!leave_random_half(frames, taken)) {
        print("  %s: memory could not be prepared\n", guard);
        return;
    }
    bool good = true;
    const auto replace = [&](uint32_t& number) {
        good = frames.free(Frame(number)).ok() && good;
        const Result<Frame> frame = frames.allocate();
        good = frame.ok() && good;
        if (frame.ok()) number = static_cast<uint32_t>(frame->value());
    };
    measure(guard, "lifo", [&](uint32_t) {
        const Result<Frame> frame = frames.allocate();
        good = frame.ok() && frames.free(*frame).ok() && good;
    });
    for (uint32_t& number : frame_numbers) {
        const Result<Frame> frame = frames.allocate();
        good = frame.ok() && good;
        if (frame.ok()) number = static_cast<uint32_t>(frame->value());
    }
    measure(guard, "fifo", [&](uint32_t i) { replace(frame_numbers[i % window]); });
    Random random(1);
    const auto half = static_cast<uint32_t>(taken.size() / 2);
    measure(guard, "random", [&](uint32_t) { replace(taken[random.below(half)]); });
    if (!good) print("  %s: FAILED\n", guard);
}

// Objects in the heap, for as long as this lives.
template <class T>
class InHeap {
  public:
    InHeap(Heap& heap, size_t count) : heap_(heap) {
        const size_t alignment = alignof(T) < 64 ? 64 : alignof(T);
        const auto place = heap.allocate_aligned(count * sizeof(T), alignment);
        if (!place.ok()) return;
        objects_ = Span<T>(static_cast<T*>(*place), count);
        for (T& object : objects_)
            construct_at(&object);
    }
    ~InHeap() { heap_.free(objects_.data()); }
    InHeap(const InHeap&) = delete;
    InHeap& operator=(const InHeap&) = delete;

    // Empty when there was too little memory.
    Span<T> objects() { return objects_; }

  private:
    Heap& heap_;
    Span<T> objects_;
};

// An allocator of its own for each guard: `use` gets it, and room for a list of its frames.
template <class Blocks, class Use>
void with_blocks(Heap& heap, Use use) {
    InHeap<unsigned char> books(heap, static_cast<size_t>(Blocks::metadata_bytes(map).value()));
    InHeap<uint32_t> list(heap, frames_in_all);
    InHeap<Blocks> blocks(heap, 1);
    if (books.objects().empty() || list.objects().empty() || blocks.objects().empty()) {
        print("  too little memory\n");
        return;
    }
    BootFrames boot(map, FrameRange::between(Frame(0), Frame(Frame::highest)));
    Blocks& started = blocks.objects()[0];
    if (!started.start(boot, books.objects(), Frame(Frame::highest)).ok()) return;
    use(started, list.objects());
}

template <CpuPolicy Cpus, Reuse reuse>
void run_with_magazines(Heap& heap, const char* guard) {
    using Blocks = BasicFrameAllocator<SpinLock>;
    using Front = PerCpuFrames<Blocks, Cpus, reuse>;
    with_blocks<Blocks>(heap, [&](Blocks& blocks, Span<uint32_t> taken) {
        InHeap<typename Front::Slot> slots(heap, 1);
        if (slots.objects().empty()) return;
        Front frames(blocks, slots.objects());
        run(guard, frames, taken);
    });
}

template <class Lock>
void run_without_magazines(Heap& heap, const char* guard) {
    using Blocks = BasicFrameAllocator<Lock>;
    with_blocks<Blocks>(heap,
                        [&](Blocks& blocks, Span<uint32_t> taken) { run(guard, blocks, taken); });
}

}  // namespace

void bench_frames(quire::KernelMemory& memory) {
    if (machine::cycles() == 0) {
        print("this CPU has no cycle counter\n");
        return;
    }
    map = {};
    MemoryMapBuilder builder(map);
    builder.add(uint64_t{1} << 32, uint64_t{frames_in_all} << page_shift, MemoryKind::usable);
    if (!builder.finish(PhysicalAddress(PhysicalAddress::highest)).ok()) return;

    Heap& heap = memory.heap();
    print("  a frame freed and one allocated (mean of %u)  cycles\n", rounds);
    run_with_magazines<SingleCpu, Reuse::delayed>(heap, "no guard");
    run_with_magazines<GuardedCpu, Reuse::delayed>(heap, "interrupt guard");
    run_with_magazines<GuardedCpu, Reuse::at_once>(heap, "interrupt guard, lifo");
    run_without_magazines<SpinLock>(heap, "spin lock, no magazines");
    run_without_magazines<InterruptLock<Interrupts>>(heap, "guard, no magazines");
}

}  // namespace kernel
