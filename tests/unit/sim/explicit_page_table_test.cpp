// SPDX-License-Identifier: MIT
// The library's page table on a machine of four CPUs: what one changes the others use all the time.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/explicit_invalidator.hpp"
#include "sim/explicit_machine.hpp"
#include "sim/flushed_frames.hpp"
#include "sim/frame_pool.hpp"

namespace quire::sim::test::explicit_page_table_test {
namespace {

constexpr uint64_t MiB = uint64_t{1} << 20;

class ExplicitPageTableTest : public testing::Test {
  protected:
    ExplicitPageTableTest() {
        EXPECT_TRUE(table.create(frames).ok());
        machine.enable_paging(table.root());
    }

    void map(uintptr_t page, uint32_t stamp, Protection protection = read_write) {
        const Frame frame = *frames.allocate_frame();
        ram.store<uint32_t>(address_of(frame).value(), stamp);
        Result<Invalidation> mapped = table.map(one(page), frame, {protection});
        ASSERT_TRUE(mapped.ok());
        mapped->spend(tlb);
    }
    static PageRange one(uintptr_t page) { return PageRange(Page(page), PageCount(1)); }

    Ram ram{flat_segments(32 * MiB)};
    ExplicitMachine machine{ram, 4};
    FramePool pool{ram, FrameRange(Frame(0x800), FrameCount(256))};
    FlushedFrames<FramePool, ExplicitMachine> frames{pool, machine};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x2000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86_32, DirectMap> table{access, X86_32({true, true, false})};
    ExplicitInvalidator tlb{machine};
    PollingLock lock;
};

TEST_F(ExplicitPageTableTest, ReusedFramesAreNeverSeenThroughOldMappings) {
    // Pages under several leaf tables, so that tables come and go, too.
    const auto page_of_slot = [](unsigned slot) {
        return uintptr_t{0xc0000} + (slot % 4) * 1024 + slot / 4;
    };
    constexpr unsigned slots = 12;
    std::atomic<unsigned> wrong{0}, hits{0}, changes{0};
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        std::mt19937 random(cpu.number());
        std::uniform_int_distribution<unsigned> any_slot(0, slots - 1);
        for (unsigned step = 0; step < 6000; ++step) {
            const unsigned slot = any_slot(random);
            const uintptr_t page = page_of_slot(slot);
            if (step % 8 == 0) {
                const LockGuard guard(lock);
                if (table.query(address_of(Page(page)))->state == EntryState::present) {
                    Result<UnmapInvalidation> gone =
                        table.unmap(one(page), UnmappedFrames::release);
                    ASSERT_TRUE(gone.ok());
                    gone->spend(tlb);
                } else {
                    map(page, slot);
                }
                ++changes;
            }
            const unsigned other = any_slot(random);
            const auto found = cpu.probe_load<uint32_t>(page_of_slot(other) << page_shift);
            if (!found.ok()) continue;
            ++hits;
            if (*found.value != other) ++wrong;
        }
    });
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(hits, 100u);
    EXPECT_EQ(changes, 4u * 750);
    EXPECT_TRUE(table.validate().ok());
    for (const StaleEntry& stale : machine.stale_entries())
        EXPECT_FALSE(stale.harmful) << to_string(stale);
    EXPECT_TRUE(machine.stale_structures().empty());
}

TEST_F(ExplicitPageTableTest, NoWriteLandsAfterProtect) {
    constexpr uintptr_t page = 0xd0000;
    map(page, 0);
    std::atomic<bool> done{false};
    std::atomic<unsigned> late{0}, stores{0};
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        if (cpu.number() != 0) {
            while (!done) {
                const uint64_t address = (page << page_shift) + 4 * cpu.number();
                if (cpu.probe_store<uint32_t>(address, stores).ok()) ++stores;
                std::this_thread::yield();
            }
            return;
        }
        const uint64_t frame =
            address_of(table.query(address_of(Page(page)))->frames.first()).value();
        const auto sum = [&] {
            return ram.load<uint32_t>(frame + 4) + ram.load<uint32_t>(frame + 8) +
                   ram.load<uint32_t>(frame + 12);
        };
        for (unsigned round = 0; round < 30; ++round) {
            const unsigned before = stores;
            while (stores < before + 8)
                cpu.poll();
            Result<Invalidation> denied = table.protect(one(page), read_only);
            denied->spend(tlb);
            const uint32_t then = sum();
            for (unsigned i = 0; i < 20; ++i) {
                cpu.poll();
                std::this_thread::yield();
            }
            if (sum() != then) ++late;
            Result<Invalidation> granted = table.protect(one(page), read_write);
            granted->spend(tlb);
        }
        done = true;
    });
    EXPECT_EQ(late, 0u);
}

TEST_F(ExplicitPageTableTest, SplitIsSeenByAllCpus) {
    constexpr uintptr_t first = 0xc0400;
    Result<Invalidation> mapped =
        table.map(PageRange(Page(first), PageCount(1024)), Frame(0x1000), {read_write});
    ASSERT_TRUE(mapped.ok());
    mapped->spend(tlb);
    for (unsigned i = 0; i < 4; ++i)
        machine.cpu(i).store<uint32_t>((first << page_shift) + 4 * i, i);
    ASSERT_TRUE(table.query(address_of(Page(first)))->pages.count() == PageCount(1024));
    Result<UnmapInvalidation> hole = table.unmap(one(first + 7));
    ASSERT_TRUE(hole.ok());
    EXPECT_FALSE(hole->empty());
    EXPECT_FALSE(machine.stale_entries().empty());
    hole->spend(tlb);
    EXPECT_TRUE(machine.stale_entries().empty());
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_FALSE(machine.cpu(i).probe_load<uint32_t>((first + 7) << page_shift).ok());
        EXPECT_EQ(machine.cpu(i).load<uint32_t>((first << page_shift) + 4 * i), i);
    }
}

}  // namespace
}  // namespace quire::sim::test::explicit_page_table_test
