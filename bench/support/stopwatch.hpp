// SPDX-License-Identifier: MIT
// Time: of long stretches by the host's clock, and of single calls by the CPU's counter.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace quire::bench {

class Stopwatch {
  public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Ticks of a fine clock, in order with what stands before and after.
inline uint64_t ticks() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_lfence();
    const uint64_t now = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return now;
#else
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

inline double nanoseconds_per_tick() {
    const Stopwatch watch;
    const uint64_t start = ticks();
    while (watch.seconds() < 0.02) {
    }
    const double seconds = watch.seconds();
    return seconds * 1e9 / static_cast<double>(ticks() - start);
}

// How long each of many calls took. What timing nothing takes is subtracted.
class Latencies {
  public:
    explicit Latencies(size_t calls) {
        taken_.reserve(calls);
        for (int i = 0; i < 1000; ++i) {
            const uint64_t start = ticks();
            overhead_ = std::min(overhead_, ticks() - start);
        }
    }

    template <class Call>
    auto time(Call call) {
        const uint64_t start = ticks();
        const auto result = call();
        taken_.push_back(ticks() - start);
        return result;
    }
    // In nanoseconds; of all calls, this share took no longer.
    double percentile(double share) {
        const auto at = static_cast<size_t>(share * static_cast<double>(taken_.size() - 1));
        const auto nth = taken_.begin() + static_cast<ptrdiff_t>(at);
        std::nth_element(taken_.begin(), nth, taken_.end());
        return static_cast<double>(*nth - std::min(*nth, overhead_)) * nanoseconds_;
    }

  private:
    std::vector<uint64_t> taken_;
    uint64_t overhead_ = UINT64_MAX;
    double nanoseconds_ = nanoseconds_per_tick();
};

}  // namespace quire::bench
