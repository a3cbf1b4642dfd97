// SPDX-License-Identifier: MIT
// The frame allocator beside the bitmap of the tutorials: one bit a frame, scanned from the start.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_allocator.hpp"

namespace {

using quire::BootFrames;
using quire::Frame;
using quire::FrameAllocator;
using quire::FrameCount;
using quire::FrameRange;
using quire::MemoryKind;
using quire::MemoryMap;
using quire::MemoryMapBuilder;
using quire::PhysicalAddress;
using quire::Span;

constexpr uint64_t memory_bytes = uint64_t{1} << 30;
constexpr uint64_t frames_in_all = memory_bytes / quire::page_size;

// 1 GiB, all of it usable but for the first MiB.
class Machine {
  public:
    Machine() {
        MemoryMapBuilder builder(*map_);
        builder.add(1 << 20, memory_bytes - (1 << 20), MemoryKind::usable);
        if (!builder.finish(PhysicalAddress(PhysicalAddress::highest)).ok()) std::abort();
        boot_ = std::make_unique<BootFrames>(*map_,
                                             FrameRange::between(Frame(0), Frame(Frame::highest)));
        const auto bytes = static_cast<size_t>(FrameAllocator::metadata_bytes(*map_).value());
        metadata_.reset(
            static_cast<unsigned char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
        const auto started =
            frames.start(*boot_, Span<unsigned char>(metadata_.get(), bytes), Frame(frames_in_all));
        if (!started.ok()) std::abort();
    }

    FrameAllocator frames;

  private:
    struct Free {
        void operator()(unsigned char* memory) const { std::free(memory); }
    };
    std::unique_ptr<MemoryMap> map_ = std::make_unique<MemoryMap>();
    std::unique_ptr<BootFrames> boot_;
    std::unique_ptr<unsigned char, Free> metadata_;
};

// What thousands of kernels have.
class TutorialBitmap {
  public:
    uint64_t allocate() {
        for (size_t word = 0; word < words_.size(); ++word) {
            if (words_[word] == ~uint32_t{0}) continue;
            for (unsigned bit = 0; bit < 32; ++bit) {
                if ((words_[word] & (uint32_t{1} << bit)) == 0) {
                    words_[word] |= uint32_t{1} << bit;
                    return word * 32 + bit;
                }
            }
        }
        return ~uint64_t{0};
    }
    void free(uint64_t frame) {
        words_[static_cast<size_t>(frame / 32)] &= ~(uint32_t{1} << (frame % 32));
    }

  private:
    std::vector<uint32_t> words_ = std::vector<uint32_t>(frames_in_all / 32);
};

// Fills memory to `percent`, then frees and allocates single frames in random order.
template <class Allocate, class Free>
void churn(benchmark::State& state, Allocate&& allocate, Free&& free) {
    using Taken = decltype(allocate());
    std::vector<Taken> taken;
    const auto wanted = static_cast<uint64_t>(state.range(0)) * (frames_in_all - 512) / 100;
    for (uint64_t i = 0; i < wanted; ++i)
        taken.push_back(allocate());
    std::mt19937 random(1);
    for (auto _ : state) {
        Taken& slot = taken[random() % taken.size()];
        free(slot);
        slot = allocate();
        benchmark::DoNotOptimize(slot);
    }
}

void frame_churn(benchmark::State& state) {
    Machine machine;
    churn(
        state, [&] { return *machine.frames.allocate(); },
        [&](Frame frame) { benchmark::DoNotOptimize(machine.frames.free(frame).ok()); });
}
BENCHMARK(frame_churn)->Arg(10)->Arg(50)->Arg(90)->Name("FrameAllocator/churn_percent_full");

void bitmap_churn(benchmark::State& state) {
    TutorialBitmap bitmap;
    churn(state, [&] { return bitmap.allocate(); }, [&](uint64_t frame) { bitmap.free(frame); });
}
BENCHMARK(bitmap_churn)->Arg(10)->Arg(50)->Arg(90)->Name("TutorialBitmap/churn_percent_full");

void frame_orders(benchmark::State& state) {
    Machine machine;
    const auto order = static_cast<unsigned>(state.range(0));
    for (auto _ : state) {
        const auto run = machine.frames.allocate_order(order);
        benchmark::DoNotOptimize(machine.frames.free(*run).ok());
    }
}
BENCHMARK(frame_orders)->Arg(0)->Arg(4)->Arg(9)->Arg(10)->Name("FrameAllocator/order");

void frame_batches(benchmark::State& state) {
    Machine machine;
    std::vector<Frame> batch(static_cast<size_t>(state.range(0)), Frame(0));
    for (auto _ : state) {
        const Span<Frame> frames(batch.data(), batch.size());
        benchmark::DoNotOptimize(machine.frames.allocate_batch(frames).ok());
        benchmark::DoNotOptimize(
            machine.frames.free_batch(Span<const Frame>(batch.data(), batch.size())).ok());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(frame_batches)->Arg(64)->Arg(512)->Name("FrameAllocator/batch");

}  // namespace
