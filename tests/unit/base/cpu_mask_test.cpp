// SPDX-License-Identifier: MIT
#include "quire/base/cpu_mask.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace quire::test {
namespace {

std::vector<unsigned> list(const CpuMask& mask) {
    std::vector<unsigned> all;
    for (const unsigned cpu : mask)
        all.push_back(cpu);
    return all;
}

TEST(CpuMaskTest, IsASet) {
    CpuMask mask;
    EXPECT_TRUE(mask.empty());
    EXPECT_EQ(list(mask), (std::vector<unsigned>{}));
    for (const unsigned cpu : {3u, 0u, max_cpus - 1, 3u})
        mask.set(cpu);
    EXPECT_EQ(list(mask), (std::vector<unsigned>{0, 3, max_cpus - 1}));
    EXPECT_EQ(mask.count(), 3u);
    EXPECT_TRUE(mask.has(3) && !mask.has(2) && !mask.empty());
    mask.clear(3);
    mask.clear(4);
    EXPECT_EQ(list(mask), (std::vector<unsigned>{0, max_cpus - 1}));
    mask.clear(0);
    EXPECT_EQ(mask, CpuMask::of(max_cpus - 1));
    EXPECT_EQ(list(CpuMask::first(3)), (std::vector<unsigned>{0, 1, 2}));
    EXPECT_EQ(CpuMask::first(max_cpus).count(), max_cpus);
    EXPECT_DEATH(mask.set(max_cpus), "");
}

TEST(CpuMaskTest, IsChangedAtomically) {
    AtomicCpuMask mask;
    EXPECT_TRUE(mask.empty());
    mask.set(max_cpus - 1);
    mask.set(2);
    EXPECT_TRUE(mask.has(2) && !mask.has(1) && !mask.empty());
    EXPECT_EQ(list(mask.load()), (std::vector<unsigned>{2, max_cpus - 1}));
    mask.clear(2);
    EXPECT_EQ(mask.take(), CpuMask::of(max_cpus - 1));
    EXPECT_TRUE(mask.empty());
    mask.store(CpuMask::first(2));
    EXPECT_EQ(mask.load(), CpuMask::first(2));
}

}  // namespace
}  // namespace quire::test
