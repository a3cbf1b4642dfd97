// SPDX-License-Identifier: MIT
// Page tables of 32-bit x86 paging written by hand, for the tests of the simulated machine.
#pragma once

#include <cstdint>

#include "sim/ram.hpp"

namespace quire::sim::test {

// Bits of entries (Intel SDM vol. 3A, tables 4-4 to 4-6).
inline constexpr uint32_t P = 1u << 0;
inline constexpr uint32_t RW = 1u << 1;
inline constexpr uint32_t US = 1u << 2;
inline constexpr uint32_t PWT = 1u << 3;
inline constexpr uint32_t PCD = 1u << 4;
inline constexpr uint32_t A = 1u << 5;
inline constexpr uint32_t D = 1u << 6;
inline constexpr uint32_t PS = 1u << 7;
inline constexpr uint32_t PAT4K = 1u << 7;
inline constexpr uint32_t G = 1u << 8;
inline constexpr uint32_t PAT4M = 1u << 12;

// A page directory at 1 MiB and tables in the pages after it, in a machine's RAM.
class HandTables {
  public:
    explicit HandTables(const Ram& ram, uint64_t directory = 0x100000)
        : ram_(ram), directory_(directory), next_table_(directory + page_size) {
        ram_.fill(directory_, page_size, 0);
    }

    Frame root() const { return Frame(directory_ >> 12); }
    uint32_t& directory_entry(uint32_t address) const {
        return ram_.as<uint32_t>(directory_)[address >> 22];
    }
    // The table's entry; makes a table that allows everything where there is none.
    uint32_t& table_entry(uint32_t address) {
        uint32_t& upper = directory_entry(address);
        if (upper == 0) {
            ram_.fill(next_table_, page_size, 0);
            upper = static_cast<uint32_t>(next_table_) | P | RW | US;
            next_table_ += page_size;
        }
        return ram_.as<uint32_t>(upper & 0xfffff000)[address >> 12 & 0x3ff];
    }
    void map(uint32_t address, uint32_t physical, uint32_t flags = P | RW) {
        table_entry(address) = physical | flags;
    }
    void map_large(uint32_t address, uint32_t physical, uint32_t flags = P | RW) {
        directory_entry(address) = physical | flags | PS;
    }

  private:
    const Ram& ram_;
    uint64_t directory_;
    uint64_t next_table_;
};

}  // namespace quire::sim::test
