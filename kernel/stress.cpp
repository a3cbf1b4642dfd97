// SPDX-License-Identifier: MIT
#include "stress.hpp"

#include <stddef.h>

#include "console.hpp"
#include "faults.hpp"
#include "heap.hpp"
#include "random.hpp"
#include "show.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t seed = 20;
constexpr size_t max_blocks = 256;
constexpr size_t max_regions = 16;

struct Block {
    unsigned char* bytes = nullptr;
    size_t size = 0;
    unsigned char fill = 0;
};

struct Work {
    Random random{seed};
    Block blocks[max_blocks];
    PageRange regions[max_regions];
    uint32_t refused = 0;  // requests that memory did not suffice for
    bool damaged = false;
};

// Too large for a stack; one stress at a time.
constinit Work work;

// Sizes as kernels ask for them: mostly small, now and then pages.
size_t random_size(Random& random) {
    const unsigned shift = random.below(14);
    return 1 + random.below(1u << (shift + 1));
}

void fill(Block& block) {
    __builtin_memset(block.bytes, block.fill, block.size);
}

bool intact(const Block& block, size_t size) {
    // The edges are where neighbours would write.
    const size_t edge = size < 64 ? size : 64;
    for (size_t i = 0; i < edge; ++i) {
        if (block.bytes[i] != block.fill || block.bytes[size - 1 - i] != block.fill) return false;
    }
    return true;
}

void free_block(CpuHeap& heap, Block& block) {
    if (!intact(block, block.size) || !heap.try_free(block.bytes).ok()) work.damaged = true;
    block = Block{};
}

void step_heap(CpuHeap& heap) {
    Random& random = work.random;
    Block& block = work.blocks[random.below(max_blocks)];
    const size_t size = random_size(random);
    if (block.bytes == nullptr) {
        const Result<void*> made = random.below(4) == 0
                                       ? heap.allocate_aligned(size, size_t{1} << random.below(13))
                                       : heap.allocate(size);
        if (!made.ok()) {
            ++work.refused;
            return;
        }
        block = Block{static_cast<unsigned char*>(*made), size,
                      static_cast<unsigned char>(random.next())};
        fill(block);
    } else if (random.below(4) == 0) {
        const Result<void*> moved = heap.reallocate(block.bytes, size);
        if (!moved.ok()) {
            ++work.refused;
            return;
        }
        block.bytes = static_cast<unsigned char*>(*moved);
        if (!intact(block, size < block.size ? size : block.size)) work.damaged = true;
        block.size = size;
        fill(block);
    } else {
        free_block(heap, block);
    }
}

void step_space(quire::KernelMemory& memory) {
    AddressSpace& space = memory.space();
    const AddressView view = memory.layout().view;
    Random& random = work.random;
    PageRange& region = work.regions[random.below(max_regions)];
    if (region.empty()) {
        AllocateOptions options;
        options.name = "stress";
        options.populate = random.below(2) == 0 ? Populate::at_once : Populate::on_demand;
        options.placement.guard_after = PageCount(random.below(2));
        const auto made = space.allocate(PageCount(1 + random.below(24)), options);
        if (!made.ok()) {
            ++work.refused;
            return;
        }
        region = *made;
        return;
    }
    // Every page is zero before its first use and keeps what is written to it. A page on demand may
    // find that memory has run out meanwhile.
    uintptr_t used = 0;
    for (const Page page : region) {
        if (!touch(address_of(page).value(), Touch::load).done) {
            ++work.refused;
            break;
        }
        auto* word = view.pointer<volatile uint32_t>(address_of(page));
        if (*word != 0) work.damaged = true;
        *word = static_cast<uint32_t>(page.value());
        ++used;
    }
    for (const Page page : region.prefix(PageCount(used))) {
        const auto* word = view.pointer<volatile uint32_t>(address_of(page));
        if (*word != static_cast<uint32_t>(page.value())) work.damaged = true;
    }
    if (!space.unmap(region).ok()) work.damaged = true;
    region = PageRange();
}

void clean_up(quire::KernelMemory& memory) {
    for (Block& block : work.blocks) {
        if (block.bytes != nullptr) free_block(heap(), block);
    }
    for (PageRange& region : work.regions) {
        if (!region.empty() && !memory.space().unmap(region).ok()) work.damaged = true;
        region = PageRange();
    }
    heap().trim();
}

bool all_valid(quire::KernelMemory& memory) {
    return memory.frames().validate().ok() && memory.table().validate().ok() &&
           memory.space().validate().ok() && heap().validate().ok();
}

}  // namespace

bool stress(quire::KernelMemory& memory, uint32_t rounds) {
    work.random = Random(seed);
    work.refused = 0;
    work.damaged = false;
    for (uint32_t round = 0; round < rounds && !work.damaged; ++round) {
        if (work.random.below(16) == 0) {
            step_space(memory);
        } else {
            step_heap(heap());
        }
    }
    clean_up(memory);
    const bool valid = all_valid(memory);
    print("# %u rounds, seed %u, %u refused: %s\n", rounds, seed, work.refused,
          work.damaged ? "MEMORY WAS DAMAGED"
          : valid      ? "all contents intact, all managers valid"
                       : "A MANAGER IS INVALID");
    return valid && !work.damaged;
}

}  // namespace kernel
