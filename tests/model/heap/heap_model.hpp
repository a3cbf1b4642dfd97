// SPDX-License-Identifier: MIT
// Random operations on a heap, each compared with a plain list of what should be live and what each
// block should hold.
#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/driver.hpp"
#include "quire/heap/heap.hpp"
#include "support/host_page_source.hpp"

namespace quire::test {

// A kind of heap, and how much it may have.
struct HeapShape {
    const char* name;
    HeapOptions options;
    size_t page_limit;
    size_t most_live;
    bool pages_move = false;
};

inline std::vector<HeapShape> heap_shapes() {
    constexpr size_t KiB = 1024;
    return {
        {"plenty", {}, SIZE_MAX, 3000},
        {"no forced slack", {.overrun_check = OverrunCheck::where_slack}, SIZE_MAX, 3000},
        {"small arenas", {.arena_bytes = 64 * KiB, .cached_bytes = 0}, SIZE_MAX, 1500, true},
        {"two megabytes", {.arena_bytes = 1024 * KiB, .cached_bytes = 64 * KiB}, 512, 3000},
        {"hardened", {.poison_freed = true}, SIZE_MAX, 3000},
        {"quarantine", {.quarantine_bytes = 512 * KiB}, SIZE_MAX, 3000},
        {"random placement", {.random_placement = true}, SIZE_MAX, 3000},
        {"sampled", {.sample_interval = 3}, SIZE_MAX, 3000},
        {"everything in two megabytes",
         {.arena_bytes = 1024 * KiB,
          .cached_bytes = 64 * KiB,
          .poison_freed = true,
          .quarantine_bytes = 512 * KiB,
          .random_placement = true,
          .sample_interval = 3},
         512,
         3000,
         true},
    };
}

class HeapModel final : public model::World {
  public:
    explicit HeapModel(const HeapShape& shape) : shape_(shape) {
        pages_.limit_pages(shape.page_limit);
        pages_.allow_moves(shape.pages_move);
        if (!heap_.start(pages_, platform_, shape.options).ok()) start_failed_ = true;
    }
    ~HeapModel() override { heap_.stop(); }
    HeapModel(const HeapModel&) = delete;
    HeapModel& operator=(const HeapModel&) = delete;

    void step(uint64_t number, uint64_t word) override {
        if (start_failed_) throw model::Mismatch{"the heap did not start"};
        random_ = word;
        // Now and then the preference turns between growing and shrinking.
        const bool growing = number / 20000 % 2 == 0;
        const uint64_t pick = below(100);
        std::optional<std::string> wrong;
        if (live_.empty() || (pick < (growing ? 50u : 30u) && live_.size() < shape_.most_live)) {
            wrong = allocate();
        } else if (pick < 75) {
            wrong = free();
        } else if (pick < 90) {
            wrong = reallocate();
        } else if (pick < 99) {
            wrong = misuse();
        } else if (below(20) == 0) {
            wrong = below(2) == 0 ? trim() : age();
        } else {
            pages_.limit_pages(below(2) == 0 ? shape_.page_limit
                                             : pages_.committed_bytes() / page_size + below(4));
        }
        complain(wrong ? wrong : check_counters());
    }
    void validate() override { complain(check_all()); }

  private:
    static void complain(const std::optional<std::string>& wrong) {
        if (wrong) throw model::Mismatch{*wrong};
    }
    // O(heap).
    std::optional<std::string> check_all() {
        const Status status = heap_.validate();
        if (!status.ok()) return "validate says " + std::string(to_string(status.error()));
        if (heap_.counters().committed_bytes != pages_.committed_bytes())
            return "the heap lost count of its pages";
        if (heap_.counters().reserved_bytes != pages_.reserved_bytes())
            return "the heap lost count of its address space";
        if (pages_.breaches() != 0) return "the heap broke the contract of its page source";
        for (const auto& [start, block] : live_)
            if (const auto wrong = check_contents(start, block)) return wrong;
        return {};
    }

    struct Block {
        size_t bytes;
        unsigned char fill;
        size_t place;  // in order_
    };
    class StoppingPlatform final : public Platform {};

