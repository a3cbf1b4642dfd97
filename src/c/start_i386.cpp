// SPDX-License-Identifier: MIT
// quire_start on i386: the C face's choice of format and CPU.
#if defined(__i386__)

#include "quire/c_start.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/quire.h"

namespace quire {

namespace {

constinit CStart<X86_32, X86Cpu> c_kernel;

[[gnu::noinline]] int prepare(const StartParts& start) {
    return code_for_c(c_kernel.prepare(start));
}

[[gnu::noinline]] int start_prepared(const StartParts& start) {
    const X86Features features = x86_features();
    x86_enable(features);
    return code_for_c(c_kernel.start(start, X86_32(features)));
}

}  // namespace

}  // namespace quire

extern "C" int quire_start(const struct quire_start* start) {
    const int error = quire::prepare(*start);
    return error == QUIRE_OK ? quire::start_prepared(*start) : error;
}

#endif
