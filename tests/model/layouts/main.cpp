// SPDX-License-Identifier: MIT
// The model of layouts as a program: see --help.
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "model/layouts/layout_world.hpp"
#include "model/program.hpp"

namespace quire::model {
namespace {

constexpr const char* usage =
    "quire_layouts_model [OPTION...]: random page tables of every format, which the library and\n"
    "the simulator's MMU must read alike\n"
    "  --format F           x86_32, pae, x86_64 or x86_64_5 (default: all of them)\n";

template <class Layouts>
Part part(const char* option) {
    return {Layouts::name, std::string("--format ") + option,
            [] { return std::make_unique<LayoutWorld<Layouts>>(); }};
}

int run(int count, char** arguments) {
    std::string format;
    const ProgramOptions options =
        parse(count, arguments, 4'000'000, [&](const std::string& option, const Value& value) {
            if (option != "--format") throw std::invalid_argument("no option " + option);
            format = value();
        });
    if (options.help) {
        std::printf("%s%s", usage, common_usage);
        return 0;
    }
    std::vector<Part> parts = {part<Layouts32>("x86_32"), part<LayoutsPae>("pae"),
                               part<Layouts64<false>>("x86_64"), part<Layouts64<true>>("x86_64_5")};
    if (!format.empty()) {
        std::erase_if(parts,
                      [&](const Part& each) { return each.options != "--format " + format; });
    }
    if (parts.empty()) throw std::invalid_argument("no format " + format);
    return run_parts("./quire model layouts", options, parts);
}

}  // namespace
}  // namespace quire::model

int main(int count, char** arguments) {
    try {
        return quire::model::run(count, arguments);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_layouts_model: %s\n", problem.what());
        return 2;
    }
}
