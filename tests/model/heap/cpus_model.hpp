// SPDX-License-Identifier: MIT
// Random operations on a heap by several CPUs in turn, in threads and in handlers, while pages run
// out at random, against a list of what is live and what each block should hold. Some millions of
// steps a second.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "model/driver.hpp"
#include "quire/heap/per_cpu_heap.hpp"
#include "quire/heap/region_page_source.hpp"

namespace quire::test {

struct CpusShape {
    const char* name;
    OverrunCheck overrun_check;
    bool poison_freed;
    size_t region_bytes;
    size_t most_live;
    uint32_t sample_interval = 0;
    size_t quarantine_bytes = 0;
};

inline std::vector<CpusShape> cpus_shapes() {
    constexpr size_t MiB = size_t{1} << 20;
    return {
        {"at-hand", OverrunCheck::none, false, 48 * MiB, 3000},
        {"scarce", OverrunCheck::none, false, 3 * MiB, 6000},
        {"where-slack", OverrunCheck::where_slack, false, 48 * MiB, 2000},
        {"every-block", OverrunCheck::every_block, false, 48 * MiB, 2000},
        {"poisoned", OverrunCheck::every_block, true, 24 * MiB, 1000},
        {"sampled", OverrunCheck::none, false, 24 * MiB, 2000, 4},
        {"sampled-poisoned", OverrunCheck::every_block, true, 24 * MiB, 1000, 4},
        {"quarantined", OverrunCheck::every_block, true, 24 * MiB, 1000, 4, MiB / 4},
    };
}

// The CPU whose turn it is, and whether it is in a thread.
struct ModelCpus {
    struct Pin {
        bool may_wait() const { return in_thread; }
    };
    static unsigned index() { return current; }
    static inline unsigned current = 0;
    static inline bool in_thread = true;
};

// Pages of a region, which fail when they are told to.
class FailingPages final : public PageSource {
  public:
    explicit FailingPages(size_t bytes) : region_(new unsigned char[bytes + page_size]) {
        const auto start = reinterpret_cast<uintptr_t>(region_.get());
        const uintptr_t base = (start + page_size - 1) & ~(uintptr_t{page_size} - 1);
        started_ = pages.start(reinterpret_cast<void*>(base), bytes).ok();
    }
    bool started() const { return started_; }

    Result<void*> reserve(size_t bytes, size_t alignment) override {
        if (fails()) return Failure{Error::out_of_address_space, bytes};
        return pages.reserve(bytes, alignment);
    }
    Status commit(void* address, size_t bytes) override {
        if (fails()) return Failure{Error::out_of_frames, bytes};
        return pages.commit(address, bytes);
    }
    Status decommit(void* address, size_t bytes) override {
        note();
        if (refuses) return Failure{Error::out_of_nodes, bytes};
        return pages.decommit(address, bytes);
    }
    Status release(void* address, size_t bytes) override {
        note();
        if (refuses) return Failure{Error::out_of_nodes, bytes};
        return pages.release(address, bytes);
    }

    RegionPageSource pages;
    unsigned fail_in = 0;  // the call that fails: 1 is the next one; 0 none
    bool refuses = false;  // to take memory back
    bool forbidden_call = false;

  private:
    void note() { forbidden_call |= !ModelCpus::in_thread; }
    bool fails() {
        note();
        return fail_in != 0 && --fail_in == 0;
    }

    std::unique_ptr<unsigned char[]> region_;
    bool started_ = false;
};

class CpusWorld final : public model::World {
  public:
    explicit CpusWorld(const CpusShape& shape) : shape_(shape), pages_(shape.region_bytes) {
        HeapOptions options = pages_.pages.heap_options();
        options.overrun_check = shape.overrun_check;
        options.poison_freed = shape.poison_freed;
        options.sample_interval = shape.sample_interval;
        options.quarantine_bytes = shape.quarantine_bytes;
        options.random_placement = shape.quarantine_bytes != 0;
        start_failed_ = !pages_.started() || !heap_.start(pages_, platform_, options).ok();
        live_.reserve(shape.most_live + batch);
    }
    ~CpusWorld() override { heap_.stop(); }

