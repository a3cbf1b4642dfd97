// SPDX-License-Identifier: MIT
// A view of consecutive objects that somebody else owns.
#pragma once

#include <stddef.h>

#include "quire/base/trap.hpp"

namespace quire {

template <class T>
class Span {
  public:
    constexpr Span() = default;
    constexpr Span(T* data, size_t size) : data_(data), size_(size) {}
    template <size_t N>
    constexpr Span(T (&array)[N]) : data_(array), size_(N) {}
    // A view of T is also a view of const T.
    constexpr operator Span<const T>() const { return Span<const T>(data_, size_); }

    constexpr T* data() const { return data_; }
    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr T* begin() const { return data_; }
    constexpr T* end() const { return data_ + size_; }
    // Traps when the index lies past the end.
    constexpr T& operator[](size_t index) const {
        if (index >= size_) trap();
        return data_[index];
    }
    // `count` objects from `offset`; traps when there are not so many.
    constexpr Span subspan(size_t offset, size_t count) const {
        if (offset > size_ || count > size_ - offset) trap();
        return Span(data_ + offset, count);
    }
    constexpr Span first(size_t count) const { return subspan(0, count); }

  private:
    T* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace quire
