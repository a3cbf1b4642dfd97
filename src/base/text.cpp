// SPDX-License-Identifier: MIT
#include "quire/base/text.hpp"

#include "quire/base/bits.hpp"

namespace quire {

namespace {

// One step of a long division by ten in 32-bit pieces, since 64-bit division on i686 would call
// the compiler's library: divides value in place and returns the remainder.
unsigned divide_by_ten(uint64_t& value) {
    const auto high = static_cast<uint32_t>(value >> 32);
    uint32_t remainder = high % 10;
    uint64_t quotient = static_cast<uint64_t>(high / 10) << 32;
    for (int shift = 16; shift >= 0; shift -= 16) {
        const uint32_t piece = (remainder << 16) | static_cast<uint32_t>((value >> shift) & 0xffff);
        quotient |= static_cast<uint64_t>(piece / 10) << shift;
        remainder = piece % 10;
    }
    value = quotient;
    return remainder;
}

}  // namespace

TextWriter& TextWriter::put(char character) {
    if (length_ + 1 >= size_) {
        truncated_ = true;
        return *this;
    }
    buffer_[length_++] = character;
    buffer_[length_] = '\0';
    if (character == '\n') line_start_ = length_;
    return *this;
}

TextWriter& TextWriter::put(const char* text) {
    for (; *text != '\0'; ++text)
        put(*text);
    return *this;
}

TextWriter& TextWriter::decimal(uint64_t value, unsigned width) {
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = static_cast<char>('0' + divide_by_ten(value));
    } while (value != 0);
    for (unsigned pad = count; pad < width; ++pad)
        put(' ');
    while (count != 0)
        put(digits[--count]);
    return *this;
}

TextWriter& TextWriter::hex(uint64_t value, unsigned digits) {
    put("0x");
    const unsigned needed = value == 0 ? 1 : highest_bit(value) / 4 + 1;
    const unsigned shown = min(max(needed, digits), 16U);
    for (unsigned digit = shown; digit-- != 0;) {
        put("0123456789abcdef"[(value >> (4 * digit)) & 0xf]);
    }
    return *this;
}

TextWriter& TextWriter::size(Bytes bytes) {
    static constexpr const char* units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    uint64_t value = bytes.value();
    unsigned unit = 0;
    while (value != 0 && (value & 1023) == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value >>= 10;
        ++unit;
    }
    return decimal(value).put(units[unit]);
}

TextWriter& TextWriter::address(PhysicalAddress address) {
    return hex(address.value(), 8);
}

TextWriter& TextWriter::address(VirtualAddress address) {
    return hex(address.value(), 2 * sizeof(uintptr_t) > 8 && address.value() > UINT32_MAX ? 16 : 8);
}

TextWriter& TextWriter::range(const PhysicalRange& range) {
    if (range.empty()) return put("(empty)");
    return address(range.first()).put('-').address(range.last());
}

TextWriter& TextWriter::range(const VirtualRange& range) {
    if (range.empty()) return put("(empty)");
    return address(range.first()).put('-').address(range.last());
}

TextWriter& TextWriter::column(size_t column) {
    while (length_ - line_start_ < column && !truncated_)
        put(' ');
    return *this;
}

void TextWriter::clear() {
    length_ = line_start_ = 0;
    truncated_ = false;
    buffer_[0] = '\0';
}

}  // namespace quire
