// SPDX-License-Identifier: MIT
// Every build-time knob of Quire, its default and its reason. Override one by defining the macro on
// the compiler's command line, for the library and for the code that uses it alike.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Base-2 logarithm of the page size in bytes: 12 on x86 and RISC-V; 12, 14 or 16 on AArch64.
#ifndef QUIRE_PAGE_SHIFT
#define QUIRE_PAGE_SHIFT 12
#endif

// Entries that a canonical MemoryMap can hold. Firmware maps have 5 to 40; every reservation may
// split one entry in three. An entry costs 24 bytes.
#ifndef QUIRE_MEMORY_MAP_CAPACITY
#define QUIRE_MEMORY_MAP_CAPACITY 256
#endif

// Repairs of a firmware map that are kept for reporting; further ones are counted only.
#ifndef QUIRE_REPAIR_CAPACITY
#define QUIRE_REPAIR_CAPACITY 32
#endif

// 1 checks internal invariants that cost time (an invalidation dropped unsent, list membership);
// 0 leaves only the checks of what comes from outside, which are never left out.
#ifndef QUIRE_DEBUG
#ifdef NDEBUG
#define QUIRE_DEBUG 0
#else
#define QUIRE_DEBUG 1
#endif
#endif

// Bytes between data of different CPUs, so that they do not share a cache line.
#ifndef QUIRE_CACHE_LINE
#define QUIRE_CACHE_LINE 64
#endif

// The most CPUs that a kernel may run: a set of CPUs takes a bit for each, in whole words, and
// stands in every address space.
#ifndef QUIRE_MAX_CPUS
#define QUIRE_MAX_CPUS 64
#endif

namespace quire {

inline constexpr unsigned page_shift = QUIRE_PAGE_SHIFT;
inline constexpr size_t page_size = size_t{1} << page_shift;
inline constexpr size_t memory_map_capacity = QUIRE_MEMORY_MAP_CAPACITY;
inline constexpr size_t repair_capacity = QUIRE_REPAIR_CAPACITY;
inline constexpr bool debug_checks = QUIRE_DEBUG != 0;
inline constexpr size_t cache_line = QUIRE_CACHE_LINE;
inline constexpr unsigned max_cpus = QUIRE_MAX_CPUS;

static_assert(page_shift == 12 || page_shift == 14 || page_shift == 16,
              "QUIRE_PAGE_SHIFT must be 12, 14 or 16");
static_assert(memory_map_capacity >= 16 && memory_map_capacity <= 65536,
              "QUIRE_MEMORY_MAP_CAPACITY must be 16 to 65536");
static_assert(repair_capacity >= 1 && repair_capacity <= 4096,
              "QUIRE_REPAIR_CAPACITY must be 1 to 4096");
static_assert((cache_line & (cache_line - 1)) == 0 && cache_line >= 16,
              "QUIRE_CACHE_LINE must be a power of two of at least 16");

static_assert(max_cpus >= 1 && max_cpus <= 4096, "QUIRE_MAX_CPUS must be 1 to 4096");

}  // namespace quire
