// SPDX-License-Identifier: MIT
// Who owns which frame, kept as plainly as can be: one byte a frame, every question answered by
// looking at all of them. What FrameAllocator does is compared with this.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "quire/boot/memory_map.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire::test {

class FrameOracle {
  public:
    enum class State : uint8_t { reserved, releasable, free, taken };

    // Of a map whose entries are small: it remembers each of their frames.
    FrameOracle(const MemoryMap& map, Frame direct_limit) : direct_limit_(direct_limit.value()) {
        for (const MemoryEntry& entry : map.entries()) {
            const bool usable = entry.kind == MemoryKind::usable;
            if (!usable && !is_releasable(entry.kind)) continue;
            for (const Frame frame : frames_inside(entry.range)) {
                numbers_.push_back(frame.value());
                states_.push_back(usable ? State::free : State::releasable);
                if (usable) ++total_[zone_index(frame.value())];
                if (usable) ++free_[zone_index(frame.value())];
            }
        }
    }

    State state(uint64_t frame) const {
        const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), frame);
        if (found == numbers_.end() || *found != frame) return State::reserved;
        return states_[static_cast<size_t>(found - numbers_.begin())];
    }
    uint64_t lowest() const { return numbers_.front(); }
    uint64_t highest() const { return numbers_.back(); }
    // Frames that are usable or may be, and the n-th of them.
    size_t managed() const { return numbers_.size(); }
    uint64_t nth(size_t n) const { return numbers_[n]; }
    State nth_state(size_t n) const { return states_[n]; }

    Zone zone_of(uint64_t frame) const {
        if (frame >= direct_limit_) return Zone::high;
        return frame < (uint64_t{16} << 20 >> page_shift) ? Zone::dma : Zone::direct;
    }
    uint64_t total(Zone zone) const { return total_[static_cast<size_t>(zone)]; }
    uint64_t free(Zone zone) const { return free_[static_cast<size_t>(zone)]; }
    uint64_t free_up_to(Zone zone) const {
        uint64_t sum = 0;
        for (size_t i = 0; i <= static_cast<size_t>(zone); ++i)
            sum += free_[i];
        return sum;
    }

    // Changes a frame's state and the sums.
    void set(uint64_t frame, State state) {
        const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), frame);
        State& old = states_.at(static_cast<size_t>(found - numbers_.begin()));
        const size_t zone = zone_index(frame);
        if (old == State::releasable && state == State::free) ++total_[zone];
        if (old == State::free) --free_[zone];
        if (state == State::free) ++free_[zone];
        old = state;
    }

    // What each operation has to answer for a range, by the contract.
    std::optional<Failure> refusal_of_free(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, [](State state) -> std::optional<Error> {
            if (state == State::taken) return std::nullopt;
            return state == State::free ? Error::already_free : Error::reserved;
        });
    }
    std::optional<Failure> refusal_of_allocate_at(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, [](State state) -> std::optional<Error> {
            if (state == State::free) return std::nullopt;
            return state == State::taken ? Error::in_use : Error::reserved;
        });
    }
    std::optional<Failure> refusal_of_release(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, [](State state) -> std::optional<Error> {
            if (state == State::releasable) return std::nullopt;
            return state == State::reserved ? Error::reserved : Error::in_use;
        });
    }

    // Whether frames first to first + count - 1 meet the constraints, apart from being free.
    bool meets(uint64_t first, uint64_t count, const FrameConstraints& constraints) const {
        const uint64_t last = first + count - 1;
        const uint64_t boundary = constraints.boundary.value();
        if (first % constraints.alignment.value() != 0) return false;
        if (boundary != 0 && first / boundary != last / boundary) return false;
        if (last > constraints.highest.value()) return false;
        if (zone_of(last) > constraints.zone) return false;
        return constraints.fallback || zone_of(first) == constraints.zone;
    }
    // Whether there is such a run that is free, all of it in zone `scarcest` or better.
    bool fits(uint64_t count, const FrameConstraints& constraints, Zone scarcest) const {
        uint64_t length = 0;
        uint64_t next = 0;
        for (size_t i = 0; i < numbers_.size(); ++i) {
            const uint64_t frame = numbers_[i];
            const bool good = states_[i] == State::free && zone_of(frame) >= scarcest;
            length = !good ? 0 : frame == next ? length + 1 : 1;
            next = frame + 1;
            if (length >= count && meets(next - count, count, constraints)) return true;
        }
        return false;
    }
    uint64_t largest_free_run() const {
        uint64_t largest = 0;
        uint64_t length = 0;
        uint64_t next = 0;
        for (size_t i = 0; i < numbers_.size(); ++i) {
            const uint64_t frame = numbers_[i];
            length = states_[i] != State::free ? 0 : frame == next ? length + 1 : 1;
            next = frame + 1;
            if (length > largest) largest = length;
        }
        return largest;
    }

  private:
    size_t zone_index(uint64_t frame) const { return static_cast<size_t>(zone_of(frame)); }

    template <class Judge>
    std::optional<Failure> first_refusal(uint64_t first, uint64_t count, Judge judge) const {
        if (count == 0) return Failure{Error::zero_size, first};
        for (uint64_t frame = first; frame < first + count; ++frame) {
            if (numbers_.empty() || frame < lowest() || frame > highest()) {
                return Failure{Error::out_of_range, frame};
            }
            const std::optional<Error> error = judge(state(frame));
            if (error) return Failure{*error, frame};
        }
        return std::nullopt;
    }

    uint64_t direct_limit_;
    std::vector<uint64_t> numbers_;  // ascending
    std::vector<State> states_;
    uint64_t total_[zones] = {};
    uint64_t free_[zones] = {};
};

}  // namespace quire::test
