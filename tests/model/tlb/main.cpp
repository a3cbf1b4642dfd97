// SPDX-License-Identifier: MIT
// Random steps of four CPUs that share address spaces, in every paging mode.
#include <memory>

#include "../program.hpp"
#include "tlb_world.hpp"

namespace {
using namespace quire::model;

template <class Mode>
WorldMaker maker(const TlbVariant& variant) {
    return [variant] { return std::make_unique<TlbWorld<Mode>>(variant); };
}
}  // namespace

int main(int count, char** arguments) {
    return run_machines(
        "tlb", "--machine", count, arguments,
        {{"x86-64", maker<TlbMode64>({})},
         {"x86-64+pcids", maker<TlbMode64>({.pcids = true})},
         {"x86-64+pcids+prefetches", maker<TlbMode64>({.pcids = true, .prefetches = true})},
         {"x86-32+prefetches", maker<TlbMode32>({.prefetches = true})}});
}
