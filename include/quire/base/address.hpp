// SPDX-License-Identifier: MIT
// Strong types for places and amounts of memory. Physical and virtual, bytes, frames and pages do
// not mix: `frame + bytes` and `page - frame` do not compile.
//
//   place             amount       place is
//   PhysicalAddress   Bytes        a byte of physical memory; 64 bits wide on every machine
//   VirtualAddress    Bytes        a byte of virtual memory; as wide as a pointer
//   Frame             FrameCount   a page-sized piece of physical memory, by number
//   Page              PageCount    a page-sized piece of virtual memory, by number
//
// Arithmetic never wraps: operators trap on overflow, for values already known to be good; the
// `checked_` forms and Range::from return a Failure, for values from outside. All functions are
// pure, constant time, and usable in any context.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/base/trap.hpp"
#include "quire/config.hpp"

namespace quire {

// An amount of something. Tag makes amounts of different things different types.
template <class Tag, class Representation>
class Count {
  public:
    using Rep = Representation;

    constexpr Count() = default;
    constexpr explicit Count(Rep value) : value_(value) {}
    constexpr Rep value() const { return value_; }

    // Spelled out because operator<=> would need the C++ library's <compare>.
    constexpr friend bool operator==(Count, Count) = default;
    constexpr friend bool operator<(Count a, Count b) { return a.value_ < b.value_; }
    constexpr friend bool operator>(Count a, Count b) { return b < a; }
    constexpr friend bool operator<=(Count a, Count b) { return !(b < a); }
    constexpr friend bool operator>=(Count a, Count b) { return !(a < b); }
    constexpr friend Count operator+(Count a, Count b) {
        Rep sum = 0;
        if (__builtin_add_overflow(a.value_, b.value_, &sum)) trap();
        return Count(sum);
    }
    constexpr friend Count operator-(Count a, Count b) {
        if (b.value_ > a.value_) trap();
        return Count(static_cast<Rep>(a.value_ - b.value_));
    }
    constexpr friend Count operator*(Count a, Rep factor) {
        Rep product = 0;
        if (__builtin_mul_overflow(a.value_, factor, &product)) trap();
        return Count(product);
    }
    constexpr Count& operator+=(Count other) { return *this = *this + other; }
    constexpr Count& operator-=(Count other) { return *this = *this - other; }

  private:
    Rep value_ = 0;
};

using Bytes = Count<struct BytesTag, uint64_t>;
using FrameCount = Count<struct FrameCountTag, uint64_t>;
using PageCount = Count<struct PageCountTag, uintptr_t>;

// A place, counted in units of Amount from zero up to `highest`.
template <class Tag, class Representation, class AmountType, Representation Highest>
class Place {
  public:
    using Rep = Representation;
    using Amount = AmountType;
    static constexpr Rep highest = Highest;

    constexpr Place() = default;
    constexpr explicit Place(Rep value) : value_(value) {
        if (value > highest) trap();
    }
    constexpr Rep value() const { return value_; }

    // Spelled out because operator<=> would need the C++ library's <compare>.
    constexpr friend bool operator==(Place, Place) = default;
    constexpr friend bool operator<(Place a, Place b) { return a.value_ < b.value_; }
    constexpr friend bool operator>(Place a, Place b) { return b < a; }
    constexpr friend bool operator<=(Place a, Place b) { return !(b < a); }
    constexpr friend bool operator>=(Place a, Place b) { return !(a < b); }

    // The place `amount` further up; Error::overflow when that lies past the top.
    constexpr Result<Place> checked_add(Amount amount) const {
        if (amount.value() > static_cast<typename Amount::Rep>(highest - value_)) {
            return Failure{Error::overflow, value_};
        }
        return Place(static_cast<Rep>(value_ + amount.value()));
    }
    constexpr friend Place operator+(Place place, Amount amount) {
        if (amount.value() > static_cast<typename Amount::Rep>(highest - place.value_)) trap();
        return Place(static_cast<Rep>(place.value_ + amount.value()));
    }
    constexpr friend Place operator-(Place place, Amount amount) {
        if (amount.value() > place.value_) trap();
        return Place(static_cast<Rep>(place.value_ - amount.value()));
    }
    constexpr friend Amount operator-(Place a, Place b) {
        if (b.value_ > a.value_) trap();
        return Amount(static_cast<typename Amount::Rep>(a.value_ - b.value_));
    }
    constexpr Place& operator+=(Amount amount) { return *this = *this + amount; }
    constexpr Place& operator-=(Amount amount) { return *this = *this - amount; }

