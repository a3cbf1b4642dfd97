// SPDX-License-Identifier: MIT
#include "outcome.hpp"

#include "quire/base/text.hpp"
#include "quire/platform.hpp"

namespace quire::series {

int Outcome::note(const char* call, const Status& status, bool logs) {
    const int code = status.ok() ? QUIRE_OK : code_of(status.error());
    const uint64_t where = status.ok() ? 0 : status.failure().where;
    low_.store(static_cast<uint32_t>(where), MemoryOrder::relaxed);
    high_.store(static_cast<uint32_t>(where >> 32), MemoryOrder::relaxed);
    error_.store(code, MemoryOrder::relaxed);
    if (logs && !status.ok() && log_ != nullptr) tell(call, status.failure());
    return code;
}

// "vmmngr_map_page: something is mapped where a mapping was asked for (0xc0000000)"
void Outcome::tell(const char* call, const Failure& failure) const {
    char line[128];
    TextWriter text(line);
    text.put(call).put(": ").put(to_string(failure.error)).put(" (").hex(failure.where).put(")");
    log_(static_cast<int>(Severity::warning), text.text());
}

}  // namespace quire::series
