// SPDX-License-Identifier: MIT
// A file of its own, since the thread sanitizer cannot see fences, and GCC refuses to compile them
// for it.
#include <gtest/gtest.h>

#include <thread>

#include "quire/base/atomic.hpp"

namespace quire::test {
namespace {

// Each side writes its own flag and reads the other's. Without a full fence between the two, both
// may read what was there before; with it, never.
TEST(Fences, KeepALaterLoadBehindAnEarlierStore) {
    constexpr int rounds = 20000;
    Atomic<int> flag[2];
    Atomic<int> seen[2];
    Atomic<int> arrived;
    const auto wait_for_all = [&](int round) {
        arrived.fetch_add(1);
        for (int spins = 0; arrived.load() < 2 * round; ++spins) {
            if (spins > 20000) std::this_thread::yield();
        }
    };
    int both_missed = 0;
    const auto side = [&](int self) {
        for (int round = 0; round < rounds; ++round) {
            flag[self].store(0);
            wait_for_all(3 * round + 1);
            flag[self].store(1, MemoryOrder::relaxed);
            atomic::fence(MemoryOrder::sequential);
            seen[self].store(flag[1 - self].load(MemoryOrder::relaxed), MemoryOrder::relaxed);
            wait_for_all(3 * round + 2);
            if (self == 0 && seen[0].load() == 0 && seen[1].load() == 0) ++both_missed;
            wait_for_all(3 * round + 3);
        }
    };
    std::thread other(side, 1);
    side(0);
    other.join();
    EXPECT_EQ(both_missed, 0);
}

}  // namespace
}  // namespace quire::test
