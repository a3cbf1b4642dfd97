// SPDX-License-Identifier: MIT
// A PageSource over the host's virtual memory.
#pragma once

#include "quire/heap/page_source.hpp"

namespace quire::hosted {

// Reservations can be read and written from the start, and get memory where they are touched: so
// `commit` costs nothing, and does not fail. What is decommitted goes back to the host at once.
// Stateless, so that any thread may call it.
class HostPages final : public PageSource {
  public:
    constexpr HostPages() = default;

    Result<void*> reserve(size_t bytes, size_t alignment) override;
    Status commit(void* address, size_t bytes) override;
    Status decommit(void* address, size_t bytes) override;
    Status release(void* address, size_t bytes) override;
};

}  // namespace quire::hosted
