// SPDX-License-Identifier: MIT
// What the last call made of itself, and who is told.
#pragma once

#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/result.hpp"
#include "quire/quire.h"

namespace quire::series {

constexpr int code_of(Error error) {
    return static_cast<int>(error) + 1;
}
static_assert(code_of(Error::misaligned) == QUIRE_MISALIGNED);
static_assert(code_of(Error::out_of_nodes) == QUIRE_OUT_OF_NODES);
static_assert(code_of(Error::foreign) == QUIRE_FOREIGN);
static_assert(code_of(Error::corrupted) == QUIRE_CORRUPTED);

class Outcome {
  public:
    using Log = void (*)(int severity, const char* text);

    constexpr Outcome() = default;
    Outcome(const Outcome&) = delete;
    Outcome& operator=(const Outcome&) = delete;

    // Remembers how `call` ended, tells of a failure if `logs`, and returns its code.
    int note(const char* call, const Status& status, bool logs);
    int last_error() const { return error_.load(MemoryOrder::relaxed); }
    uint64_t where() const {
        return uint64_t{high_.load(MemoryOrder::relaxed)} << 32 | low_.load(MemoryOrder::relaxed);
    }
    void set_log(Log log) { log_ = log; }

  private:
    void tell(const char* call, const Failure& failure) const;

    Atomic<int> error_{QUIRE_OK};
    // Halves, since 64 bits are more than an i686 stores at once.
    Atomic<uint32_t> low_;
    Atomic<uint32_t> high_;
    Log log_ = nullptr;
};

}  // namespace quire::series
