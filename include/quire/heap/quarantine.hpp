// SPDX-License-Identifier: MIT
// Freed cells that wait before they are used again.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/heap/span_record.hpp"

namespace quire::heap_internal {

// Numbers that a program's mistakes do not foresee; an attacker who knows the seed does.
// Marsaglia's xorshift32.
class Random {
  public:
    constexpr Random() = default;
    void start(uint64_t seed) {
        state_ = static_cast<uint32_t>(seed ^ seed >> 32);
        if (state_ == 0) state_ = 1;
    }
    uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    // Below `limit`, which is not zero.
    uint32_t below(uint32_t limit) { return static_cast<uint32_t>(uint64_t{next()} * limit >> 32); }

  private:
    uint32_t state_ = 1;
};

// So many places; who comes takes a random one, and sends away who was there. Not synchronised.
class Quarantine {
  public:
    static constexpr unsigned places = 64;
    struct Cell {
        SpanRecord* span;  // null: nobody
        unsigned cell;
    };

    constexpr Quarantine() = default;

    // Who leaves; nobody when the place was empty. O(1).
    Cell exchange(const Cell& arrived, Random& random) {
        Cell& place = cells_[random.below(places)];
        const Cell left = place;
        place = arrived;
        bytes_ += arrived.span->geometry().cell_bytes;
        ++count_;
        if (left.span != nullptr) note_left(left);
        return left;
    }
    // Anybody; nobody when all are gone. O(places).
    Cell take_any() {
        for (Cell& place : cells_) {
            if (place.span == nullptr) continue;
            const Cell left = place;
            place = Cell{};
            note_left(left);
            return left;
        }
        return Cell{};
    }
    // Forgets all.
    void clear() { *this = Quarantine(); }
    size_t count() const { return count_; }
    size_t bytes() const { return bytes_; }

  private:
    void note_left(const Cell& cell) {
        bytes_ -= cell.span->geometry().cell_bytes;
        --count_;
    }

    Cell cells_[places] = {};
    size_t count_ = 0;
    size_t bytes_ = 0;
};

}  // namespace quire::heap_internal
