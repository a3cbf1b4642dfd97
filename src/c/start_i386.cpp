// SPDX-License-Identifier: MIT
// quire_start on i386: the C face's choice of format and CPU.
#if defined(__i386__)

#include "quire/c_start.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/quire.h"

namespace quire {

namespace {

constinit CStart<X86_32, X86Cpu> c_kernel;

Status start_on_this_cpu(const StartParts& start) {
    const Status prepared = c_kernel.prepare(start);
    if (!prepared.ok()) return prepared;
    const X86Features features = x86_features();
    x86_enable(features);
    return c_kernel.start(start, X86_32(features));
}

}  // namespace

}  // namespace quire

extern "C" int quire_start(const struct quire_start* start) {
    return quire::code_for_c(quire::start_on_this_cpu(*start));
}

#endif
