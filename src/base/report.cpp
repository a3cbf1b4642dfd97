// SPDX-License-Identifier: MIT
#include "quire/base/report.hpp"

namespace quire {

void write(TextWriter& out, const Report& report) {
    out.put(report.what).put(" at ").hex(report.address, 8);
    out.put(": ").put(to_string(report.error));
    if (report.has_values) {
        out.put("\n  expected ").hex(report.expected).put(", found ").hex(report.found);
    }
    if (report.likely_cause != nullptr) out.put("\n  likely cause: ").put(report.likely_cause);
}

}  // namespace quire
