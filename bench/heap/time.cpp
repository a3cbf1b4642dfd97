// SPDX-License-Identifier: MIT
// One thread: pairs, batches, random replacement, chains of reallocations, single calls.
#include <cstring>
#include <utility>

#include "rows.hpp"
#include "support/stopwatch.hpp"

namespace quire::bench {
namespace {

// ---- a block, again and again
// --------------------------------------------------------------------

void pair(const HeapRow& row, const Effort& effort) {
    const size_t steps = row.bytes >= size_t{64} << 10 ? 512 : 8192;
    time_chunks(effort, static_cast<double>(steps), [&] {
        for (size_t i = 0; i < steps; ++i)
            free(use(malloc(row.bytes)));
    });
}
void zeroed_pair(const HeapRow& row, const Effort& effort) {
    constexpr size_t steps = 2048;
    time_chunks(effort, steps, [&] {
        for (size_t i = 0; i < steps; ++i)
            free(use(calloc(1, row.bytes)));
    });
}
void aligned_pair(const HeapRow& row, const Effort& effort) {
    constexpr size_t steps = 8192;
    time_chunks(effort, steps, [&] {
        for (size_t i = 0; i < steps; ++i)
            free(use(aligned_alloc(row.count, row.bytes)));
    });
}

// ---- 64 blocks, then none
// ------------------------------------------------------------------------

constexpr size_t batch = 64;
enum class Order { lifo, fifo, shuffled };

template <Order order>
void batches(const HeapRow& row, const Effort& effort) {
    constexpr size_t rounds = 64;
    // Orders that are made beforehand.
    std::array<std::array<uint8_t, batch>, 16> orders;
    Random random(1);
    for (auto& one : orders) {
        for (size_t i = 0; i < batch; ++i)
            one[i] = static_cast<uint8_t>(order == Order::lifo ? batch - 1 - i : i);
        for (size_t left = batch; order == Order::shuffled && left > 1; --left)
            std::swap(one[left - 1], one[random.below(left)]);
    }
    time_chunks(effort, rounds * batch, [&] {
        std::array<void*, batch> blocks;
        for (size_t round = 0; round < rounds; ++round) {
            for (void*& block : blocks)
                block = use(malloc(row.bytes));
            for (const uint8_t at : orders[round % orders.size()])
                free(blocks[at]);
        }
    });
}

// ---- any block for a new one
// ---------------------------------------------------------------------

void random_replacement(const HeapRow& row, const Effort& effort) {
    Random random(1);
    Pages<void*> live(row.count);
    const auto size = [&] { return row.bytes != 0 ? row.bytes : mixed_size(random); };
    for (void*& block : live)
        block = use(malloc(size()));
    constexpr size_t steps = 4096;
    time_chunks(effort, steps, [&] {
        for (size_t i = 0; i < steps; ++i) {
            void*& any = live[random.below(live.size())];
            free(any);
            any = use(malloc(size()));
        }
    });
}

// ---- reallocation
// --------------------------------------------------------------------------------

struct Chain {
    void* block = nullptr;
    size_t bytes = 0;

