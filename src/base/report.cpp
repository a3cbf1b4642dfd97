// SPDX-License-Identifier: MIT
#include "quire/base/report.hpp"

namespace quire {

namespace {

void write_caller(TextWriter& out, const char* what, const void* caller) {
    if (caller != nullptr) out.put(what).hex(reinterpret_cast<uintptr_t>(caller), 8);
}

}  // namespace

void write(TextWriter& out, const Report& report) {
    out.put(report.what).put(" at ").hex(report.address, 8);
    out.put(": ").put(to_string(report.error));
    if (report.has_values) {
        out.put("\n  expected ").hex(report.expected).put(", found ").hex(report.found);
    }
    if (report.block != 0) {
        out.put("\n  block ").hex(report.block, 8).put(" of ").decimal(report.block_bytes);
        out.put(" bytes");
        if (report.tag != nullptr) out.put(", tag ").put(report.tag);
        write_caller(out, ", allocated at ", report.allocated_at);
        write_caller(out, ", freed at ", report.freed_at);
    }
    if (report.likely_cause != nullptr) out.put("\n  likely cause: ").put(report.likely_cause);
}

}  // namespace quire
