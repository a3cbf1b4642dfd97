// SPDX-License-Identifier: MIT
#include "boot_image.hpp"

#include <algorithm>
#include <stdexcept>

namespace quire::test {

ByteWriter& ByteWriter::u8(uint8_t value) {
    bytes_.push_back(value);
    return *this;
}
ByteWriter& ByteWriter::u32(uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
        u8(static_cast<uint8_t>(value >> shift));
    return *this;
}
ByteWriter& ByteWriter::u64(uint64_t value) {
    return u32(static_cast<uint32_t>(value)).u32(static_cast<uint32_t>(value >> 32));
}
ByteWriter& ByteWriter::text(const std::string& text) {
    for (char character : text)
        u8(static_cast<uint8_t>(character));
    return u8(0);
}
ByteWriter& ByteWriter::align(size_t unit) {
    while (bytes_.size() % unit != 0)
        u8(0xee);
    return *this;
}
void ByteWriter::set_u32(size_t offset, uint32_t value) {
    for (size_t i = 0; i < 4; ++i)
        bytes_.at(offset + i) = static_cast<unsigned char>(value >> (8 * i));
}

void BootImage::put(uint64_t address, const std::vector<unsigned char>& bytes) {
    pieces_[address] = bytes;
    pieces_[address].shrink_to_fit();
}

void BootImage::truncate(uint64_t address, size_t bytes_left) {
    auto& piece = pieces_.at(address);
    // A new block, so that nothing lies behind it.
    piece = std::vector<unsigned char>(piece.begin(),
                                       piece.begin() + static_cast<ptrdiff_t>(bytes_left));
}

const unsigned char* BootImage::operator()(PhysicalAddress address, size_t bytes) {
    ++reads_;
    const uint64_t at = address.value();
    auto piece = pieces_.upper_bound(at);
    if (piece == pieces_.begin()) return nullptr;
    --piece;
    const uint64_t offset = at - piece->first;
    if (offset >= piece->second.size() || bytes > piece->second.size() - offset) return nullptr;
    highest_read_ = std::max(highest_read_, at + bytes);
    return piece->second.data() + offset;
}

BootImage multiboot1_image() {
    using Layout = Multiboot1Layout;
    BootImage image;
    ByteWriter map;
    map.u32(20).u64(0).u64(0x9fc00).u32(1);
    map.u32(20).u64(0x9fc00).u64(0x400).u32(2);
    map.u32(24).u64(0x100000).u64(0x7ee0000).u32(1).u32(0xdeadbeef);  // a longer entry
    map.u32(20).u64(0x7fe0000).u64(0x20000).u32(2);
    image.put(Layout::map, map);
    ByteWriter modules;
    modules.u32(0x200000).u32(0x201800).u32(Layout::module_names).u32(0);
    modules.u32(0x300000).u32(0x301000).u32(0).u32(0);
    image.put(Layout::modules, modules);
    image.put(Layout::command_line, ByteWriter().text("quire --tour"));
    image.put(Layout::loader_name, ByteWriter().text("qemu"));
    image.put(Layout::module_names, ByteWriter().text("initrd"));
    ByteWriter information;
    information.u32(1u << 0 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9);
    information.u32(639).u32(129920);  // lower, upper
    information.u32(0x8000ffff);       // boot device, without its flag
    information.u32(Layout::command_line);
    information.u32(2).u32(Layout::modules);
    information.u32(0).u32(0).u32(0).u32(0);  // symbols
    information.u32(static_cast<uint32_t>(map.size())).u32(Layout::map);
    information.u32(0).u32(0).u32(0);  // drives, configuration
    information.u32(Layout::loader_name);
    image.put(Layout::information, information);
    return image;
}

BootImage pvh_image() {
    using Layout = PvhLayout;
    BootImage image;
    ByteWriter map;
    map.u64(0).u64(0x9fc00).u32(1).u32(0);
    map.u64(0x9fc00).u64(0x400).u32(2).u32(0);
    map.u64(0x100000).u64(0x7ee0000).u32(1).u32(0);
    map.u64(0x7fe0000).u64(0x20000).u32(2).u32(0);
    image.put(Layout::map, map);
    ByteWriter modules;
    modules.u64(0x200000).u64(0x1800).u64(Layout::module_names).u64(0);
    modules.u64(0x300000).u64(0x1000).u64(0).u64(0);
    image.put(Layout::modules, modules);
    image.put(Layout::command_line, ByteWriter().text("quire --tour"));
    image.put(Layout::module_names, ByteWriter().text("initrd"));
    ByteWriter information;
    information.u32(0x336ec578).u32(1).u32(0).u32(2);
    information.u64(Layout::modules).u64(Layout::command_line).u64(0xf5a00);
    information.u64(Layout::map).u32(4).u32(0);
    image.put(Layout::information, information);
    return image;
}

ByteWriter multiboot2_information() {
    ByteWriter out;
    out.u32(0).u32(0);
    out.u32(1).u32(8 + 13).text("quire --tour").align(8);
    out.u32(2).u32(8 + 5).text("GRUB").align(8);
    out.u32(3).u32(16 + 7).u32(0x200000).u32(0x201800).text("initrd").align(8);
    out.u32(4).u32(16).u32(639).u32(129920);
    out.u32(0x12345).u32(12).u32(0xffffffff).align(8);  // a tag of another time
    out.u32(6).u32(16 + 4 * 24).u32(24).u32(0);
    out.u64(0).u64(0x9fc00).u32(1).u32(0);
    out.u64(0x9fc00).u64(0x400).u32(2).u32(0);
    out.u64(0x100000).u64(0x7ee0000).u32(1).u32(0);
    out.u64(0x7fe0000).u64(0x20000).u32(2).u32(0);
    out.u32(3).u32(16 + 1).u32(0x300000).u32(0x301000).text("").align(8);
    out.u32(0).u32(8);
    out.set_u32(0, static_cast<uint32_t>(out.size()));
    return out;
}

}  // namespace quire::test
