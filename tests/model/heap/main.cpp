// SPDX-License-Identifier: MIT
// Random operations on the heap, by CPUs in turn, on heaps of several shapes, against a list of
// what should be live and hold what.
#include <memory>
#include <vector>

#include "model/heap/cpus_model.hpp"
#include "model/program.hpp"

int main(int count, char** arguments) {
    using quire::test::CpusShape;
    using quire::test::CpusWorld;

    std::vector<quire::model::Machine> machines;
    for (const CpusShape& shape : quire::test::cpus_shapes())
        machines.push_back({shape.name, [shape] { return std::make_unique<CpusWorld>(shape); }});
    return quire::model::run_machines("heap", "--heap", count, arguments, machines);
}
