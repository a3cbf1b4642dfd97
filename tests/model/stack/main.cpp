// SPDX-License-Identifier: MIT
// Random operations on the whole stack, on the simulated machine, against a naive model.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "../program.hpp"
#include "stack_world.hpp"

namespace {

using quire::TableReach;

constexpr const char* usage =
    "usage: quire_model [OPTION...]\n"
    "\n"
    "%s"
    "  --reach R            how page tables are reached: direct, recursive or window (default: "
    "all\n"
    "                       three, one after another)\n"
    "  --mem MIB            the machine's memory (default 16)\n";

struct Named {
    const char* name;
    TableReach reach;
    unsigned weight;
};
// Through the recursive slot each table that is opened costs a page fault of the process, ten times
// what a step costs otherwise; so it gets fewer of them.
constexpr Named reaches[] = {{"direct", TableReach::direct, 4},
                             {"recursive", TableReach::recursive, 1},
                             {"window", TableReach::window, 4}};

}  // namespace

int main(int count, char** arguments) {
    using namespace quire::model;
    unsigned mebibytes = 16;
    std::string wanted;
    ProgramOptions options;
    try {
        options =
            parse(count, arguments, 1'000'000, [&](const std::string& option, const Value& value) {
                if (option == "--reach") {
                    wanted = value();
                } else if (option == "--mem") {
                    mebibytes = static_cast<unsigned>(std::stoul(value()));
                } else {
                    throw std::invalid_argument(option);
                }
            });
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_model: %s\n", problem.what());
        return 2;
    }
    if (options.help) {
        std::printf(usage, common_usage);
        return 0;
    }
    std::vector<Part> parts;
    for (const Named& one : reaches) {
        if (!wanted.empty() && wanted != one.name) continue;
        const std::string chosen =
            std::string("--mem ") + std::to_string(mebibytes) + " --reach " + one.name;
        parts.push_back(
            {one.name, chosen,
             [reach = one.reach, mebibytes] { return make_stack_world(reach, mebibytes); },
             one.weight});
    }
    if (parts.empty()) {
        std::fprintf(stderr, "quire_model: --reach %s\n", wanted.c_str());
        return 2;
    }
    return run_parts("./quire model", options, parts);
}