    void step(uint64_t number, uint64_t word) override {
        if (start_failed_) throw model::Mismatch{"the heap did not start"};
        random_ = word;
        ModelCpus::current = static_cast<unsigned>(below(cpus));
        // One in eight runs in a handler; some of these find the heap's lock taken.
        const bool handler = below(8) == 0;
        const bool locked = handler && below(16) == 0;
        if (locked) heap_.lock_for_fork();
        ModelCpus::in_thread = !handler;
        const bool growing = number / 16384 % 2 == 0;
        const uint64_t pick = below(256);
        if (live_.empty() || (pick < (growing ? 136u : 104u) && live_.size() < shape_.most_live)) {
            handler ? try_allocate(locked) : allocate();
        } else if (pick < 236) {
            free(locked);
        } else if (!handler) {
            rarely(pick);
        }
        ModelCpus::in_thread = true;
        if (locked) heap_.unlock_after_fork();
        if (pages_.forbidden_call) fail("a handler reached the page source");
    }

    void validate() override {
        pages_.fail_in = 0;
        pages_.refuses = false;
        for (ModelCpus::current = 0; ModelCpus::current < cpus; ++ModelCpus::current)
            front_.drain();
        ModelCpus::current = 0;
        const Status status = heap_.validate();
        if (!status.ok()) fail(std::string("validate says ") + to_string(status.error()));
        if (heap_.late_refusals() != 0) fail("a cell came back with a state it cannot have");
        const HeapCounters counters = front_.counters();
        if (counters.live_blocks != live_.size()) fail("live blocks are miscounted");
        if (counters.committed_bytes != pages_.pages.committed_bytes())
            fail("pages are miscounted");
        std::vector<Block> sorted = live_;
        std::sort(sorted.begin(), sorted.end(),
                  [](const Block& a, const Block& b) { return a.at < b.at; });
        size_t bytes = 0;
        for (size_t i = 0; i < sorted.size(); ++i) {
            check(sorted[i]);
            bytes += sorted[i].bytes;
            if (i != 0 && sorted[i - 1].at + sorted[i - 1].bytes > sorted[i].at)
                fail("blocks overlap");
        }
        if (shape_.overrun_check != OverrunCheck::none && counters.live_bytes != bytes)
            fail("live bytes are miscounted");
    }
    std::string summary() const override {
        return "  " + std::to_string(counts_.allocated) + " allocated, " +
               std::to_string(counts_.refused) + " refused, " + std::to_string(counts_.freed) +
               " freed, " + std::to_string(counts_.reallocated) + " reallocated, " +
               std::to_string(counts_.queued) + " frees found the lock taken\n";
    }

  private:
    static constexpr unsigned cpus = 4;
    static constexpr size_t batch = 24;
    struct Block {
        unsigned char* at;
        size_t bytes;
        uint64_t stamp;
        size_t alignment;
    };
    class StoppingPlatform final : public Platform {
      public:
        [[noreturn]] void panic(const Report& report) override {
            throw model::Mismatch{report.what};
        }
    };
    using Front = PerCpuHeap<Heap, ModelCpus>;

    [[noreturn]] static void fail(const std::string& what) { throw model::Mismatch{what}; }
    uint64_t next() {
        uint64_t z = random_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t limit) { return (next() >> 32) * limit >> 32; }
    size_t some_size() {
        const uint64_t kind = below(256);
        if (kind < 176) return below(257);
        if (kind < 232) return below(2049);
        if (kind < 253) return below(20000);
        if (kind == 253) return page_size * (1 + below(6));
        return kind == 254 ? below(200000) : SIZE_MAX - below(1 << 20);
    }

