// SPDX-License-Identifier: MIT
#include "tap.hpp"

#include "console.hpp"

namespace kernel {

void Tap::plan(unsigned count) {
    planned_ = count;
    print("TAP version 13\n1..%u\n", count);
}

bool Tap::result(bool passed, const char* name) {
    ++number_;
    if (!passed) ++failed_;
    const Palette& colors = console().palette();
    print("%s%s%s %u - %s\n", passed ? colors.good : colors.bad, passed ? "ok" : "not ok",
          colors.plain, number_, name);
    return passed;
}

void Tap::skip(const char* name, const char* reason) {
    ++number_;
    print("ok %u - %s # SKIP %s\n", number_, name, reason);
}

bool Tap::finish() const {
    const bool complete = number_ == planned_;
    if (!complete) print("# planned %u results, had %u\n", planned_, number_);
    print("# %u passed, %u failed\n", number_ - failed_, failed_);
    return complete && failed_ == 0;
}

}  // namespace kernel
