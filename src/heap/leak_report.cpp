// SPDX-License-Identifier: MIT
#include "quire/heap/leak_report.hpp"

#include "quire/base/text.hpp"

namespace quire::heap_internal {

void log_leak(Platform& platform, const LiveBlock& block, const char* tag, const void* caller) {
    char buffer[128];
    TextWriter line(buffer);
    line.put("leaked: ").decimal(block.bytes).put(" bytes at ");
    line.hex(reinterpret_cast<uintptr_t>(block.address));
    if (tag != nullptr) line.put(", tag ").put(tag);
    if (caller != nullptr) {
        line.put(", allocated from ").hex(reinterpret_cast<uintptr_t>(caller));
    }
    platform.log(Severity::warning, line.text());
}

void log_leaks(Platform& platform, size_t blocks, size_t bytes) {
    char buffer[96];
    TextWriter line(buffer);
    line.put("leaked: ").decimal(blocks).put(blocks == 1 ? " block, " : " blocks, ");
    line.decimal(bytes).put(" bytes in all");
    platform.log(Severity::warning, line.text());
}

}  // namespace quire::heap_internal
