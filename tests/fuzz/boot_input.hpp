// SPDX-License-Identifier: MIT
// What the boot fuzzers share: an input as physical memory, and the promises that must hold
// whatever it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quire/boot/multiboot.hpp"

namespace quire::test {

// The input, alone in physical memory at `base`, in a heap block of exactly its size.
class FuzzedMemory {
  public:
    FuzzedMemory(uint64_t base, const uint8_t* data, size_t size)
        : base_(base), bytes_(data, data + size) {}

    const unsigned char* operator()(PhysicalAddress address, size_t bytes) const {
        if (address.value() < base_) return nullptr;
        const uint64_t offset = address.value() - base_;
        if (offset >= bytes_.size() || bytes > bytes_.size() - offset) return nullptr;
        return bytes_.data() + offset;
    }

  private:
    uint64_t base_;
    std::vector<unsigned char> bytes_;
};

// Parses the input as boot information that lies at its start, finishes the map, and aborts when
// the parser or the map breaks a promise.
void parse_and_check(uint32_t magic, uint64_t base, const uint8_t* data, size_t size);

// Says what is wrong and aborts.
[[noreturn]] void broken(const char* what);

}  // namespace quire::test
