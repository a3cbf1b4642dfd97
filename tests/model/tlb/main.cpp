// SPDX-License-Identifier: MIT
// Random steps of four CPUs that share address spaces, in every paging mode.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../program.hpp"
#include "tlb_world.hpp"

namespace {
using namespace quire::model;

template <class Mode>
WorldMaker maker(const TlbVariant& variant) {
    return [variant] { return std::make_unique<TlbWorld<Mode>>(variant); };
}

struct Named {
    const char* name;
    WorldMaker make;
};
const std::vector<Named>& machines() {
    static const std::vector<Named> all{
        {"x86-64", maker<TlbMode64>({})},
        {"x86-64+pcids", maker<TlbMode64>({.pcids = true})},
        {"x86-64+pcids+prefetches", maker<TlbMode64>({.pcids = true, .prefetches = true})},
        {"x86-32+prefetches", maker<TlbMode32>({.prefetches = true})},
    };
    return all;
}
}  // namespace

int main(int count, char** arguments) {
    std::string wanted;
    ProgramOptions options;
    try {
        options =
            parse(count, arguments, 10'000'000, [&](const std::string& option, const Value& value) {
                if (option != "--machine") throw std::invalid_argument(option);
                wanted = value();
            });
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_tlb_model: %s\n", problem.what());
        return 2;
    }
    if (options.help) {
        std::printf("usage: quire_tlb_model [OPTION...]\n\n%s", common_usage);
        std::printf("  --machine NAME       one of these, in place of all:\n");
        for (const Named& machine : machines())
            std::printf("                       %s\n", machine.name);
        return 0;
    }
    std::vector<Part> parts;
    for (const Named& machine : machines()) {
        const std::string name = machine.name;
        if (wanted.empty() || wanted == name)
            parts.push_back({name, "--machine " + name, machine.make});
    }
    if (parts.empty()) {
        std::fprintf(stderr, "quire_tlb_model: --machine %s\n", wanted.c_str());
        return 2;
    }
    return run_parts("./quire model tlb", options, parts);
}
