// SPDX-License-Identifier: MIT
#include "bench.hpp"

#include <stdint.h>

#include "console.hpp"
#include "heap.hpp"
#include "machine.hpp"

namespace kernel {
namespace {

using namespace quire;

// A power of two, so that the average is a shift.
constexpr unsigned rounds_shift = 10;
constexpr uint32_t rounds = 1u << rounds_shift;
// So that spans and tables that serve all rounds are there.
constexpr uint32_t warming_rounds = 16;

// Runs `operation` many times; it says whether it succeeded.
template <class Operation>
void measure(const char* name, Operation operation) {
    uint32_t failed = 0;
    for (uint32_t i = 0; i < warming_rounds; ++i) {
        if (!operation()) ++failed;
    }
    const uint64_t start = machine::cycles();
    for (uint32_t i = 0; i < rounds; ++i) {
        if (!operation()) ++failed;
    }
    const uint64_t spent = machine::cycles() - start;
    print("  %-44s %8llu", name, static_cast<unsigned long long>(spent >> rounds_shift));
    if (failed != 0) print("  %u FAILED", failed);
    print("\n");
}

bool heap_pair(CpuHeap& heap, size_t bytes) {
    const auto block = heap.allocate(bytes);
    return block.ok() && heap.try_free(*block).ok();
}

}  // namespace

void bench(quire::KernelMemory& memory) {
    if (machine::cycles() == 0) {
        print("this CPU has no cycle counter\n");
        return;
    }
    print("  %-44s   cycles\n", "operation (mean of 1024)");
    measure("frame: allocate and free", [&] {
        const auto frame = memory.frames().allocate();
        return frame.ok() && memory.frames().free(*frame).ok();
    });
    measure("64 KiB of frames: allocate and free", [&] {
        const auto run = memory.frames().allocate_order(4);
        return run.ok() && memory.frames().free(*run).ok();
    });
    measure("page: allocate and unmap", [&] {
        const auto pages = memory.space().allocate(PageCount(1));
        return pages.ok() && memory.space().unmap(*pages).ok();
    });
    measure("page on demand: allocate, fault, unmap", [&] {
        AllocateOptions options;
        options.populate = Populate::on_demand;
        const auto pages = memory.space().allocate(PageCount(1), options);
        if (!pages.ok()) return false;
        *memory.layout().view.pointer<volatile char>(address_of(pages->first())) = 1;
        return memory.space().unmap(*pages).ok();
    });
    measure("heap, 16 bytes: allocate and free", [&] { return heap_pair(heap(), 16); });
    measure("heap, 512 bytes: allocate and free", [&] { return heap_pair(heap(), 512); });
    measure("heap, 64 KiB: allocate and free", [&] { return heap_pair(heap(), 65536); });
}

}  // namespace kernel
