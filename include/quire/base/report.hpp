// SPDX-License-Identifier: MIT
// Reports: what is said when an invariant is found broken, before the platform panics.
#pragma once

#include <stdint.h>

#include "quire/base/error.hpp"
#include "quire/base/text.hpp"

namespace quire {

// All texts are string literals. `expected` and `found` are shown when `has_values` is set.
struct Report {
    const char* what;          // one line: "heap: block freed twice"
    Error error;               // the code that callers would have seen
    uint64_t address;          // where
    bool has_values = false;   // whether the two below mean anything
    uint64_t expected = 0;     // what should have been there
    uint64_t found = 0;        // what was there
    const char* likely_cause;  // one line, or null
    // The block of memory that it is about, where it is known: zero otherwise.
    uint64_t block = 0;
    uint64_t block_bytes = 0;
    const char* tag = nullptr;           // whose it is
    const void* allocated_at = nullptr;  // behind the call
    const void* freed_at = nullptr;
};

// Writes the report as up to four lines of plain text. Any context.
void write(TextWriter& out, const Report& report);

}  // namespace quire
