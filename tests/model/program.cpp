// SPDX-License-Identifier: MIT
#include "program.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace quire::model {

const char* const common_usage =
    "  --steps N            how many operations\n"
    "  --seed S             which random operations (default 1)\n"
    "  --replay L           only these steps of the run, as a failure prints them: 3,7-9,12\n"
    "  --trace              print every step\n"
    "  --shrink-seconds N   how long to look for fewer steps that fail (default 60)\n"
    "  --jobs N             how many parts to run at a time (default 1)\n";

ProgramOptions parse(
    int count, char** arguments, uint64_t steps,
    const std::function<void(const std::string& option, const Value& value)>& other) {
    ProgramOptions options;
    options.run.steps = steps;
    for (int i = 1; i < count; ++i) {
        const std::string option = arguments[i];
        const auto value = [&] {
            if (++i >= count) throw std::invalid_argument(option + " needs a value");
            return std::string(arguments[i]);
        };
        if (option == "--steps") {
            options.run.steps = std::stoull(value());
        } else if (option == "--seed") {
            options.run.seed = std::stoull(value());
        } else if (option == "--replay") {
            options.run.indices = from_text(value());
            options.run.validate_every = 1;
        } else if (option == "--trace") {
            options.run.trace = true;
        } else if (option == "--shrink-seconds") {
            options.shrink_seconds = static_cast<unsigned>(std::stoul(value()));
        } else if (option == "--jobs") {
            options.jobs = static_cast<unsigned>(std::stoul(value()));
        } else if (option == "--help") {
            options.help = true;
        } else {
            other(option, value);
        }
    }
    return options;
}

namespace {

void tell_failure(const std::string& command, const ProgramOptions& options, const Run& run,
                  const Part& part, const Outcome& outcome) {
    std::printf("%s: FAILED after %llu steps (seed %llu): %s\n", part.name.c_str(),
                static_cast<unsigned long long>(outcome.failed_at),
                static_cast<unsigned long long>(run.seed), outcome.what.c_str());
    if (run.trace || options.shrink_seconds == 0) return;
    std::printf("shrinking...\n");
    const auto steps = shrink(part.make, run, outcome.failed_at, options.shrink_seconds);
    if (steps.empty()) {
        std::printf("the last steps alone do not fail; again: %s %s --seed %llu --steps %llu\n",
                    command.c_str(), part.options.c_str(),
                    static_cast<unsigned long long>(run.seed),
                    static_cast<unsigned long long>(outcome.failed_at + 1));
        return;
    }
    Run replay = run;
    replay.indices = steps;
    replay.validate_every = 1;
    replay.trace = steps.size() <= 200;
    std::printf("%zu steps are enough:\n", steps.size());
    const Outcome shrunk = run_in_child(part.make, replay);
    std::printf("  %s\nreplay: %s %s --seed %llu --replay %s\n", shrunk.what.c_str(),
                command.c_str(), part.options.c_str(), static_cast<unsigned long long>(run.seed),
                to_text(steps).c_str());
}

}  // namespace

int run_parts(const std::string& command, const ProgramOptions& options,
              const std::vector<Part>& parts) {
    uint64_t weights = 0;
    for (const Part& part : parts)
        weights += part.weight;
    const auto share_of = [&](size_t i) {
        return options.run.steps / weights * parts[i].weight +
               (i == 0 ? options.run.steps % weights : 0);
    };
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex output;
    const auto work = [&] {
        for (size_t i = next++; i < parts.size() && !failed; i = next++) {
            Run run = options.run;
            run.steps = share_of(i);
            const auto start = std::chrono::steady_clock::now();
            const Outcome outcome = run_in_child(parts[i].make, run);
            const std::lock_guard guard(output);
            if (!outcome.passed) {
                if (!failed.exchange(true)) tell_failure(command, options, run, parts[i], outcome);
                return;
            }
            const double seconds =
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            std::printf("%-16s %llu steps, seed %llu: no divergence (%.1f s)\n%s",
                        parts[i].name.c_str(), static_cast<unsigned long long>(outcome.failed_at),
                        static_cast<unsigned long long>(run.seed), seconds,
                        outcome.summary.c_str());
            std::fflush(stdout);
        }
    };
    std::vector<std::thread> threads;
    for (unsigned job = 1; job < options.jobs; ++job)
        threads.emplace_back(work);
    work();
    for (std::thread& thread : threads)
        thread.join();
    return failed ? 1 : 0;
}

int run_machines(const std::string& model, const std::string& option, int count, char** arguments,
                 const std::vector<Machine>& machines) {
    const std::string program = "quire_" + model + "_model";
    std::string wanted;
    ProgramOptions options;
    try {
        options =
            parse(count, arguments, 10'000'000, [&](const std::string& other, const Value& value) {
                if (other != option) throw std::invalid_argument(other);
                wanted = value();
            });
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s: %s\n", program.c_str(), problem.what());
        return 2;
    }
    if (options.help) {
        std::printf("usage: %s [OPTION...]\n\n%s", program.c_str(), common_usage);
        std::printf("  %-20s one of these, in place of all:\n", (option + " NAME").c_str());
        for (const Machine& machine : machines)
            std::printf("  %-20s %s\n", "", machine.name.c_str());
        return 0;
    }
    std::vector<Part> parts;
    for (const Machine& machine : machines)
        if (wanted.empty() || wanted == machine.name)
            parts.push_back({machine.name, option + " " + machine.name, machine.make});
    if (parts.empty()) {
        std::fprintf(stderr, "%s: %s %s\n", program.c_str(), option.c_str(), wanted.c_str());
        return 2;
    }
    return run_parts("./quire model " + model, options, parts);
}

}  // namespace quire::model
