// SPDX-License-Identifier: MIT
// The heap, on a fixed region of memory, beside the host's malloc.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "quire/heap/heap.hpp"
#include "quire/heap/region_page_source.hpp"

namespace {

class QuireHeap {
  public:
    static constexpr size_t region_bytes = 256 << 20;

    QuireHeap() : region_(static_cast<unsigned char*>(std::aligned_alloc(4096, region_bytes))) {
        if (!source_.start(region_.get(), region_bytes).ok()) std::abort();
        if (!heap_.start(source_, platform_, source_.heap_options()).ok()) std::abort();
    }
    void* allocate(size_t bytes) { return *heap_.allocate(bytes); }
    void free(void* block) { heap_.free(block); }

  private:
    struct Free {
        void operator()(unsigned char* memory) const { std::free(memory); }
    };
    struct HostPlatform final : quire::Platform {
        void panic(const quire::Report&) override { std::abort(); }
    };
    std::unique_ptr<unsigned char, Free> region_;
    quire::RegionPageSource source_;
    HostPlatform platform_;
    quire::Heap heap_;
};

class HostMalloc {
  public:
    void* allocate(size_t bytes) { return std::malloc(bytes); }
    void free(void* block) { std::free(block); }
};

// One block, again and again.
template <class Heap>
void pair(benchmark::State& state) {
    Heap heap;
    const auto bytes = static_cast<size_t>(state.range(0));
    for (auto _ : state) {
        void* block = heap.allocate(bytes);
        benchmark::DoNotOptimize(block);
        heap.free(block);
    }
}
BENCHMARK(pair<QuireHeap>)->Arg(16)->Arg(256)->Arg(4096)->Arg(65536)->Name("QuireHeap/pair");
BENCHMARK(pair<HostMalloc>)->Arg(16)->Arg(256)->Arg(4096)->Arg(65536)->Name("HostMalloc/pair");

// 10000 live blocks of 16 to 1024 bytes, replaced in random order.
template <class Heap>
void churn(benchmark::State& state) {
    Heap heap;
    std::mt19937 random(1);
    std::vector<void*> live(10'000);
    for (void*& block : live)
        block = heap.allocate(16 + random() % 1009);
    for (auto _ : state) {
        void*& block = live[random() % live.size()];
        heap.free(block);
        block = heap.allocate(16 + random() % 1009);
        benchmark::DoNotOptimize(block);
    }
    for (void* block : live)
        heap.free(block);
}
BENCHMARK(churn<QuireHeap>)->Name("QuireHeap/churn");
BENCHMARK(churn<HostMalloc>)->Name("HostMalloc/churn");

}  // namespace
