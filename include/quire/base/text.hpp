// SPDX-License-Identifier: MIT
// Text into a fixed buffer: what logs and reports are written with.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/range.hpp"

namespace quire {

// Appends text to a buffer that the caller supplies; always null-terminated. What does not fit is
// cut off, and `truncated` then says so. Any context.
class TextWriter {
  public:
    // `size` includes the terminating null and must be at least 1.
    constexpr TextWriter(char* buffer, size_t size) : buffer_(buffer), size_(size) {
        if (size_ == 0) trap();
        buffer_[0] = '\0';
    }
    template <size_t N>
    constexpr explicit TextWriter(char (&buffer)[N]) : TextWriter(buffer, N) {}

    TextWriter& put(char character);
    TextWriter& put(const char* text);
    // Decimal, padded with spaces on the left to at least `width`.
    TextWriter& decimal(uint64_t value, unsigned width = 0);
    // 0x and at least `digits` hexadecimal digits.
    TextWriter& hex(uint64_t value, unsigned digits = 1);
    // A size in the largest unit that shows it whole: "4 KiB", "1 GiB", "12345 B".
    TextWriter& size(Bytes bytes);
    TextWriter& address(PhysicalAddress address);
    TextWriter& address(VirtualAddress address);
    // "0xfirst-0xlast"
    TextWriter& range(const PhysicalRange& range);
    TextWriter& range(const VirtualRange& range);
    // Spaces up to column `column` of the current line (none if already past it).
    TextWriter& column(size_t column);

    constexpr const char* text() const { return buffer_; }
    constexpr size_t length() const { return length_; }
    constexpr bool truncated() const { return truncated_; }
    void clear();

  private:
    char* buffer_;
    size_t size_;
    size_t length_ = 0;
    size_t line_start_ = 0;
    bool truncated_ = false;
};

}  // namespace quire
