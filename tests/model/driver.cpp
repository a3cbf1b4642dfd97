// SPDX-License-Identifier: MIT
#include "driver.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace quire::model {

namespace {

// What a child tells its parent, in memory that both see, so that it survives a crash.
struct Progress {
    uint64_t steps_done;
    bool finished;
    char what[2048];
    char summary[4096];
};

class SharedProgress {
  public:
    SharedProgress()
        : progress_(static_cast<Progress*>(mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                                                MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        if (progress_ == MAP_FAILED) throw std::runtime_error("no shared memory");
    }
    ~SharedProgress() { munmap(progress_, sizeof(Progress)); }
    SharedProgress(const SharedProgress&) = delete;
    SharedProgress& operator=(const SharedProgress&) = delete;
    Progress* operator->() { return progress_; }
    Progress& operator*() { return *progress_; }

  private:
    Progress* progress_;
};

template <size_t N>
void copy(char (&to)[N], const std::string& from) {
    std::snprintf(to, N, "%s", from.c_str());
}

// The outcome, and on the way, in `steps_done`, how far it came.
Outcome run_world(const WorldMaker& make, const Run& run, uint64_t& steps_done) {
    Outcome outcome;
    const std::unique_ptr<World> world = make();
    const uint64_t count = run.indices.empty() ? run.steps : run.indices.size();
    try {
        for (uint64_t done = 0; done < count; ++done) {
            const uint64_t index = run.indices.empty() ? done : run.indices[done];
            world->step(index, word_of(run.seed, index));
            steps_done = done + 1;
            if (run.trace) {
                std::printf("%10llu  %s\n", static_cast<unsigned long long>(index),
                            world->last_step().c_str());
            }
            if ((done + 1) % run.validate_every == 0) world->validate();
        }
        world->validate();
        outcome.passed = true;
    } catch (const Mismatch& mismatch) {
        std::string what = mismatch.what;
        if (!world->last_step().empty()) what += "\n  in: " + world->last_step();
        try {
            world->validate();
        } catch (const Mismatch& further) {
            what += "\n  and: " + further.what;
        }
        outcome.what = what;
    }
    outcome.failed_at = steps_done;
    outcome.summary = world->summary();
    return outcome;
}

// Steps at the end of a failed run that shrinking starts from.
constexpr uint64_t most_remembered = 20'000'000;

std::vector<uint64_t> without(const std::vector<uint64_t>& all, size_t first, size_t count) {
    std::vector<uint64_t> rest(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first));
    const size_t end = std::min(all.size(), first + count);
    rest.insert(rest.end(), all.begin() + static_cast<std::ptrdiff_t>(end), all.end());
    return rest;
}

}  // namespace

// The finaliser of SplitMix64 over the pair: random access, so that steps can be left out.
uint64_t word_of(uint64_t seed, uint64_t number) {
    uint64_t word = seed * 0x9e3779b97f4a7c15u + number * 0xd1342543de82ef95u + 0x632be59bd9b4e019u;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

Outcome run_here(const WorldMaker& make, const Run& run) {
    uint64_t steps_done = 0;
    return run_world(make, run, steps_done);
}

Outcome run_in_child(const WorldMaker& make, const Run& run) {
    SharedProgress progress;
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("cannot fork");
    if (child == 0) {
        const Outcome outcome = run_world(make, run, progress->steps_done);
        copy(progress->what, outcome.what);
        copy(progress->summary, outcome.summary);
        progress->finished = outcome.passed;
        std::fflush(nullptr);
        _exit(outcome.passed ? 0 : 1);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) throw std::runtime_error("lost the child");
    Outcome outcome;
    outcome.passed = progress->finished && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    outcome.failed_at = progress->steps_done;
    outcome.what = progress->what;
    outcome.summary = progress->summary;
    if (!outcome.passed && WIFSIGNALED(status)) {
        outcome.what += std::string(outcome.what.empty() ? "" : "\n") + "killed by " +
                        strsignal(WTERMSIG(status));
    } else if (!outcome.passed && outcome.what.empty()) {
        outcome.what = "the run ended early";
    }
    return outcome;
}

std::vector<uint64_t> shrink(const WorldMaker& make, const Run& run, uint64_t failed_at,
                             unsigned seconds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    const auto out_of_time = [&] { return std::chrono::steady_clock::now() > deadline; };
    // Of a very long run, the last steps must do: all are too many to remember.
    const uint64_t all =
        std::min(run.indices.empty() ? run.steps : run.indices.size(), failed_at + 1);
    std::vector<uint64_t> failing;
    for (uint64_t i = all - std::min(all, most_remembered); i < all; ++i)
        failing.push_back(run.indices.empty() ? i : run.indices[i]);
    const auto fails = [&](const std::vector<uint64_t>& steps) {
        if (steps.empty()) return false;
        Run candidate = run;
        candidate.indices = steps;
        candidate.validate_every = steps.size() < 2000 ? 1 : 64;
        candidate.trace = false;
        return !run_in_child(make, candidate).passed;
    };
    if (failing.size() < all && !fails(failing)) return {};
    // The last steps alone, the fewest first: most failures need no long history.
    for (size_t length = 64; length < failing.size() && !out_of_time(); length *= 4) {
        std::vector<uint64_t> tail(failing.end() - static_cast<std::ptrdiff_t>(length),
                                   failing.end());
        if (fails(tail)) {
            failing = std::move(tail);
            break;
        }
    }
    // Then leave out what can be left out, in ever smaller pieces.
    for (size_t piece = failing.size() / 2; piece > 0 && !out_of_time();) {
        bool smaller = false;
        for (size_t first = 0; first < failing.size() && !out_of_time();) {
            std::vector<uint64_t> candidate = without(failing, first, piece);
            if (fails(candidate)) {
                failing = std::move(candidate);
                smaller = true;
            } else {
                first += piece;
            }
        }
        if (!smaller || piece > failing.size()) piece /= 2;
    }
    return failing;
}

std::string to_text(const std::vector<uint64_t>& indices) {
    std::string text;
    for (size_t first = 0; first < indices.size();) {
        size_t last = first;
        while (last + 1 < indices.size() && indices[last + 1] == indices[last] + 1)
            ++last;
        if (!text.empty()) text += ',';
        text += std::to_string(indices[first]);
        if (last > first) text += '-' + std::to_string(indices[last]);
        first = last + 1;
    }
    return text;
}

std::vector<uint64_t> from_text(const std::string& text) {
    std::vector<uint64_t> indices;
    size_t at = 0;
    const auto number = [&] {
        size_t used = 0;
        const uint64_t value = std::stoull(text.substr(at), &used);
        at += used;
        return value;
    };
    while (at < text.size()) {
        const uint64_t first = number();
        uint64_t last = first;
        if (at < text.size() && text[at] == '-') {
            ++at;
            last = number();
        }
        if (last < first || last - first > 100'000'000) throw std::invalid_argument(text);
        for (uint64_t index = first; index <= last; ++index)
            indices.push_back(index);
        if (at < text.size() && text[at++] != ',') throw std::invalid_argument(text);
    }
    return indices;
}

}  // namespace quire::model