    void grow_to(size_t wanted) {
        block = use(realloc(block, wanted));
        static_cast<volatile unsigned char*>(block)[wanted - 1] = 1;
        bytes = wanted;
    }
    void end() {
        free(block);
        *this = {};
    }
};

// `count` chains side by side, each by 64 bytes a step.
void append(const HeapRow& row, const Effort& effort) {
    std::array<Chain, 8> chains;
    const size_t steps = row.bytes / 64 * row.count;
    time_chunks(effort, static_cast<double>(steps), [&] {
        for (size_t bytes = 64; bytes <= row.bytes; bytes += 64)
            for (size_t i = 0; i < row.count; ++i)
                chains[i].grow_to(bytes);
        for (Chain& chain : chains)
            chain.end();
    });
}
void grow_by_half(const HeapRow& row, const Effort& effort) {
    size_t steps = 0;
    for (size_t bytes = 16; bytes < row.bytes; bytes += bytes / 2)
        ++steps;
    time_chunks(effort, static_cast<double>(steps), [&] {
        Chain chain;
        for (size_t bytes = 16; bytes < row.bytes; bytes += bytes / 2)
            chain.grow_to(bytes);
        chain.end();
    });
}
void grow_by_pages(const HeapRow& row, const Effort& effort) {
    const size_t step = row.bytes / 64;
    time_chunks(effort, 64, [&] {
        Chain chain;
        for (size_t bytes = step; bytes <= row.bytes; bytes += step)
            chain.grow_to(bytes);
        chain.end();
    });
}

// ---- single calls
// --------------------------------------------------------------------------------

void latency(const HeapRow& row, const Effort& effort) {
    Random random(1);
    Pages<void*> live(row.count);
    for (void*& block : live)
        block = use(malloc(mixed_size(random)));
    Latencies mallocs(effort.latency_calls);
    Latencies frees(effort.latency_calls);
    for (size_t i = 0; i < effort.latency_calls; ++i) {
        void*& any = live[random.below(live.size())];
        frees.time([&] {
            free(any);
            return 0;
        });
        const size_t bytes = mixed_size(random);
        any = use(mallocs.time([&] { return malloc(bytes); }));
    }
    for (auto& [what, calls] :
         {std::pair<const char*, Latencies&>("malloc", mallocs), {"free", frees}}) {
        for (const auto& [label, share] : {std::pair<const char*, double>("50", 0.5),
                                           {"99", 0.99},
                                           {"99.9", 0.999},
                                           {"max", 1.0}}) {
            char name[32];
            snprintf(name, sizeof name, "%s %s", what, label);
            print(name, calls.percentile(share));
        }
    }
}

// For counting instructions: a set number of calls, no more.
void counted_pairs(const HeapRow& row, const Effort&) {
    for (size_t i = 0; i < row.count; ++i)
        free(use(malloc(row.bytes)));
    print("calls", static_cast<double>(row.count));
}
void counted_batches(const HeapRow& row, const Effort&) {
    std::array<void*, batch> blocks;
    for (size_t i = 0; i < row.count / batch; ++i) {
        for (void*& block : blocks)
            block = use(malloc(row.bytes));
        for (void* block : blocks)
            free(block);
    }
    print("calls", static_cast<double>(row.count));
}

constexpr size_t kib = 1024;
constexpr size_t mib = 1024 * kib;
constexpr HeapRow rows[] = {
    {"pairs", "16 B", pair, 16},
    {"pairs", "64 B", pair, 64},
    {"pairs", "256 B", pair, 256},
    {"pairs", "1 KiB", pair, kib},
    {"pairs", "4 KiB", pair, 4 * kib},
    {"pairs", "16 KiB", pair, 16 * kib},
    {"pairs", "64 KiB", pair, 64 * kib},
    {"pairs", "256 KiB", pair, 256 * kib},
    {"pairs", "1 MiB", pair, mib},
    {"pairs", "8 MiB", pair, 8 * mib},
    {"pairs", "64 B zeroed", zeroed_pair, 64},
    {"pairs", "4 KiB zeroed", zeroed_pair, 4 * kib},
    {"pairs", "64 B aligned to 64", aligned_pair, 64, 64},
    {"batches", "64 B lifo", batches<Order::lifo>, 64},
    {"batches", "64 B fifo", batches<Order::fifo>, 64},
    {"batches", "64 B shuffled", batches<Order::shuffled>, 64},
    {"batches", "1 KiB fifo", batches<Order::fifo>, kib},
    {"batches", "16 KiB fifo", batches<Order::fifo>, 16 * kib},
    {"random", "1k live", random_replacement, 0, 1000},
    {"random", "100k live", random_replacement, 0, 100'000},
    {"random", "100k live of 64 B", random_replacement, 64, 100'000},
    {"chains", "64 B at a time to 64 KiB", append, 64 * kib, 1},
    {"chains", "the same, 8 side by side", append, 64 * kib, 8},
    {"chains", "by half to 1 MiB", grow_by_half, mib},
    {"chains", "1 MiB at a time to 64 MiB", grow_by_pages, 64 * mib},
    {"latency", "random, 100k live", latency, 0, 100'000},
    {"count", "64 B pairs, few", counted_pairs, 64, 2048},
    {"count", "64 B pairs, many", counted_pairs, 64, 10'240},
    {"count", "64 B batches, few", counted_batches, 64, 2048},
    {"count", "64 B batches, many", counted_batches, 64, 10'240},
};

}  // namespace

std::span<const HeapRow> time_rows() {
    return rows;
}

}  // namespace quire::bench