    static uint64_t mix(uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t next() { return mix(random_ += 0x9e3779b97f4a7c15); }
    uint64_t below(uint64_t limit) { return next() % limit; }

    size_t some_size() {
        const uint64_t kind = below(100);
        if (kind < 60) return below(300);
        if (kind < 80) return below(2000);
        if (kind < 88) return size_t{1} << below(14);
        if (kind < 96) return below(20000);
        if (kind < 98) return page_size * (1 + below(6));
        if (kind < 99) return below(200000);
        return SIZE_MAX - below(1 << 20);
    }
    unsigned char* some_block() {
        return reinterpret_cast<unsigned char*>(order_[below(order_.size())]);
    }

    // Only the ends of long blocks, in the ordinary step.
    static constexpr size_t looked_at = 48;

    void fill(unsigned char* start, size_t bytes, unsigned char with) {
        if (bytes != 0) std::memset(start, with, bytes);
    }
    static bool holds(const unsigned char* start, size_t bytes, unsigned char with, bool whole) {
        for (size_t i = 0; i < bytes; ++i) {
            if (!whole && i == looked_at && bytes > 2 * looked_at) i = bytes - looked_at;
            if (start[i] != with) return false;
        }
        return true;
    }
    std::optional<std::string> check_contents(uintptr_t start, const Block& block) {
        const auto* data = reinterpret_cast<const unsigned char*>(start);
        if (!holds(data, block.bytes, block.fill, true)) return "a block's contents changed";
        return {};
    }

    // Whether the block may lie there; then it is remembered, and filled.
    std::optional<std::string> accept(void* at, size_t bytes, size_t alignment) {
        const auto start = reinterpret_cast<uintptr_t>(at);
        const size_t least = alignment < 2 * sizeof(void*) ? 2 * sizeof(void*) : alignment;
        if (start % least != 0) return "a block is not aligned";
        const size_t extent = bytes == 0 ? 1 : bytes;
        const auto above = live_.lower_bound(start);
        if (above != live_.end() && above->first - start < extent) return "blocks overlap";
        if (above != live_.begin()) {
            const auto& [other, block] = *std::prev(above);
            if (start - other < (block.bytes == 0 ? 1 : block.bytes)) return "blocks overlap";
        }
        const auto with = static_cast<unsigned char>(next() | 1);
        fill(static_cast<unsigned char*>(at), bytes, with);
        live_[start] = Block{bytes, with, order_.size()};
        order_.push_back(start);
        live_bytes_ += bytes;
        freed_.erase(start);
        const auto usable = heap_.usable_size(at);
        if (!usable.ok() || *usable != bytes) return "usable_size is another";
        return {};
    }
    void forget(uintptr_t start) {
        const auto found = live_.find(start);
        live_bytes_ -= found->second.bytes;
        const size_t place = found->second.place;
        order_[place] = order_.back();
        live_[order_[place]].place = place;
        order_.pop_back();
        live_.erase(start);
    }

    std::optional<std::string> refused(const Failure& failure, Error expected) {
        if (failure.error == expected) return {};
        return std::string("failed with: ") + to_string(failure.error);
    }

    std::optional<std::string> allocate() {
        const size_t bytes = some_size();
        const uint64_t kind = below(10);
        size_t alignment = 1;
        Result<void*> block = Error::unsupported;
        if (kind < 7) {
            block = heap_.allocate(bytes);
            const bool natural = shape_.options.overrun_check == OverrunCheck::where_slack;
            const bool power = bytes != 0 && (bytes & (bytes - 1)) == 0;
            if (natural && power && bytes <= page_size) alignment = bytes;
            if (bytes == page_size) alignment = page_size;
        } else if (kind < 8) {
            block = heap_.allocate_zeroed(bytes);
            if (block.ok() && !holds(static_cast<unsigned char*>(*block), bytes, 0, true))
                return "a zeroed block is not zero";
        } else {
            alignment = size_t{1} << below(below(4) == 0 ? 17 : 13);
            block = heap_.allocate_aligned(bytes, alignment);
        }
        if (!block.ok()) return refused(block.failure(), Error::out_of_memory);
        return accept(*block, bytes, alignment);
    }

    std::optional<std::string> free() {
        unsigned char* const start = some_block();
        const Block block = live_[reinterpret_cast<uintptr_t>(start)];
        if (!holds(start, block.bytes, block.fill, false)) return "a block's contents changed";
        const Status status =
            below(2) == 0 ? heap_.try_free(start) : heap_.try_free_sized(start, block.bytes);
        if (!status.ok()) return refused(status.failure(), Error::unsupported);
        forget(reinterpret_cast<uintptr_t>(start));
        if (freed_.size() < 1000) freed_[reinterpret_cast<uintptr_t>(start)] = block.bytes;
        return {};
    }

    std::optional<std::string> reallocate() {
        unsigned char* const start = some_block();
        const Block block = live_[reinterpret_cast<uintptr_t>(start)];
        const size_t bytes = below(2) == 0 ? some_size() : block.bytes / 2 + below(block.bytes + 1);
        const auto moved = heap_.reallocate(start, bytes);
        if (!moved.ok()) {
            if (bytes <= block.bytes) return "a block could not be made smaller";
            if (!holds(start, block.bytes, block.fill, false)) return "a failure changed a block";
            return refused(moved.failure(), Error::out_of_memory);
        }
        const size_t kept = bytes < block.bytes ? bytes : block.bytes;
        if (!holds(static_cast<unsigned char*>(*moved), kept, block.fill, true))
            return "reallocate lost contents";
        forget(reinterpret_cast<uintptr_t>(start));
        return accept(*moved, bytes, 1);
    }

    std::optional<std::string> misuse() {
        unsigned char* const start = some_block();
        const size_t bytes = live_[reinterpret_cast<uintptr_t>(start)].bytes;
        Status status;
        Error expected = Error::unsupported;
        switch (below(5)) {
            case 0: {  // inside a block
                if (bytes < 2) return {};
                status = heap_.try_free(start + 1 + below(bytes - 1));
                expected = Error::misaligned;
                break;
            }
            case 1:  // another size
                status = heap_.try_free_sized(start, bytes + 1 + below(60));
                expected = Error::bad_argument;
                break;
            case 2: {  // an overrun by one byte, where it hits nobody
                const size_t page_rest =
                    bytes % page_size * (reinterpret_cast<uintptr_t>(start + bytes) % page_size);
                if (shape_.options.overrun_check == OverrunCheck::where_slack || page_rest == 0)
                    return {};
                start[bytes] ^= 1;
                status = heap_.try_free(start);
                start[bytes] ^= 1;
                expected = Error::corrupted;
                break;
            }
            case 3:  // from elsewhere
                status = heap_.try_free(&random_);
                expected = Error::foreign;
                break;
            default: {  // a second time
                if (freed_.empty()) return {};
                const auto found = freed_.begin();
                const auto [at, was] = *found;
                freed_.erase(found);
                status = heap_.try_free(reinterpret_cast<void*>(at));
                // Other blocks may lie there by now, so the kind of error is open, not the error.
                if (status.ok()) return "a block was freed twice";
                return {};
            }
        }
        if (status.ok()) return "a wrong free was taken";
        return refused(status.failure(), expected);
    }

    std::optional<std::string> trim() {
        const size_t before = pages_.committed_bytes();
        const size_t given_back = heap_.trim();
        if (before - pages_.committed_bytes() != given_back) return "trim counts wrong";
        if (heap_.counters().cached_bytes != 0) return "trim left empty spans";
        return {};
    }

    std::optional<std::string> age() {
        const size_t before = pages_.committed_bytes();
        const size_t given_back = heap_.age();
        if (before - pages_.committed_bytes() != given_back) return "age counts wrong";
        return {};
    }

    std::optional<std::string> check_counters() const {
        const HeapCounters counters = heap_.counters();
        if (counters.live_blocks != live_.size()) return "live_blocks is wrong";
        if (counters.live_bytes != live_bytes_) return "live_bytes is wrong";
        if (counters.usable_bytes < live_bytes_) return "usable_bytes is wrong";
        if (counters.committed_bytes != pages_.committed_bytes()) return "committed_bytes is wrong";
        return {};
    }

    HeapShape shape_;
    uint64_t random_ = 0;
    bool start_failed_ = false;
    HostPageSource pages_;
    StoppingPlatform platform_;
    Heap heap_;
    std::map<uintptr_t, Block> live_;
    std::vector<uintptr_t> order_;  // the live blocks, for picking one
    std::unordered_map<uintptr_t, size_t> freed_;
    size_t live_bytes_ = 0;
};

}  // namespace quire::test
