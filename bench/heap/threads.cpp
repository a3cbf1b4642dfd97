// SPDX-License-Identifier: MIT
// Two threads: each for itself, one for the other, and in generations.
//
// A figure is CPU time of a thread that does the work, without what it sleeps for the other, and so
// holds on a host that has other work; "wall" is the time that went by, for as many. Both are
// medians of many chunks: the fastest may have run while the other thread did not.
#include <pthread.h>
#include <sched.h>

#include <atomic>

#include "rows.hpp"

namespace quire::bench {
namespace {

constexpr size_t most_threads = 2;

// Runs task(thread) in so many threads at once, to their ends.
template <class Task>
void in_threads(size_t count, Task task) {
    struct Start {
        Task* task;
        size_t thread;
    };
    std::array<pthread_t, most_threads> threads;
    std::array<Start, most_threads> starts;
    for (size_t i = 0; i < count; ++i) {
        starts[i] = {&task, i};
        const auto enter = [](void* given) -> void* {
            const auto* start = static_cast<Start*>(given);
            (*start->task)(start->thread);
            return nullptr;
        };
        if (pthread_create(&threads[i], nullptr, enter, &starts[i]) != 0) abort();
    }
    for (size_t i = 0; i < count; ++i)
        pthread_join(threads[i], nullptr);
}
void wait_until(const auto& holds) {
    while (!holds())
        sched_yield();
}

// ---- each for itself
// -----------------------------------------------------------------------------

// begin(thread), and then step(thread, random) on all threads at once, in chunks, for a while.
template <class Begin, class Step>
void time_threads(size_t count, const Effort& effort, Begin begin, Step step) {
    constexpr size_t steps = 8192;
    std::array<Chunks, most_threads> times;
    std::array<Chunks, most_threads> walls;
    std::atomic<size_t> ready{0};
    std::atomic<bool> over{false};
    in_threads(count, [&](size_t thread) {
        Random random(thread + 1);
        begin(thread);
        ++ready;
        wait_until([&] { return ready == count; });
        const double start = cpu_seconds();
        double before = start;
        double wall_before = wall_seconds();
        // The first to end ends all: the last chunk of the other may run alone, and is left out.
        while (!over) {
            for (size_t i = 0; i < steps; ++i)
                step(thread, random);
            const double now = cpu_seconds();
            const double wall_now = wall_seconds();
            if (!over) {
                times[thread].add((now - before) * 1e9 / steps);
                walls[thread].add((wall_now - wall_before) * 1e9 / steps);
            }
            before = now;
            wall_before = wall_now;
            if (now - start >= effort.seconds && times[thread].count() > 1) over = true;
        }
    });
    for (size_t thread = 1; thread < count; ++thread) {
        times[0].add_all(times[thread]);
        walls[0].add_all(walls[thread]);
    }
    times[0].print_as("fastest", "least");
    walls[0].print_as("wall fastest", "wall");
}

void pairs(const HeapRow& row, const Effort& effort) {
    time_threads(
        row.count, effort, [](size_t) {}, [&](size_t, Random&) { free(use(malloc(row.bytes))); });
}
// The blocks that a thread begins with are its own, or were all allocated by one.
template <bool own>
void random_replacement(const HeapRow& row, const Effort& effort) {
    Pages<void*> live(row.bytes * row.count);
    const auto fill = [&](size_t from, size_t count) {
        Random filler(9 + from);
        for (size_t i = from; i < from + count; ++i)
            live[i] = use(malloc(mixed_size(filler)));
    };
    if (!own) fill(0, live.size());
    time_threads(
        row.count, effort,
        [&](size_t thread) {
            if (own) fill(thread * row.bytes, row.bytes);
        },
        [&](size_t thread, Random& random) {
            void*& any = live[thread * row.bytes + random.below(row.bytes)];
            free(any);
            any = use(malloc(mixed_size(random)));
        });
}

// ---- one for the other
// ---------------------------------------------------------------------------

// One thread allocates batches, the other frees them. Waiting for each other is not counted.
void producer_and_consumer(const HeapRow& row, const Effort& effort) {
    constexpr size_t depth = 4;
    Pages<void*> blocks(depth * row.count);
    std::atomic<size_t> made{0};
    std::atomic<size_t> freed{0};
    std::atomic<bool> over{false};
    std::array<Chunks, 2> times;
    in_threads(2, [&](size_t thread) {
        Random random(1);
        const double start = wall_seconds();
        for (size_t round = 0;; ++round) {
            void** batch = &blocks[round % depth * row.count];
            if (thread == 0) {
                wait_until([&] { return round < freed + depth; });
                const double before = cpu_seconds();
                for (size_t i = 0; i < row.count; ++i)
                    batch[i] = use(malloc(row.bytes != 0 ? row.bytes : mixed_size(random)));
                if (round >= depth)
                    times[0].add((cpu_seconds() - before) * 1e9 / static_cast<double>(row.count));
                ++made;
                if (round > 4 * depth && wall_seconds() - start > effort.seconds * 2) {
                    over = true;
                    return;
                }
            } else {
                wait_until([&] { return round < made || over; });
                if (round >= made) return;
                const double before = cpu_seconds();
                for (size_t i = 0; i < row.count; ++i)
                    free(batch[i]);
                if (round >= depth)
                    times[1].add((cpu_seconds() - before) * 1e9 / static_cast<double>(row.count));
                ++freed;
            }
        }
    });
    print("malloc", times[0].median());
    print("free", times[1].median());
    print("least", times[0].median() + times[1].median());
}

// ---- generations
// ---------------------------------------------------------------------------------

// As the well-known benchmark of Larson and Krishnan has it: threads replace blocks at random in an
// array each, end, and leave their arrays to new threads, which free what others allocated.
void larson(const HeapRow& row, const Effort& effort) {
    constexpr size_t steps = 20'000;
    const size_t live = row.bytes;
    Pages<void*> blocks(live * row.count);
    Random filler(9);
    for (void*& block : blocks)
        block = use(malloc(mixed_size(filler)));
    Chunks times;
    const double start = wall_seconds();
    for (size_t generation = 0; wall_seconds() - start < effort.seconds * 2 || generation < 3;
         ++generation) {
        std::array<double, most_threads> taken{};
        in_threads(row.count, [&](size_t thread) {
            Random random(generation * most_threads + thread + 1);
            void** mine = &blocks[(thread + generation) % row.count * live];
            const double before = cpu_seconds();
            for (size_t i = 0; i < steps; ++i) {
                void*& any = mine[random.below(live)];
                free(any);
                any = use(malloc(mixed_size(random)));
            }
            taken[thread] = cpu_seconds() - before;
        });
        times.add(std::max(taken[0], taken[1]) * 1e9 / steps);
    }
    times.print_as("fastest", "least");
}

constexpr HeapRow rows[] = {
    {"threads", "pairs of 64 B, 1 thread", pairs, 64, 1},
    {"threads", "pairs of 64 B, 2 threads", pairs, 64, 2},
    {"threads", "random, 1k live, 1 thread", random_replacement<true>, 1000, 1},
    {"threads", "random, 1k live, 2 threads", random_replacement<true>, 1000, 2},
    {"threads", "random, 50k live, 2 threads", random_replacement<true>, 50'000, 2},
    {"threads", "random, 1k live of one thread, 2 threads", random_replacement<false>, 1000, 2},
    {"threads", "generations, 1 thread", larson, 1000, 1},
    {"threads", "generations, 2 threads", larson, 1000, 2},
    {"threads", "freed by the other, 64 B", producer_and_consumer, 64, 512},
    {"threads", "freed by the other, mixed", producer_and_consumer, 0, 512},
};

}  // namespace

std::span<const HeapRow> thread_rows() {
    return rows;
}

}  // namespace quire::bench