    // `unit` must be a power of two (in the place's own unit).
    constexpr bool is_aligned(Amount unit) const { return (value_ & (unit.value() - 1)) == 0; }
    constexpr Place align_down(Amount unit) const {
        return Place(static_cast<Rep>(value_ & ~static_cast<Rep>(unit.value() - 1)));
    }
    // Error::overflow when the next multiple of `unit` lies past the top.
    constexpr Result<Place> align_up(Amount unit) const {
        const Rep mask = static_cast<Rep>(unit.value() - 1);
        const Rep gap = static_cast<Rep>((~value_ + 1) & mask);
        return checked_add(Amount(gap));
    }

  private:
    Rep value_ = 0;
};

using PhysicalAddress = Place<struct PhysicalTag, uint64_t, Bytes, UINT64_MAX>;
using VirtualAddress = Place<struct VirtualTag, uintptr_t, Bytes, UINTPTR_MAX>;
using Frame = Place<struct FrameTag, uint64_t, FrameCount, (UINT64_MAX >> page_shift)>;
using Page = Place<struct PageTag, uintptr_t, PageCount, (UINTPTR_MAX >> page_shift)>;

constexpr Frame frame_of(PhysicalAddress address) {
    return Frame(address.value() >> page_shift);
}
constexpr Page page_of(VirtualAddress address) {
    return Page(address.value() >> page_shift);
}
constexpr PhysicalAddress address_of(Frame frame) {
    return PhysicalAddress(frame.value() << page_shift);
}
constexpr VirtualAddress address_of(Page page) {
    return VirtualAddress(page.value() << page_shift);
}
constexpr size_t offset_in_page(PhysicalAddress address) {
    return static_cast<size_t>(address.value() & (page_size - 1));
}
constexpr size_t offset_in_page(VirtualAddress address) {
    return static_cast<size_t>(address.value() & (page_size - 1));
}

constexpr Bytes bytes_of(FrameCount frames) {
    return Bytes(page_size) * frames.value();
}
constexpr Bytes bytes_of(PageCount pages) {
    return Bytes(page_size) * pages.value();
}
// How many frames or pages a number of bytes needs, rounding up.
constexpr FrameCount frames_for(Bytes bytes) {
    return FrameCount((bytes.value() >> page_shift) +
                      ((bytes.value() & (page_size - 1)) != 0 ? 1 : 0));
}
// Error::overflow when there are not so many pages.
constexpr Result<PageCount> pages_for(Bytes bytes) {
    const uint64_t pages = frames_for(bytes).value();
    if (pages > UINTPTR_MAX) return Failure{Error::overflow, bytes.value()};
    return PageCount(static_cast<uintptr_t>(pages));
}
constexpr FrameCount as_frames(PageCount pages) {
    return FrameCount(pages.value());
}
constexpr PageCount as_pages(FrameCount frames) {
    if (frames.value() > UINTPTR_MAX) trap();
    return PageCount(static_cast<uintptr_t>(frames.value()));
}

namespace literals {
constexpr Bytes operator""_B(unsigned long long n) {
    return Bytes(n);
}
constexpr Bytes operator""_KiB(unsigned long long n) {
    return Bytes(n) * (uint64_t{1} << 10);
}
constexpr Bytes operator""_MiB(unsigned long long n) {
    return Bytes(n) * (uint64_t{1} << 20);
}
constexpr Bytes operator""_GiB(unsigned long long n) {
    return Bytes(n) * (uint64_t{1} << 30);
}
constexpr Bytes operator""_TiB(unsigned long long n) {
    return Bytes(n) * (uint64_t{1} << 40);
}
}  // namespace literals

}  // namespace quire
