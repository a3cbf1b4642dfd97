// SPDX-License-Identifier: MIT
// Random operations on the whole stack, on the simulated machine, against a naive model.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "driver.hpp"
#include "stack_world.hpp"

namespace {

constexpr const char* usage =
    "usage: quire_model [--steps N] [--seed S] [--reach direct|recursive|window] [--mem MIB]\n"
    "                   [--replay STEPS] [--trace] [--shrink-seconds N]\n"
    "\n"
    "  --steps N    how many operations (default 1000000)\n"
    "  --seed S     which random operations (default 1)\n"
    "  --reach R    how page tables are reached (default: all three, one after another)\n"
    "  --mem MIB    the machine's memory (default 16)\n"
    "  --replay L   only these steps of the run, as a failure prints them: 3,7-9,12\n"
    "  --trace      print every step\n";

struct Options {
    quire::model::Run run;
    std::vector<quire::TableReach> reaches;
    unsigned mebibytes = 16;
    unsigned shrink_seconds = 60;
};

quire::TableReach parse_reach(const std::string& text) {
    using quire::TableReach;
    if (text == "direct") return TableReach::direct;
    if (text == "recursive") return TableReach::recursive;
    if (text == "window") return TableReach::window;
    throw std::invalid_argument("--reach " + text);
}

const char* name(quire::TableReach reach) {
    switch (reach) {
        case quire::TableReach::direct:
            return "direct";
        case quire::TableReach::recursive:
            return "recursive";
        case quire::TableReach::window:
            return "window";
    }
    return "";
}

Options parse(int count, char** arguments) {
    Options options;
    options.run.steps = 1'000'000;
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
        } else if (option == "--reach") {
            options.reaches.push_back(parse_reach(value()));
        } else if (option == "--mem") {
            options.mebibytes = static_cast<unsigned>(std::stoul(value()));
        } else if (option == "--replay") {
            options.run.indices = quire::model::from_text(value());
            options.run.validate_every = 1;
        } else if (option == "--trace") {
            options.run.trace = true;
        } else if (option == "--shrink-seconds") {
            options.shrink_seconds = static_cast<unsigned>(std::stoul(value()));
        } else {
            throw std::invalid_argument(option);
        }
    }
    if (options.reaches.empty()) {
        options.reaches = {quire::TableReach::direct, quire::TableReach::recursive,
                           quire::TableReach::window};
    }
    return options;
}

void tell_failure(const Options& options, quire::TableReach reach,
                  const quire::model::WorldMaker& make, const quire::model::Outcome& outcome) {
    std::printf("FAILED after %llu steps (seed %llu): %s\n",
                static_cast<unsigned long long>(outcome.failed_at),
                static_cast<unsigned long long>(options.run.seed), outcome.what.c_str());
    if (options.run.trace || options.shrink_seconds == 0) return;
    std::printf("shrinking...\n");
    const auto steps =
        quire::model::shrink(make, options.run, outcome.failed_at, options.shrink_seconds);
    quire::model::Run replay = options.run;
    replay.indices = steps;
    replay.validate_every = 1;
    replay.trace = steps.size() <= 200;
    std::printf("%zu steps are enough:\n", steps.size());
    const quire::model::Outcome shrunk = quire::model::run_in_child(make, replay);
    std::printf("  %s\nreplay: ./quire model --mem %u --reach %s --seed %llu --replay %s\n",
                shrunk.what.c_str(), options.mebibytes, name(reach),
                static_cast<unsigned long long>(options.run.seed),
                quire::model::to_text(steps).c_str());
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    try {
        for (int i = 1; i < count; ++i) {
            if (std::strcmp(arguments[i], "--help") == 0) {
                std::fputs(usage, stdout);
                return 0;
            }
        }
        options = parse(count, arguments);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_model: %s\n%s", problem.what(), usage);
        return 2;
    }
    const size_t parts = options.reaches.size();
    const uint64_t all_steps = options.run.steps;
    for (size_t part = 0; part < parts; ++part) {
        const quire::TableReach reach = options.reaches[part];
        // The steps asked for are shared out; the first takes what does not divide.
        options.run.steps = all_steps / parts + (part == 0 ? all_steps % parts : 0);
        const quire::model::WorldMaker make = [&] {
            return quire::model::make_stack_world(reach, options.mebibytes);
        };
        const auto start = std::chrono::steady_clock::now();
        const quire::model::Outcome outcome = quire::model::run_in_child(make, options.run);
        if (!outcome.passed) {
            tell_failure(options, reach, make, outcome);
            return 1;
        }
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        std::printf("%-9s %llu steps, seed %llu: no divergence (%.1f s)\n%s", name(reach),
                    static_cast<unsigned long long>(outcome.failed_at),
                    static_cast<unsigned long long>(options.run.seed), seconds,
                    outcome.summary.c_str());
    }
    return 0;
}
