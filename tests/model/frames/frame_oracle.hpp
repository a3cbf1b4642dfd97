// SPDX-License-Identifier: MIT
// Who owns which frame, kept as plainly as can be: one byte a frame, every question answered by
// looking at them. What FrameAllocator does is compared with this.
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
            for (const Frame frame : frames_inside(entry.range))
                add(frame.value(), usable ? State::free : State::releasable);
        }
    }

    State state(uint64_t frame) const {
        const size_t index = index_of(frame);
        return index == nowhere ? State::reserved : states_[index];
    }
    uint64_t lowest() const { return stretches_.front().first; }
    uint64_t highest() const { return stretches_.back().last(); }
    // Frames that are usable or may be, and the n-th of them.
    size_t managed() const { return states_.size(); }
    uint64_t nth(size_t n) const {
        size_t at = 0;
        while (n >= stretches_[at].index + stretches_[at].count)
            ++at;
        return stretches_[at].first + (n - stretches_[at].index);
    }
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

    // Changes the state of managed frames, and the sums.
    void set(uint64_t first, uint64_t count, State state) {
        for_each_piece(first, count, [&](uint64_t frame, size_t index, uint64_t length) {
            const size_t zone = static_cast<size_t>(zone_of(frame));
            const auto from = states_.begin() + static_cast<ptrdiff_t>(index);
            const auto to = from + static_cast<ptrdiff_t>(length);
            const auto number_of = [&](State which) {
                return static_cast<uint64_t>(std::count(from, to, which));
            };
            if (state == State::free) total_[zone] += number_of(State::releasable);
            free_[zone] -= number_of(State::free);
            if (state == State::free) free_[zone] += length;
            std::fill(from, to, state);
            return true;
        });
    }
    void set(uint64_t frame, State state) { set(frame, 1, state); }
    // How many frames from `first` on are in this state, one after the other; at most `most`.
    uint64_t length_of(uint64_t first, uint64_t most, State state) const {
        uint64_t length = 0;
        for_each_piece(first, most, [&](uint64_t, size_t index, uint64_t count) {
            if (index == nowhere) return false;
            const auto from = states_.begin() + static_cast<ptrdiff_t>(index);
            const auto to = from + static_cast<ptrdiff_t>(count);
            const auto end = std::find_if(from, to, [&](State one) { return one != state; });
            length += static_cast<uint64_t>(end - from);
            return end == to;
        });
        return length;
    }

    // What each operation has to answer for a range, by the contract.
    std::optional<Failure> refusal_of_free(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, State::taken, [](State state) {
            return state == State::free ? Error::already_free : Error::reserved;
        });
    }
    std::optional<Failure> refusal_of_allocate_at(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, State::free, [](State state) {
            return state == State::taken ? Error::in_use : Error::reserved;
        });
    }
    std::optional<Failure> refusal_of_release(uint64_t first, uint64_t count) const {
        return first_refusal(first, count, State::releasable, [](State state) {
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
        uint64_t enough = 0;
        for (size_t i = static_cast<size_t>(scarcest); i <= static_cast<size_t>(constraints.zone);
             ++i)
            enough += free_[i];
        if (enough < count) return false;
        return any_run([&](uint64_t first, uint64_t length) {
            const uint64_t step = constraints.alignment.value();
            for (uint64_t at = (first + step - 1) / step * step; at + count <= first + length;
                 at += step) {
                if (at + count - 1 > constraints.highest.value()) return false;
                if (zone_of(at) >= scarcest && meets(at, count, constraints)) return true;
            }
            return false;
        });
    }
    uint64_t largest_free_run() const {
        uint64_t largest = 0;
        any_run([&](uint64_t, uint64_t length) {
            largest = std::max(largest, length);
            return false;
        });
        return largest;
    }

  private:
    static constexpr size_t nowhere = SIZE_MAX;
    // Managed frames of one zone that follow one another, and where their states begin.
    struct Stretch {
        uint64_t first;
        uint64_t count;
        size_t index;
        uint64_t last() const { return first + count - 1; }
    };

    void add(uint64_t frame, State state) {
        const size_t zone = static_cast<size_t>(zone_of(frame));
        const bool joins = !stretches_.empty() && stretches_.back().last() + 1 == frame &&
                           zone_of(frame - 1) == zone_of(frame);
        if (joins) {
            ++stretches_.back().count;
        } else {
            stretches_.push_back({frame, 1, states_.size()});
        }
        states_.push_back(state);
        if (state == State::free) ++total_[zone];
        if (state == State::free) ++free_[zone];
    }
    size_t index_of(uint64_t frame) const {
        for (const Stretch& stretch : stretches_) {
            if (frame - stretch.first < stretch.count)
                return stretch.index + static_cast<size_t>(frame - stretch.first);
        }
        return nowhere;
    }

    // Calls `visit(frame, index of its state or nowhere, count)` for pieces that are each inside or
    // outside one stretch, for as long as it returns true.
    template <class Visit>
    void for_each_piece(uint64_t first, uint64_t count, Visit visit) const {
        const uint64_t end = first + count;
        for (const Stretch& stretch : stretches_) {
            if (first >= end) return;
            if (first > stretch.last()) continue;
            if (first < stretch.first) {
                const uint64_t outside = std::min(end, stretch.first) - first;
                if (!visit(first, nowhere, outside)) return;
                first += outside;
                if (first == end) return;
            }
            const uint64_t inside = std::min(end, stretch.last() + 1) - first;
            const size_t index = stretch.index + static_cast<size_t>(first - stretch.first);
            if (!visit(first, index, inside)) return;
            first += inside;
        }
        if (first < end) visit(first, nowhere, end - first);
    }
    // Calls `visit(first, count)` for each run of free frames, for as long as it returns false.
    template <class Visit>
    bool any_run(Visit visit) const {
        uint64_t first = 0;
        uint64_t end = 0;  // of the run so far
        for (const Stretch& stretch : stretches_) {
            const State* const states = states_.data() + stretch.index;
            const State* const last = states + stretch.count;
            for (const State* at = states; at != last;) {
                at = std::find(at, last, State::free);
                const State* const from = at;
                while (at != last && *at == State::free)
                    ++at;
                if (at == from) break;
                const uint64_t frame = stretch.first + static_cast<uint64_t>(from - states);
                if (frame != end) {
                    if (end != first && visit(first, end - first)) return true;
                    first = frame;
                }
                end = stretch.first + static_cast<uint64_t>(at - states);
            }
        }
        return end != first && visit(first, end - first);
    }

    // The first frame that is in another state than `expected`, and which error that is.
    template <class Judge>
    std::optional<Failure> first_refusal(uint64_t first, uint64_t count, State expected,
                                         Judge judge) const {
        if (count == 0) return Failure{Error::zero_size, first};
        std::optional<Failure> refusal;
        for_each_piece(first, count, [&](uint64_t frame, size_t index, uint64_t length) {
            if (index == nowhere) {
                const bool outside = frame < lowest() || frame > highest();
                refusal = Failure{outside ? Error::out_of_range : judge(State::reserved), frame};
                return false;
            }
            const auto from = states_.begin() + static_cast<ptrdiff_t>(index);
            const auto to = from + static_cast<ptrdiff_t>(length);
            if (static_cast<uint64_t>(std::count(from, to, expected)) == length) return true;
            const auto bad = std::find_if(from, to, [&](State one) { return one != expected; });
            refusal = Failure{judge(*bad), frame + static_cast<uint64_t>(bad - from)};
            return false;
        });
        return refusal;
    }

    uint64_t direct_limit_;
    std::vector<Stretch> stretches_;  // ascending
    std::vector<State> states_;
    uint64_t total_[zones] = {};
    uint64_t free_[zones] = {};
};

}  // namespace quire::test
