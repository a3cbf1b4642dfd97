// SPDX-License-Identifier: MIT
// A PageSource over the host's virtual memory.
#pragma once

#include "quire/heap/page_source.hpp"

namespace quire::hosted {

// Reservations can be read and written from the start, and get memory where they are touched: so
// `commit` costs nothing, and does not fail. What is decommitted goes back to the host at once.
class HostPages final : public PageSource {
  public:
    constexpr HostPages() = default;

    // From now on, what is not committed of a reservation faults. Those of a gibibyte and more, in
    // which most lies that the heap has, stay as they are.
    void guard_small_reservations() { guarding_ = true; }

    Result<void*> reserve(size_t bytes, size_t alignment) override;
    Status commit(void* address, size_t bytes) override;
    Status decommit(void* address, size_t bytes) override;
    Status release(void* address, size_t bytes) override;
    Result<void*> move(void* address, const Extent& from, const Extent& to) override;

  private:
    static constexpr size_t small_limit = size_t{1} << 30;

    bool guarding_ = false;
    // The last reservations that were not small.
    uintptr_t open_base_ = 0;
    size_t open_bytes_ = 0;
};

}  // namespace quire::hosted
