// SPDX-License-Identifier: MIT
// What the adapters for the C++ library do when the heap has no memory: their interfaces know no
// other answer than an exception.
#pragma once

#include <cstddef>
#include <new>

#include "quire/heap/heap_ref.hpp"

namespace quire::detail {

// Throws std::bad_alloc; without exceptions, hands a report to the heap's platform.
[[noreturn]] inline void throw_out_of_memory([[maybe_unused]] const HeapRef& heap,
                                             [[maybe_unused]] std::size_t bytes,
                                             [[maybe_unused]] Error error) {
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    heap.panic(Report{.what = "a container: no memory",
                      .error = error,
                      .address = 0,
                      .has_values = true,
                      .expected = bytes,
                      .found = 0,
                      .likely_cause = "more is live than there are pages for"});
#endif
}

}  // namespace quire::detail
