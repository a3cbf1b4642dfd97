// SPDX-License-Identifier: MIT
#include "sim/mmu.hpp"

#include <cstdio>

namespace quire::sim {

const char* to_string(MemoryType type) {
    switch (type) {
        case MemoryType::uncached:
            return "uncached";
        case MemoryType::write_combining:
            return "write-combining";
        case MemoryType::write_through:
            return "write-through";
        case MemoryType::write_protected:
            return "write-protected";
        case MemoryType::write_back:
            return "write-back";
        case MemoryType::uncached_minus:
            return "uncached-minus";
    }
    return "reserved memory type";
}

std::string to_string(const Translation& t) {
    char text[160];
    std::snprintf(text, sizeof text, "%#llx -> %#llx, %llu KiB, %s%s%s%s%s, %s",
                  static_cast<unsigned long long>(t.page), static_cast<unsigned long long>(t.frame),
                  static_cast<unsigned long long>(t.bytes() >> 10), t.user ? "user " : "",
                  t.writable ? "read-write" : "read-only", t.executable ? "" : " no-execute",
                  t.global ? " global" : "", t.dirty ? " dirty" : "", to_string(t.type));
    return text;
}

std::string to_string(const PageFault& fault) {
    char text[160];
    std::snprintf(text, sizeof text, "page fault at %#llx: %s %s, %s (error code %#x)",
                  static_cast<unsigned long long>(fault.address),
                  fault.user() ? "user" : "supervisor",
                  fault.fetch() ? "fetch" : (fault.write() ? "write" : "read"),
                  fault.reserved()  ? "reserved bit set in an entry"
                  : fault.present() ? "not allowed by the entries"
                                    : "nothing present",
                  fault.error_code);
    return text;
}

}  // namespace quire::sim