    // Contents: eight bytes of a stamp at the ends, and at every 64 bytes of short blocks, or 1024
    // of long ones.
    template <class Visit>
    static void at_marks(const Block& block, Visit visit) {
        if (block.bytes < sizeof(uint64_t)) {
            if (block.bytes != 0) visit(block.at, block.bytes);
            return;
        }
        const size_t stride = block.bytes <= 1024 ? 64 : 1024;
        for (size_t at = 0; at + 2 * sizeof(uint64_t) <= block.bytes; at += stride)
            visit(block.at + at, sizeof(uint64_t));
        visit(block.at + block.bytes - sizeof(uint64_t), sizeof(uint64_t));
    }
    static void mark(const Block& block) {
        at_marks(block,
                 [&](unsigned char* at, size_t count) { std::memcpy(at, &block.stamp, count); });
    }
    static void check(const Block& block) {
        uint64_t wrong = 0;
        at_marks(block, [&](const unsigned char* at, size_t count) {
            uint64_t found = 0;
            std::memcpy(&found, at, count);
            wrong |= count == sizeof(found) ? found ^ block.stamp
                                            : found ^ (block.stamp & ((1ull << 8 * count) - 1));
        });
        if (wrong != 0) fail("a block's contents changed");
    }
    static void check_zero(const unsigned char* at, size_t bytes) {
        if (bytes != 0 && (at[0] != 0 || std::memcmp(at, at + 1, bytes - 1) != 0))
            fail("a zeroed block is not zero");
    }
    void accept(void* block, size_t bytes, size_t alignment) {
        ++counts_.allocated;
        const auto value = reinterpret_cast<uintptr_t>(block);
        const size_t least = 2 * sizeof(void*);
        if ((value & ((alignment < least ? least : alignment) - 1)) != 0)
            fail("a block is not aligned");
        live_.push_back({static_cast<unsigned char*>(block), bytes, next() | 1, alignment});
        mark(live_.back());
    }
    void refused(const Failure& failure, Error expected) {
        ++counts_.refused;
        if (failure.error != expected)
            fail(std::string("refused with: ") + to_string(failure.error));
    }

    void allocate() {
        const size_t bytes = some_size();
        const uint64_t kind = below(16);
        size_t alignment = 1;
        Result<void*> block = Failure{Error::unsupported};
        if (kind < 12) {
            block = front_.allocate(bytes);
        } else if (kind < 14) {
            block = front_.allocate_zeroed(bytes);
            if (block.ok()) check_zero(static_cast<unsigned char*>(*block), bytes);
        } else if (kind < 15) {
            alignment = size_t{1} << below(below(8) == 0 ? 15 : 11);
            block = front_.allocate_aligned(bytes, alignment);
        } else {
            return allocate_batch(bytes & 1023);
        }
        block.ok() ? accept(*block, bytes, alignment)
                   : refused(block.failure(), Error::out_of_memory);
    }
    void allocate_batch(size_t bytes) {
        void* blocks[batch];
        const size_t count = 1 + below(batch);
        const Status done = front_.allocate_batch(bytes, Span<void*>(blocks, count));
        if (!done.ok()) return refused(done.failure(), Error::out_of_memory);
        for (size_t i = 0; i < count; ++i)
            accept(blocks[i], bytes, 1);
    }
    void try_allocate(bool locked) {
        const size_t bytes = some_size();
        if (front_.allocate(bytes).ok()) fail("a handler was let wait");
        const uint64_t kind = below(4);
        const size_t alignment = kind == 0 ? size_t{1} << below(9) : 1;
        const Result<void*> block = kind == 0   ? front_.try_allocate_aligned(bytes, alignment)
                                    : kind == 1 ? front_.try_allocate_zeroed(bytes)
                                                : front_.try_allocate(bytes);
        if (!block.ok())
            return refused(block.failure(), locked ? Error::busy : Error::out_of_memory);
        if (kind == 1) check_zero(static_cast<unsigned char*>(*block), bytes);
        accept(*block, bytes, alignment);
    }

