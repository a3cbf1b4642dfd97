// SPDX-License-Identifier: MIT
#include "quire/boot/memory_map.hpp"

namespace quire {

void write(TextWriter& out, const MemoryEntry& entry) {
    out.range(entry.range).put(' ').put(to_string(entry.kind)).put(", ").size(entry.range.count());
}

void write(TextWriter& out, const Repair& repair) {
    out.hex(repair.first, 8).put(", ").size(Bytes(repair.bytes)).put(": ");
    out.put(to_string(repair.kind));
}

}  // namespace quire
