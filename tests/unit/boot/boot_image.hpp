// SPDX-License-Identifier: MIT
// Physical memory as a boot loader leaves it, made up byte by byte, that refuses every read which
// touches a byte nobody wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quire/base/address.hpp"
#include "quire/boot/multiboot.hpp"

namespace quire::test {

// Little-endian fields, one after the other.
class ByteWriter {
  public:
    ByteWriter& u8(uint8_t value);
    ByteWriter& u32(uint32_t value);
    ByteWriter& u64(uint64_t value);
    ByteWriter& text(const std::string& text);  // with its null
    ByteWriter& align(size_t unit);
    void set_u32(size_t offset, uint32_t value);
    size_t size() const { return bytes_.size(); }
    const std::vector<unsigned char>& bytes() const { return bytes_; }

  private:
    std::vector<unsigned char> bytes_;
};

// For PhysicalReader. Each piece is a block of its own on the heap, so that the address sanitizer
// sees a read past it.
class BootImage {
  public:
    void put(uint64_t address, const std::vector<unsigned char>& bytes);
    void put(uint64_t address, const ByteWriter& writer) { put(address, writer.bytes()); }
    // Takes bytes from the end of the piece at an address away.
    void truncate(uint64_t address, size_t bytes_left);

    const unsigned char* operator()(PhysicalAddress address, size_t bytes);

    // The bytes asked for, at most, beyond each piece's start; what the parser looked at.
    uint64_t highest_read() const { return highest_read_; }
    size_t reads() const { return reads_; }

  private:
    std::map<uint64_t, std::vector<unsigned char>> pieces_;
    uint64_t highest_read_ = 0;
    size_t reads_ = 0;
};

// A Multiboot 1 information with everything in it, at `multiboot1_at`, and where its parts lie.
inline constexpr uint64_t multiboot1_at = 0x9500;
struct Multiboot1Layout {
    static constexpr uint64_t information = multiboot1_at;
    static constexpr uint64_t map = 0x9600;
    static constexpr uint64_t modules = 0x9700;
    static constexpr uint64_t command_line = 0x9800;
    static constexpr uint64_t loader_name = 0x9900;
    static constexpr uint64_t module_names = 0x9a00;
};
BootImage multiboot1_image();
// The same machine, in a Multiboot 2 information at an address.
inline constexpr uint64_t multiboot2_at = 0x10000;
ByteWriter multiboot2_information();
// And in a PVH start information, with its parts, at `pvh_at`.
inline constexpr uint64_t pvh_at = 0x7000;
struct PvhLayout {
    static constexpr uint64_t information = pvh_at;
    static constexpr uint64_t map = 0x7100;
    static constexpr uint64_t modules = 0x7200;
    static constexpr uint64_t command_line = 0x7300;
    static constexpr uint64_t module_names = 0x7400;
};
BootImage pvh_image();

}  // namespace quire::test
