// SPDX-License-Identifier: MIT
// A CPU that sets accessed and dirty while the table is being changed: neither may get lost.
#include <atomic>
#include <thread>

#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint32_t marks = 0x60;  // accessed and dirty, SDM vol. 3A 4.8

class ConcurrentHardwareTest : public PagingTest<Way<ThroughHost, Use::inactive>> {
  protected:
    // Runs `cpu` on a thread of its own, started at the same moment as `change` here.
    template <class Cpu, class Change>
    static void at_once(Cpu cpu, Change change) {
        std::atomic<int> ready{0};
        const auto meet = [&] {
            ++ready;
            while (ready.load() < 2)
                std::this_thread::yield();
        };
        std::thread other([&] {
            meet();
            cpu();
        });
        meet();
        change();
        other.join();
    }
    // Sets the marks as the hardware does: in one step, and only in an entry that is still so.
    static bool mark(uint32_t& entry, uint32_t still) {
        uint32_t seen = __atomic_load_n(&entry, __ATOMIC_RELAXED);
        while ((seen & still) == still) {
            if (__atomic_compare_exchange_n(&entry, &seen, seen | marks, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED)) {
                return true;
            }
        }
        return false;
    }
};

TEST_F(ConcurrentHardwareTest, ProtectKeepsWhatIsMarkedMeanwhile) {
    const PageRange pages = pages_at(area, 1024);
    map(pages, Frame(1));
    uint32_t* const entries = &leaf_entry(area);
    for (int round = 0; round < 60; ++round) {
        at_once(
            [&] {
                for (unsigned i = 0; i < 1024; ++i)
                    ASSERT_TRUE(mark(entries[i], 1));
            },
            [&] { protect(pages, round % 2 == 0 ? read_only : read_write); });
        for (unsigned i = 0; i < 1024; ++i) {
            ASSERT_EQ(entries[i] & marks, marks) << "entry " << i << " in round " << round;
            entries[i] &= ~marks;
        }
    }
}

TEST_F(ConcurrentHardwareTest, SplitKeepsWhatIsMarkedMeanwhile) {
    unsigned marked_in_time = 0;
    for (unsigned round = 0; round < 80; ++round) {
        map(pages_at(area, 1024), free_frame);
        uint32_t& large = m.table(table().root())[area >> 22];
        bool marked = false;
        at_once(
            [&] {
                for (volatile unsigned wait = 0; wait < round * 64; wait = wait + 1) {
                }
                marked = mark(large, 0x81);  // present, and a large page
            },
            [&] { protect(pages_at(area, 1), read_only); });
        marked_in_time += marked ? 1 : 0;
        for (unsigned i = 0; i < 1024; ++i)
            ASSERT_EQ((&leaf_entry(area))[i] & marks, marked ? marks : 0) << "round " << round;
        unmap(pages_at(area, 1024));
    }
    EXPECT_GT(marked_in_time, 0u);
}

}  // namespace
}  // namespace quire::paging_test
