// SPDX-License-Identifier: MIT
// Random operations on the heap, by CPUs in turn, on heaps of several shapes, against a list of
// what should be live and hold what.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/heap/cpus_model.hpp"
#include "model/program.hpp"

int main(int count, char** arguments) {
    using namespace quire::model;
    using quire::test::cpus_shapes;
    using quire::test::CpusShape;
    using quire::test::CpusWorld;

    std::string wanted;
    ProgramOptions options;
    try {
        options =
            parse(count, arguments, 10'000'000, [&](const std::string& option, const Value& value) {
                if (option != "--heap") throw std::invalid_argument(option);
                wanted = value();
            });
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_heap_model: %s\n", problem.what());
        return 2;
    }
    if (options.help) {
        std::printf("usage: quire_heap_model [OPTION...]\n\n%s", common_usage);
        std::printf("  --heap NAME          one of these, in place of all:\n");
        for (const CpusShape& shape : cpus_shapes())
            std::printf("                       %s\n", shape.name);
        return 0;
    }
    std::vector<Part> parts;
    for (const CpusShape& shape : cpus_shapes()) {
        if (!wanted.empty() && wanted != shape.name) continue;
        parts.push_back({shape.name, std::string("--heap ") + shape.name,
                         [shape] { return std::make_unique<CpusWorld>(shape); }});
    }
    if (parts.empty()) {
        std::fprintf(stderr, "quire_heap_model: --heap %s\n", wanted.c_str());
        return 2;
    }
    return run_parts("./quire model heap", options, parts);
}
