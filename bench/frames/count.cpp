// SPDX-License-Identifier: MIT
// quire_frames_count SUBJECT: runs the steady workloads under valgrind --tool=callgrind
// --instr-atstart=no, each twice with different numbers of steps, and has callgrind write its
// counts down after each run. The difference is the instructions of so many steps, and of nothing
// else.
#include <valgrind/callgrind.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "subjects.hpp"
#include "workloads.hpp"

namespace quire::bench {
namespace {

constexpr uint64_t memory = 8 * frames_of_gib;
constexpr int few_steps = 20'000;
constexpr int many_steps = 120'000;

template <class S, class Workload>
void run(S& subject, Workload& workload, int steps) {
    for (int i = 0; i < steps; ++i) {
        const Token token = workload.step(subject);
        __asm__ __volatile__("" : : "r"(token) : "memory");
    }
}

template <class S, class Workload>
void count(const char* row, S& subject, Workload workload) {
    run(subject, workload, few_steps);  // past the first steps, which are different ones
    for (const int steps : {few_steps, many_steps}) {
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        run(subject, workload, steps);
        const std::string what = std::string(row) + " " + std::to_string(steps);
        CALLGRIND_DUMP_STATS_AT(what.c_str());
        CALLGRIND_STOP_INSTRUMENTATION;
    }
}

template <class S>
void count_all() {
    {
        S subject(memory);
        fill(subject, memory, 50);
        count("order 0, 50 % full", subject, Pairs<0>());
        count("order 3, 50 % full", subject, Pairs<3>());
        count("order 9, 50 % full", subject, Pairs<9>());
    }
    S subject(memory);
    const auto taken = leave_random_half(subject, memory, 1);
    count("lifo", subject, Pairs<0>());
    count("fifo", subject, Window(subject));
    count("random", subject, Replacement(taken, 1));
}

}  // namespace
}  // namespace quire::bench

int main(int count, char** arguments) {
    using namespace quire::bench;
    bool found = false;
    for_each_subject([&]<Subject S>() {
        if constexpr (!S::is_slow) {
            if (count != 2 || std::string(arguments[1]) != S::name) return;
            found = true;
            count_all<S>();
        }
    });
    if (!found) std::fprintf(stderr, "usage: quire_frames_count SUBJECT\n");
    return found ? 0 : 2;
}
