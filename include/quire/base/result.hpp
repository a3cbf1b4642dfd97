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

// Says that a Result's value is to be made where it lies, from the arguments that follow.
struct InPlace {};
inline constexpr InPlace in_place;

// A value of type T or a Failure. Reading the value of a failed result traps; so does asking a
// good one for its failure. What it holds of a failure is laid out so that results of one word fit
// into two registers, where the ABI has that.
template <class T>
class [[nodiscard]] Result {
  public:
    constexpr Result(const T& value) : value_(value), ok_(true) {}
    constexpr Result(T&& value) : value_(quire::move(value)), ok_(true) {}
    template <class... Arguments>
    constexpr explicit Result(InPlace, Arguments&&... arguments)
        : value_(static_cast<Arguments&&>(arguments)...), ok_(true) {}
    constexpr Result(Failure failure) : where_(failure.where), error_(failure.error), ok_(false) {}
    constexpr Result(Error error) : Result(Failure{error, 0}) {}

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
    constexpr Result(Result&& other) : where_(0), error_(other.error_), ok_(other.ok_) {
        if (ok_) {
            quire::construct_at(&value_, quire::move(other.value_));
        } else {
            where_ = other.where_;
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
        return Failure{error_, where_};
    }
    constexpr Error error() const { return failure().error; }

  private:
    union {
        T value_;
        uint64_t where_;  // of a failure
    };
    Error error_{};
    bool ok_;
};

// Success without a value, or a Failure.
template <>
class [[nodiscard]] Result<void> {
  public:
    constexpr Result() = default;
    constexpr Result(Failure failure) : where_(failure.where), error_(failure.error), ok_(false) {}
    constexpr Result(Error error) : Result(Failure{error, 0}) {}

    constexpr bool ok() const { return ok_; }
    constexpr explicit operator bool() const { return ok_; }
    constexpr Failure failure() const {
        if (ok_) trap();
        return Failure{error_, where_};
    }
    constexpr Error error() const { return failure().error; }

  private:
    uint64_t where_ = 0;
    Error error_{};
    bool ok_ = true;
};

using Status = Result<void>;

}  // namespace quire
