// SPDX-License-Identifier: MIT
// Runs of places: a first one and an amount. A range may end at the very top of its space, so it
// speaks of its last place, never of the one after.
#pragma once

#include "quire/base/address.hpp"
#include "quire/base/result.hpp"
#include "quire/base/traits.hpp"

namespace quire {

template <class PlaceType>
class Range {
  public:
    using Place = PlaceType;
    using Amount = typename Place::Amount;

    constexpr Range() = default;
    // Traps when the range runs past the top; use `from` for values from outside.
    constexpr Range(Place first, Amount count) : first_(first), count_(count) {
        if (!fits(first, count)) trap();
    }
    // Error::overflow, with `first`, when the range runs past the top.
    static constexpr Result<Range> from(Place first, Amount count) {
        if (!fits(first, count)) return Failure{Error::overflow, first.value()};
        return Range(first, count);
    }
    // From first to last, both included. Traps when first lies above last, and for all 2^64 bytes
    // of a 64-bit space at once, whose number does not fit; all frames or pages of it do.
    static constexpr Range between(Place first, Place last) {
        return Range(first, (last - first) + Amount(1));
    }

    constexpr Place first() const { return first_; }
    constexpr Amount count() const { return count_; }
    constexpr bool empty() const { return count_ == Amount(0); }
    // The last place; traps when the range is empty.
    constexpr Place last() const { return first_ + (count_ - Amount(1)); }

    constexpr bool contains(Place place) const {
        return place >= first_ && place - first_ < count_;
    }
    // Every place of `other` lies in this range; true for an empty one.
    constexpr bool contains(const Range& other) const {
        return other.empty() || (contains(other.first_) && contains(other.last()));
    }
    constexpr bool overlaps(const Range& other) const {
        return !empty() && !other.empty() && first_ <= other.last() && other.first_ <= last();
    }
    // What both share; an empty range when nothing.
    constexpr Range intersection(const Range& other) const {
        if (!overlaps(other)) return Range(first_, Amount(0));
        return between(max(first_, other.first_), min(last(), other.last()));
    }
    // The first `count` places; traps when there are fewer.
    constexpr Range prefix(Amount count) const {
        if (count > count_) trap();
        return Range(first_, count);
    }
    // All but the first `count` places; traps when there are fewer. What is left of all is empty
    // and starts where the range started.
    constexpr Range without_prefix(Amount count) const {
        if (count >= count_) return count == count_ ? Range(first_, Amount(0)) : (trap(), Range());
        return Range(first_ + count, count_ - count);
    }

    friend constexpr bool operator==(const Range&, const Range&) = default;

    class Iterator {
      public:
        constexpr Iterator(typename Place::Rep value) : value_(value) {}
        constexpr Place operator*() const { return Place(value_); }
        constexpr Iterator& operator++() {
            ++value_;
            return *this;
        }
        constexpr bool operator==(const Iterator&) const = default;

      private:
        typename Place::Rep value_;
    };
    // For FrameRange and PageRange, whose numbers end well below their representation.
    constexpr Iterator begin() const { return Iterator(first_.value()); }
    constexpr Iterator end() const {
        return Iterator(static_cast<typename Place::Rep>(first_.value() + count_.value()));
    }

  private:
    static constexpr bool fits(Place first, Amount count) {
        return count == Amount(0) || count.value() - 1 <= static_cast<typename Amount::Rep>(
                                                              Place::highest - first.value());
    }

    Place first_;
    Amount count_;
};

using PhysicalRange = Range<PhysicalAddress>;
using VirtualRange = Range<VirtualAddress>;
using FrameRange = Range<Frame>;
using PageRange = Range<Page>;

namespace detail {
template <class UnitRange, class ByteRange>
constexpr UnitRange units_inside(const ByteRange& bytes) {
    using Unit = typename UnitRange::Place;
    using Amount = typename UnitRange::Amount;
    if (bytes.empty()) return UnitRange();
    const auto up = bytes.first().align_up(Bytes(page_size));
    if (!up.ok()) return UnitRange();
    const auto first = up->value() >> page_shift;
    // The unit that holds the last byte counts only when it ends with that byte.
    const auto last_byte = bytes.last().value();
    const bool whole = (last_byte & (page_size - 1)) == page_size - 1;
    const auto end = (last_byte >> page_shift) + (whole ? 1 : 0);
    if (end <= first) return UnitRange();
    return UnitRange(Unit(first), Amount(end - first));
}
template <class UnitRange, class ByteRange>
constexpr UnitRange units_covering(const ByteRange& bytes) {
    using Unit = typename UnitRange::Place;
    if (bytes.empty()) return UnitRange();
    return UnitRange::between(Unit(bytes.first().value() >> page_shift),
                              Unit(bytes.last().value() >> page_shift));
}
}  // namespace detail

// The whole frames or pages inside a byte range (partial ones at the edges dropped), and those
// that cover it (partial ones included). Where there are none, an empty range at zero.
constexpr FrameRange frames_inside(const PhysicalRange& bytes) {
    return detail::units_inside<FrameRange>(bytes);
}
constexpr FrameRange frames_covering(const PhysicalRange& bytes) {
    return detail::units_covering<FrameRange>(bytes);
}
constexpr PageRange pages_inside(const VirtualRange& bytes) {
    return detail::units_inside<PageRange>(bytes);
}
constexpr PageRange pages_covering(const VirtualRange& bytes) {
    return detail::units_covering<PageRange>(bytes);
}
// The bytes of a run of frames or pages.
constexpr PhysicalRange bytes_of(const FrameRange& frames) {
    return PhysicalRange(address_of(frames.first()), bytes_of(frames.count()));
}
constexpr VirtualRange bytes_of(const PageRange& pages) {
    return VirtualRange(address_of(pages.first()), bytes_of(pages.count()));
}

}  // namespace quire