    Block take_out(size_t index) {
        const Block block = live_[index];
        live_[index] = live_.back();
        live_.pop_back();
        return block;
    }
    void free(bool locked) {
        const uint64_t kind = below(16);
        if (kind == 0) return free_batch(locked);
        if (kind == 1 && !locked) return misuse();
        const size_t index = below(live_.size());
        const Block& block = live_[index];
        check(block);
        counts_.queued += locked ? 1 : 0;
        const Status freed = kind < 6 && !locked
                                 ? front_.try_free_sized(block.at, block.bytes, block.alignment)
                                 : front_.try_free(block.at);
        if (!freed.ok()) {
            if (locked && freed.error() == Error::too_many) return;
            fail(std::string("a free was refused with: ") + to_string(freed.error()));
        }
        if (kind == 6 && !locked && front_.try_free(block.at).ok()) fail("a block was freed twice");
        ++counts_.freed;
        take_out(index);
    }
    void free_batch(bool locked) {
        if (locked) return;  // more than can be queued would be reported
        void* blocks[batch];
        const size_t count = std::min(live_.size(), 1 + below(batch));
        for (size_t i = 0; i < count; ++i) {
            const Block block = take_out(below(live_.size()));
            check(block);
            blocks[i] = block.at;
        }
        counts_.freed += count;
        front_.free_batch(Span<void* const>(blocks, count));
    }
    void misuse() {
        const Block& block = live_[below(live_.size())];
        Status status;
        switch (below(3)) {
            case 0:
                if (block.bytes < 2) return;
                status = front_.try_free(block.at + 1 + below(block.bytes - 1));
                break;
            case 1:
                // Sizes that lie closer together than 63 are told from one another in any heap.
                status = front_.try_free_sized(block.at, block.bytes + 1 + below(60));
                break;
            default:
                status = front_.try_free(this);
                break;
        }
        if (status.ok()) fail("a wrong free was taken");
    }

    void rarely(uint64_t pick) {
        if (pick < 250) return reallocate();
        if (pick < 252) return turn_pages();
        if (below(32) != 0) return;
        switch (below(5)) {
            case 0:
                front_.drain();
                break;
            case 2:
                front_.age();
                break;
            case 1:
                front_.request_trim();
                break;
            default:
                front_.trim();
                break;
        }
    }
    // Sometimes a call of the page source fails soon; sometimes it takes nothing back for a while.
    // Not both: what a failure undoes must be taken back.
    void turn_pages() {
        pages_.refuses = below(8) == 0;
        pages_.fail_in = pages_.refuses || below(2) == 0 ? 0 : 1 + static_cast<unsigned>(below(6));
    }
    void reallocate() {
        const size_t index = below(live_.size());
        Block& block = live_[index];
        check(block);
        const size_t bytes = below(2) == 0 ? some_size() : block.bytes / 2 + below(block.bytes + 1);
        const Result<void*> moved = front_.reallocate(block.at, bytes);
        if (!moved.ok()) {
            if (bytes <= block.bytes && !pages_.refuses) fail("a block could not be made smaller");
            check(block);
            if (!pages_.refuses) refused(moved.failure(), Error::out_of_memory);
            return;
        }
        ++counts_.reallocated;
        block.at = static_cast<unsigned char*>(*moved);
        // The marks that do not depend on the block's end.
        for (size_t at = 0; at + 2 * sizeof(uint64_t) <= std::min(block.bytes, bytes); at += 1024) {
            if (std::memcmp(block.at + at, &block.stamp, sizeof(uint64_t)) != 0)
                fail("reallocate lost contents");
        }
        block.bytes = bytes;
        block.alignment = 1;
        block.stamp = next() | 1;
        mark(block);
    }

    struct Counts {
        uint64_t allocated = 0, refused = 0, freed = 0, reallocated = 0, queued = 0;
    };
    CpusShape shape_;
    uint64_t random_ = 0;
    bool start_failed_ = false;
    FailingPages pages_;
    StoppingPlatform platform_;
    Heap heap_;
    Front::Slot slots_[cpus];
    Front front_{heap_, slots_};
    std::vector<Block> live_;
    Counts counts_;
};

}  // namespace quire::test
