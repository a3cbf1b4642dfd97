// SPDX-License-Identifier: MIT
// The series' heap: Quire's, on pages of a part of the address space, which come and go as it grows
// and shrinks, or on a region that is mapped already.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "memory.hpp"
#include "quire/base/report.hpp"
#include "quire/heap/heap.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/heap/region_page_source.hpp"
#include "quire/platform.hpp"

namespace quire::series {

// Pages of a part of the active address space; those of its beginning stay. Which pages are taken
// is RegionPageSource's business; here they get memory, and lose it.
template <class Choices>
class GrowingPages final : public PageSource {
  public:
    constexpr explicit GrowingPages(Memory<Choices>& memory) : memory_(memory) {}

    // `floor` bytes, at least the bookkeeping, are mapped from `start` on. `maximum` is more than a
    // page. Errors: as Memory::map; nothing changed.
    Status start(uint32_t start, size_t floor, size_t maximum) {
        const size_t pages = maximum >> page_shift;
        const size_t bookkeeping = (pages + page_size - 1) & ~(page_size - 1);
        if (bookkeeping > floor) floor = bookkeeping;
        const Backing blocks{true, Frame()};
        const Status mapped = memory_.map(memory_.active(), start, blocks, floor, I86_PTE_WRITABLE);
        if (!mapped.ok()) return mapped;
        // Pages in whole numbers, many more than the bookkeeping takes: it cannot fail.
        if (!region_.start(pointer(start), maximum).ok()) trap();
        start_ = start;
        floor_ = floor;
        maximum_ = maximum;
        return {};
    }
    // Gives back what `start` mapped.
    void stop() {
        if (floor_ != 0) undo_grow(pages_at(start_, floor_));
        floor_ = 0;
    }
    HeapOptions heap_options() const { return region_.heap_options(); }

    Result<void*> reserve(size_t bytes, size_t alignment) override {
        return region_.reserve(bytes, alignment);
    }
    Status commit(void* address, size_t bytes) override {
        const PageRange pages = grown(address, bytes);
        if (!pages.empty()) {
            const Status mapped = memory_.grow(pages);
            if (!mapped.ok()) return mapped;
        }
        const Status committed = region_.commit(address, bytes);
        if (!committed.ok()) undo_grow(pages);
        return committed;
    }
    Status decommit(void* address, size_t bytes) override {
        const Status decommitted = region_.decommit(address, bytes);
        return decommitted.ok() ? shrink(grown(address, bytes)) : decommitted;
    }
    Status release(void* address, size_t bytes) override {
        const Status released = region_.release(address, bytes);
        return released.ok() ? shrink(grown(address, bytes)) : released;
    }

  private:
    static PageRange pages_at(uint32_t start, size_t bytes) {
        return PageRange(page_of(VirtualAddress(start)), PageCount(bytes >> page_shift));
    }
    // What of some pages lies behind those that stay.
    [[gnu::noinline]] PageRange grown(const void* address, size_t bytes) const {
        const auto first = static_cast<uint32_t>(memory_.view().address(address).value());
        const size_t before = first - start_ < floor_ ? floor_ - (first - start_) : 0;
        if (before >= bytes) return PageRange();
        return pages_at(first + static_cast<uint32_t>(before), bytes - before);
    }
    void* pointer(uint32_t address) const {
        return memory_.view().pointer(VirtualAddress(address));
    }
    Status shrink(const PageRange& pages) {
        return pages.empty() ? Status() : memory_.shrink(pages);
    }
    void undo_grow(const PageRange& pages) { static_cast<void>(shrink(pages)); }

    Memory<Choices>& memory_;
    RegionPageSource region_;
    uint32_t start_ = 0;
    size_t floor_ = 0;
    size_t maximum_ = 0;
};

// What a heap that finds its own books broken comes to. Misuse does not: kfree returns.
// Of as many CPUs as the lock is for.
class TrappingPlatform final : public Platform {
  public:
    uintptr_t caller() const override { return 0; }
};

template <class Choices>
class KernelHeap {
  public:
    constexpr explicit KernelHeap(Memory<Choices>& memory) : growing_(memory) {}

    // Error: in_use, and as the page sources and Heap::start.
    Status create(uint32_t start, size_t bytes, size_t maximum) {
        if (kind_ != Kind::none) return Failure{Error::in_use, start};
        const Result<PageRange> pages = pages_of(start, maximum);
        if (!pages.ok()) return pages.failure();
        if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
        if (bytes > maximum || maximum < least_bytes) return Failure{Error::bad_argument, maximum};
        const Status grown = growing_.start(start, bytes, maximum);
        if (!grown.ok()) return grown;
        const Status started = heap_.start(growing_, platform_, growing_.heap_options());
        if (!started.ok()) {
            growing_.stop();
            return started;
        }
        kind_ = Kind::growing;
        return {};
    }
    Status create_region(void* start, size_t bytes) {
        if (kind_ != Kind::none) return Failure{Error::in_use, 0};
        const Status taken = region_.start(start, bytes);
        if (!taken.ok()) return taken;
        const Status started = heap_.start(region_, platform_, region_.heap_options());
        if (started.ok()) kind_ = Kind::region;
        return started;
    }
    void destroy() {
        if (kind_ != Kind::none) heap_.stop();
        if (kind_ == Kind::growing) growing_.stop();
        kind_ = Kind::none;
    }
    BasicHeap<typename Choices::Lock>& heap() { return heap_; }

  private:
    enum class Kind : uint8_t { none, growing, region };
    static constexpr size_t least_bytes = 128 << 10;

    GrowingPages<Choices> growing_;
    RegionPageSource region_;
    TrappingPlatform platform_;
    BasicHeap<typename Choices::Lock> heap_;
    Kind kind_ = Kind::none;
};

}  // namespace quire::series
