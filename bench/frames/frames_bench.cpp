// SPDX-License-Identifier: MIT
// quire_frames_bench: times of the frame allocator and of the baselines, and how whole memory
// stays. Benchmarks are named TABLE/ROW/SUBJECT. `./quire bench frames` runs this and makes tables
// of it; by itself it is an ordinary program of Google Benchmark, with --quick beside its options.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fragmentation.hpp"
#include "subjects.hpp"
#include "support/stopwatch.hpp"
#include "workloads.hpp"

namespace quire::bench {
namespace {

constexpr uint64_t memory = 8 * frames_of_gib;
constexpr uint64_t memory_of_slow = frames_of_gib / 4;  // where a run would take hours otherwise
constexpr uint64_t memory_to_age = 4 * frames_of_gib;
constexpr uint64_t fill_seed = 1;
constexpr uint64_t ageing_seeds[] = {1, 2};

struct Effort {
    int64_t steps = 2'000'000;
    int64_t steps_of_slow = 1000;
    double thread_seconds = 0.2;
};

template <Subject S>
int64_t steps_of(const Effort& effort) {
    return S::is_slow ? effort.steps_of_slow : effort.steps;
}

benchmark::internal::Benchmark* add(const std::string& table, const std::string& row,
                                    const char* subject,
                                    std::function<void(benchmark::State&)> run) {
    return benchmark::RegisterBenchmark((table + "/" + row + "/" + subject).c_str(),
                                        [run](benchmark::State& state) { run(state); })
        ->Iterations(1);
}

// ---- one CPU, one step after the other
// -----------------------------------------------------------

template <class S, class Workload>
void run_steps(benchmark::State& state, S& subject, Workload& workload) {
    for (auto _ : state)
        benchmark::DoNotOptimize(workload.step(subject));
}

template <Subject S>
void add_steady(const Effort& effort) {
    add("steady", "lifo", S::name, [](benchmark::State& state) {
        S subject(memory);
        leave_random_half(subject, memory, fill_seed);
        Pairs<0> workload;
        run_steps(state, subject, workload);
    })->Iterations(steps_of<S>(effort));
    add("steady", "fifo", S::name, [](benchmark::State& state) {
        S subject(memory);
        leave_random_half(subject, memory, fill_seed);
        Window workload(subject);
        run_steps(state, subject, workload);
    })->Iterations(steps_of<S>(effort));
    add("steady", "random", S::name, [](benchmark::State& state) {
        S subject(memory);
        Replacement workload(leave_random_half(subject, memory, fill_seed), fill_seed);
        run_steps(state, subject, workload);
    })->Iterations(steps_of<S>(effort));
}

template <Subject S, unsigned order>
void add_pairs_of_order(const Effort& effort) {
    for (const unsigned percent : {10u, 50u, 90u}) {
        const std::string row =
            "order " + std::to_string(order) + ", " + std::to_string(percent) + " % full";
        add("pairs", row, S::name, [percent](benchmark::State& state) {
            S subject(memory);
            if constexpr (requires { subject.take_first(memory); }) {
                subject.take_first(memory / 100 * percent);
            } else {
                fill(subject, memory, percent);
            }
            Pairs<order> workload;
            run_steps(state, subject, workload);
        })->Iterations(steps_of<S>(effort));
    }
}

template <Subject S>
void add_pairs(const Effort& effort) {
    add_pairs_of_order<S, 0>(effort);
    add_pairs_of_order<S, 3>(effort);
    add_pairs_of_order<S, 9>(effort);
}

// ---- all of memory, in one go
// --------------------------------------------------------------------

enum class PutOrder { same, reversed, random };

template <Subject S>
void get_and_put_all(benchmark::State& state, unsigned order, bool time_get, PutOrder put_order) {
    const uint64_t frames = S::is_slow ? memory_of_slow : memory;
    S subject(frames);
    std::vector<Token> taken(frames >> order);
    for (auto _ : state) {
        const Stopwatch get_watch;
        for (Token& block : taken)
            block = subject.get(order);
        if (time_get) state.SetIterationTime(get_watch.seconds());
        if (std::count(taken.begin(), taken.end(), no_frames) != 0) std::abort();
        Random random(fill_seed);
        if (put_order == PutOrder::reversed) std::reverse(taken.begin(), taken.end());
        if (put_order == PutOrder::random) shuffle(taken, random);
        const Stopwatch put_watch;
        for (const Token block : taken)
            subject.put(block, order);
        if (!time_get) state.SetIterationTime(put_watch.seconds());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(taken.size()));
}

template <Subject S>
void add_bulk(const Effort&) {
    for (const unsigned order : {0u, 3u, 9u}) {
        const auto add_row = [order](const char* what, bool time_get, PutOrder put_order) {
            add("bulk", "order " + std::to_string(order) + " " + what, S::name,
                [=](benchmark::State& state) {
                    get_and_put_all<S>(state, order, time_get, put_order);
                })
                ->UseManualTime();
        };
        add_row("get", true, PutOrder::same);
        add_row("put in order", false, PutOrder::same);
        add_row("put reversed", false, PutOrder::reversed);
        add_row("put at random", false, PutOrder::random);
    }
}

// ---- two CPUs
// ------------------------------------------------------------------------------------

// All threads at once, each with a workload of its own on the one subject, for a set time: where
// they wait for each other on a busy host, a set number of steps could take hours.
struct Work {
    double seconds;  // from the first start to the last end
    int64_t steps;   // of all threads
};
template <class S, class Workload>
Work run_threads(S& subject, std::vector<Workload>& workloads, double seconds) {
    using Clock = std::chrono::steady_clock;
    struct Share {
        Clock::time_point start;
        Clock::time_point end;
        int64_t steps = 0;
    };
    constexpr int64_t steps_between_looks = 256;
    std::atomic<size_t> ready{0};
    std::atomic<bool> over{false};
    std::vector<Share> shares(workloads.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < workloads.size(); ++i) {
        threads.emplace_back([&, i] {
            thread_number = static_cast<unsigned>(i);
            Workload workload = std::move(workloads[i]);
            ++ready;
            while (ready < workloads.size()) {
            }
            Share share;
            share.start = Clock::now();
            while (!over) {
                for (int64_t step = 0; step < steps_between_looks; ++step)
                    benchmark::DoNotOptimize(workload.step(subject));
                share.steps += steps_between_looks;
            }
            share.end = Clock::now();
            shares[i] = share;
        });
    }
    while (ready < workloads.size())
        std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    over = true;
    for (std::thread& thread : threads)
        thread.join();
    Share all = shares[0];
    all.steps = 0;
    for (const Share& one : shares)
        all = {std::min(all.start, one.start), std::max(all.end, one.end), all.steps + one.steps};
    return {std::chrono::duration<double>(all.end - all.start).count(), all.steps};
}

template <Subject S>
void add_threads(const Effort& effort) {
    if constexpr (S::is_shared) {
        for (const size_t count : {size_t{1}, size_t{2}}) {
            const std::string suffix = count == 1 ? ", 1 thread" : ", 2 threads";
            const auto time = [=](benchmark::State& state, auto& subject, auto& workloads) {
                for (auto _ : state) {
                    const Work work = run_threads(subject, workloads, effort.thread_seconds);
                    state.SetIterationTime(work.seconds);
                    state.SetItemsProcessed(work.steps);
                }
            };
            add("threads", "lifo" + suffix, S::name, [=](benchmark::State& state) {
                S subject(memory);
                leave_random_half(subject, memory, fill_seed);
                std::vector<Pairs<0>> workloads(count);
                time(state, subject, workloads);
            })->UseManualTime();
            add("threads", "random" + suffix, S::name, [=](benchmark::State& state) {
                S subject(memory);
                const auto taken = leave_random_half(subject, memory, fill_seed);
                // Each thread has half of what is taken, however many threads there are.
                const auto middle = taken.begin() + static_cast<ptrdiff_t>(taken.size() / 2);
                std::vector<Replacement> workloads;
                workloads.emplace_back(std::vector<Token>(taken.begin(), middle), 1);
                if (count == 2) workloads.emplace_back(std::vector<Token>(middle, taken.end()), 2);
                time(state, subject, workloads);
            })->UseManualTime();
        }
    }
}

// ---- single calls
// --------------------------------------------------------------------------------

template <Subject S>
void add_latency(const Effort& effort) {
    const auto steps = static_cast<size_t>(steps_of<S>(effort));
    add("latency", "random", S::name, [steps](benchmark::State& state) {
        S subject(memory);
        std::vector<Token> taken = leave_random_half(subject, memory, fill_seed);
        Random random(fill_seed);
        Latencies gets(steps);
        Latencies puts(steps);
        for (auto _ : state) {
            for (size_t i = 0; i < steps; ++i) {
                Token& any = taken[random.below(taken.size())];
                const Token old = any;
                puts.time([&] {
                    subject.put(old, 0);
                    return 0;
                });
                any = gets.time([&] { return subject.get(0); });
            }
        }
        for (auto& [what, latencies] :
             {std::pair<const char*, Latencies&>("get", gets), {"put", puts}}) {
            for (const auto& [label, share] : {std::pair<const char*, double>(" 50", 0.5),
                                               {" 99", 0.99},
                                               {" 99.9", 0.999},
                                               {" max", 1.0}})
                state.counters[std::string(what) + label] = latencies.percentile(share);
        }
    });
}

// ---- memory and start
// ----------------------------------------------------------------------------

template <Subject S>
void add_start(const Effort&) {
    add("metadata", "bytes per frame", S::name, [](benchmark::State& state) {
        for (auto _ : state)
            state.counters["bytes"] =
                static_cast<double>(S(memory).metadata_bytes()) / static_cast<double>(memory);
    })->Repetitions(1);
    add("start", "8 GiB", S::name, [](benchmark::State& state) {
        if constexpr (requires { S::seconds_to_start(memory, WhoTouches::us); }) {
            for (auto _ : state)
                state.SetIterationTime(S::seconds_to_start(memory, WhoTouches::us));
        } else {
            for (auto _ : state) {
                const Stopwatch watch;
                S subject(memory);
                benchmark::DoNotOptimize(&subject);
                state.SetIterationTime(watch.seconds());
            }
        }
    })->UseManualTime();
    if constexpr (requires { S::seconds_to_start(memory, WhoTouches::allocator); }) {
        add("start", "16 TiB", S::name, [](benchmark::State& state) {
            for (auto _ : state)
                state.SetIterationTime(
                    S::seconds_to_start(16 * 1024 * frames_of_gib, WhoTouches::allocator));
        })->UseManualTime();
    }
}

// ---- fragmentation
// -------------------------------------------------------------------------------

template <Subject S>
void add_fragmentation(const Effort&) {
    const auto add_row = [](const std::string& row, auto run) {
        add("fragmentation", row, S::name, [run](benchmark::State& state) {
            for (auto _ : state) {
                for (const uint64_t seed : ageing_seeds) {
                    Machine<S> machine(memory_to_age, seed);
                    run(machine);
                    const std::string suffix = " " + std::to_string(seed);
                    state.counters["before" + suffix] = machine.percent_whole();
                    state.counters["after" + suffix] = machine.percent_whole_when_drained();
                }
            }
        })->Repetitions(1);  // it is the same each time
    };
    if constexpr (!S::is_slow && !std::same_as<S, Nothing>) {
        for (const unsigned percent : {90u, 50u}) {
            add_row("refill, " + std::to_string(percent) + " % freed",
                    [percent](Machine<S>& machine) { machine.refill(percent); });
        }
        for (const Ageing& mix : {Ageing{50, 0}, {80, 0}, {30, 30}, {45, 35}}) {
            add_row("ageing, " + std::to_string(mix.percent_small) + " % small + " +
                        std::to_string(mix.percent_huge) + " % huge",
                    [mix](Machine<S>& machine) { machine.age(mix); });
        }
        for (const unsigned percent : {60u, 90u}) {
            add_row("lifetimes, up to " + std::to_string(percent) + " % full",
                    [percent](Machine<S>& machine) { machine.live(percent); });
        }
    }
}

void add_all(const Effort& effort) {
    const auto for_each = [&](auto add_one) { for_each_subject(add_one); };
    for_each([&]<Subject S>() { add_steady<S>(effort); });
    for_each([&]<Subject S>() { add_pairs<S>(effort); });
    add_pairs_of_order<Floor, block_frames_order>(effort);
    for_each([&]<Subject S>() { add_bulk<S>(effort); });
    for_each([&]<Subject S>() { add_threads<S>(effort); });
    for_each([&]<Subject S>() { add_latency<S>(effort); });
    for_each([&]<Subject S>() { add_start<S>(effort); });
    for_each([&]<Subject S>() { add_fragmentation<S>(effort); });
}

void add_context() {
    const auto percents = [](auto& values) {
        std::string text;
        for (const auto value : values)
            text += (text.empty() ? "" : " ") + std::to_string(value);
        return text;
    };
    benchmark::AddCustomContext("fill seed", std::to_string(fill_seed));
    benchmark::AddCustomContext("ageing seeds", percents(ageing_seeds));
    benchmark::AddCustomContext("small requests, percent of order 0 up", percents(small_orders));
    benchmark::AddCustomContext("refill rounds of a tenth", std::to_string(refill_rounds));
    benchmark::AddCustomContext("ageing turnovers of what is taken",
                                std::to_string(ageing_turnovers));
    benchmark::AddCustomContext(
        "processes",
        std::to_string(lifetimes_ended) + " ended, 2^" + std::to_string(least_process_order) +
            " to 2^" + std::to_string(least_process_order + process_orders) + " frames, " +
            std::to_string(huge_requests_in_1000) + " huge requests in 1000 of large ones, " +
            std::to_string(lasting_requests_in_1000) +
            " lasting frames in 1000 requests, at most " + std::to_string(lasting_percent) +
            " % of memory");
}

}  // namespace
}  // namespace quire::bench

int main(int count, char** arguments) {
    quire::bench::Effort effort;
    for (int i = 1; i < count; ++i) {
        if (std::strcmp(arguments[i], "--quick") != 0) continue;
        effort = {.steps = 400'000, .steps_of_slow = 100, .thread_seconds = 0.05};
        std::rotate(arguments + i, arguments + i + 1, arguments + count--);
    }
    quire::bench::add_all(effort);
    quire::bench::add_context();
    benchmark::Initialize(&count, arguments);
    if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
