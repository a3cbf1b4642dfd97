// SPDX-License-Identifier: MIT
// Result<T>: a value, or a Failure that says what went wrong and where.
#pragma once

#include <stdint.h>

#include "quire/base/error.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

// An error and the address, frame number or size it concerns (which, is said where it is returned).
struct Failure {
    Error error;
    uint64_t where = 0;

    friend constexpr bool operator==(const Failure&, const Failure&) = default;
};

// A value of type T or a Failure. Reading the value of a failed result traps; so does asking a
// good one for its failure.
template <class T>
class [[nodiscard]] Result {
  public:
    constexpr Result(const T& value) : value_(value), ok_(true) {}
    constexpr Result(T&& value) : value_(quire::move(value)), ok_(true) {}
    constexpr Result(Failure failure) : failure_(failure), ok_(false) {}
    constexpr Result(Error error) : failure_{error, 0}, ok_(false) {}

    constexpr Result(const Result& other)
        requires(is_trivially_copyable<T>)
    = default;
    constexpr Result(Result&& other)
        requires(is_trivially_copyable<T>)
    = default;
    constexpr Result& operator=(const Result& other)
        requires(is_trivially_copyable<T>)
    = default;
    constexpr Result& operator=(Result&& other)
        requires(is_trivially_copyable<T>)
    = default;
    constexpr Result(Result&& other) : failure_{}, ok_(other.ok_) {
        if (ok_) {
            quire::construct_at(&value_, quire::move(other.value_));
        } else {
            failure_ = other.failure_;
        }
    }
    constexpr ~Result()
        requires(is_trivially_destructible<T>)
    = default;
    constexpr ~Result() {
        if (ok_) value_.~T();
    }

    constexpr bool ok() const { return ok_; }
    constexpr explicit operator bool() const { return ok_; }

    constexpr T& value() & {
        if (!ok_) trap();
        return value_;
    }
    constexpr const T& value() const& {
        if (!ok_) trap();
        return value_;
    }
    constexpr T&& value() && {
        if (!ok_) trap();
        return quire::move(value_);
    }
    constexpr T& operator*() & { return value(); }
    constexpr const T& operator*() const& { return value(); }
    constexpr T&& operator*() && { return quire::move(*this).value(); }
    constexpr T* operator->() { return &value(); }
    constexpr const T* operator->() const { return &value(); }
    constexpr T value_or(T other) const { return ok_ ? value_ : other; }

    constexpr Failure failure() const {
        if (ok_) trap();
        return failure_;
    }
    constexpr Error error() const { return failure().error; }

  private:
    union {
        T value_;
        Failure failure_;
    };
    bool ok_;
};

// Success without a value, or a Failure.
template <>
class [[nodiscard]] Result<void> {
  public:
    constexpr Result() : failure_{}, ok_(true) {}
    constexpr Result(Failure failure) : failure_(failure), ok_(false) {}
    constexpr Result(Error error) : failure_{error, 0}, ok_(false) {}

    constexpr bool ok() const { return ok_; }
    constexpr explicit operator bool() const { return ok_; }
    constexpr Failure failure() const {
        if (ok_) trap();
        return failure_;
    }
    constexpr Error error() const { return failure().error; }

  private:
    Failure failure_;
    bool ok_;
};

using Status = Result<void>;

}  // namespace quire
