// SPDX-License-Identifier: MIT
// What a memory-management unit does, whatever its format: accesses, translations, faults, walks.
//
// The simulator's MMUs are written from the manuals, independently of the library's formats: they
// share no constant and no line with them, so that each can find the other's mistakes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "sim/ram.hpp"

namespace quire::sim {

enum class AccessKind : uint8_t { read, write, execute };
enum class Privilege : uint8_t { supervisor, user };

struct Access {
    uint64_t address = 0;  // virtual
    AccessKind kind = AccessKind::read;
    Privilege privilege = Privilege::supervisor;
};

// Memory types as the PAT register encodes them (Intel SDM vol. 3A, table 12-10).
enum class MemoryType : uint8_t {
    uncached = 0,
    write_combining = 1,
    write_through = 4,
    write_protected = 5,
    write_back = 6,
    uncached_minus = 7,
};
const char* to_string(MemoryType type);

// What a TLB entry holds: one page, and what may be done there.
struct Translation {
    uint64_t page = 0;    // its first virtual address
    uint64_t frame = 0;   // its first physical address
    unsigned shift = 12;  // base-2 logarithm of its size in bytes
    MemoryType type = MemoryType::write_back;
    bool writable = false;  // as all levels of the walk together say
    bool user = false;
    bool executable = true;
    bool global = false;
    bool dirty = false;  // the dirty flag was set when the entry was made

    uint64_t bytes() const { return uint64_t{1} << shift; }
    bool covers(uint64_t address) const { return address >> shift == page >> shift; }
    uint64_t physical(uint64_t address) const { return frame | (address & (bytes() - 1)); }

    friend bool operator==(const Translation&, const Translation&) = default;
};
std::string to_string(const Translation& translation);

// A page fault, with the error code of x86 (Intel SDM vol. 3A, 4.7).
struct PageFault {
    static constexpr uint32_t present_bit = 1u << 0;
    static constexpr uint32_t write_bit = 1u << 1;
    static constexpr uint32_t user_bit = 1u << 2;
    static constexpr uint32_t reserved_bit = 1u << 3;
    static constexpr uint32_t fetch_bit = 1u << 4;

    uint64_t address = 0;  // what CR2 would hold
    uint32_t error_code = 0;

    bool present() const { return (error_code & present_bit) != 0; }
    bool write() const { return (error_code & write_bit) != 0; }
    bool user() const { return (error_code & user_bit) != 0; }
    bool reserved() const { return (error_code & reserved_bit) != 0; }
    bool fetch() const { return (error_code & fetch_bit) != 0; }

    friend bool operator==(const PageFault&, const PageFault&) = default;
};
std::string to_string(const PageFault& fault);

// A paging-structure-cache entry: where a walk may go on for every address of a region, and what
// the levels above allowed (Intel SDM vol. 3A, 4.10.3).
struct StructureEntry {
    uint64_t region = 0;  // its first virtual address
    unsigned shift = 0;   // base-2 logarithm of its size in bytes
    uint64_t table = 0;   // physical address of the table that the walk goes on in
    bool writable = false;
    bool user = false;
    bool executable = true;

    bool covers(uint64_t address) const { return address >> shift == region >> shift; }
    friend bool operator==(const StructureEntry&, const StructureEntry&) = default;
};

// What of a CPU's registers decides how addresses are translated (x86; Intel SDM vol. 3A, 2.5).
struct Control {
    bool paging = false;         // CR0.PG
    bool write_protect = false;  // CR0.WP
    uint64_t cr3 = 0;
    bool large_pages = false;     // CR4.PSE
    bool global_pages = false;    // CR4.PGE
    uint64_t pat = power_on_pat;  // IA32_PAT
    bool no_execute = false;      // EFER.NXE; PAE and 64-bit paging
    bool five_levels = false;     // CR4.LA57; 64-bit paging only
    bool pcids = false;  // CR4.PCIDE: the low 12 bits of cr3 are a PCID; 64-bit paging only

    static constexpr uint64_t power_on_pat = 0x0007040600070406;
    friend bool operator==(const Control&, const Control&) = default;
};

// The outcome of a walk.
struct Walk {
    std::optional<Translation> translation;  // or else
    PageFault fault;
    // What the walk went through and may be cached: the entry that refers to the last table, and
    // those of the levels above it, from the top.
    std::optional<StructureEntry> structure;
    std::array<StructureEntry, 3> upper;
    unsigned uppers = 0;
};

// Whether a walk leaves marks in the tables (accessed, dirty) or only looks.
enum class Effect : uint8_t { marks, looks };

// One paging mode. Walks are functions of memory and control state; an Mmu keeps no state of its
// own and may be shared by CPUs and threads.
class Mmu {
  public:
    virtual ~Mmu() = default;

    // Translates one access by walking the tables from the root, or from where a cached structure
    // entry says. With Effect::marks it sets accessed and dirty flags as the hardware does, by
    // atomic read-modify-writes.
    virtual Walk walk(const Ram& ram, const Control& control, const Access& access, Effect effect,
                      const StructureEntry* cached) const = 0;
    // Whether a translation allows an access.
    virtual bool permits(const Control& control, const Translation& translation,
                         const Access& access) const = 0;
    // The fault for an access that a translation does not allow.
    virtual PageFault denied(const Control& control, const Access& access) const = 0;
    // Base-2 logarithms of the page sizes, ascending; and how many bits a virtual address has.
    virtual unsigned small_shift() const = 0;
    virtual unsigned large_shift() const = 0;
    virtual unsigned address_bits() const = 0;
    bool has_address(uint64_t address) const {
        return address_bits() == 64 || address >> address_bits() == 0;
    }
    // The entries that decide about an address, for people.
    virtual std::string describe(const Ram& ram, const Control& control,
                                 uint64_t address) const = 0;
};

}  // namespace quire::sim
