// SPDX-License-Identifier: MIT
// What a mapping allows and how the CPU caches it, in words that every format understands.
#pragma once

#include <stdint.h>

namespace quire {

// A set of rights; combine with |.
//
// A right that is asked for is granted exactly, or the request fails with Error::unsupported, with
// one exception: formats without an execute-never bit (x86-32; x86-64 on a CPU without XD) cannot
// withhold `execute`. There a mapping asked for without it is made, and `query` says that it is
// executable.
enum class Protection : uint8_t {
    none = 0,
    read = 1,
    write = 2,
    execute = 4,
    user = 8,     // from user mode too
    global = 16,  // stays in the TLB when the address space changes, where the CPU can do that
};
constexpr Protection operator|(Protection a, Protection b) {
    return static_cast<Protection>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr Protection operator&(Protection a, Protection b) {
    return static_cast<Protection>(static_cast<uint8_t>(a) & static_cast<uint8_t>(b));
}
constexpr Protection without(Protection set, Protection removed) {
    return static_cast<Protection>(static_cast<uint8_t>(set) & ~static_cast<uint8_t>(removed));
}
constexpr bool has(Protection set, Protection wanted) {
    return (set & wanted) == wanted;
}

inline constexpr Protection every_right = Protection::read | Protection::write |
                                          Protection::execute | Protection::user |
                                          Protection::global;
inline constexpr Protection read_only = Protection::read;
inline constexpr Protection read_write = Protection::read | Protection::write;
inline constexpr Protection read_execute = Protection::read | Protection::execute;

// How the CPU may cache and reorder accesses.
enum class MemoryType : uint8_t {
    write_back,       // ordinary RAM
    write_through,    // cached for reads only
    write_combining,  // frame buffers: uncached, writes gathered
    uncached,         // uncached; x86: UC-, which an MTRR may make write-combining
    device,           // registers: uncached, strictly ordered; x86: UC
};
const char* to_string(MemoryType type);

struct Attributes {
    Protection protection = read_write;
    MemoryType type = MemoryType::write_back;

    friend constexpr bool operator==(const Attributes&, const Attributes&) = default;
};

}  // namespace quire
