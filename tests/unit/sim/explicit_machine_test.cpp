// SPDX-License-Identifier: MIT
#include "sim/explicit_machine.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quire/base/cpu_local.hpp"
#include "quire/paging/tlb.hpp"
#include "sim/explicit_invalidator.hpp"
#include "sim/frame_pool.hpp"
#include "unit/sim/hand_tables.hpp"

namespace quire::sim::test::explicit_machine_test {
namespace {

static_assert(CpuPolicy<ExplicitCpuPolicy>);
static_assert(InterruptPolicy<ExplicitInterrupts>);
static_assert(LocalTlb<ExplicitTlb>);
static_assert(Lockable<PollingLock>);

constexpr uint64_t MiB = uint64_t{1} << 20;
constexpr uint32_t here = 0xc0001000;
constexpr uint32_t there = 0x00400000;
constexpr uint32_t elsewhere = 0x00401000;

class ExplicitMachineTest : public testing::Test {
  protected:
    ExplicitMachineTest() : tables(ram) {
        tables.map(here, there);
        machine.enable_paging(tables.root());
    }

    // Writes an entry while CPUs may be walking.
    static void set(uint32_t& entry, uint32_t value) {
        __atomic_store_n(&entry, value, __ATOMIC_RELEASE);
    }
    static uint32_t get(uint32_t& entry) { return __atomic_load_n(&entry, __ATOMIC_ACQUIRE); }

    Ram ram{32 * MiB};
    HandTables tables;
    ExplicitMachine machine{ram, 4};
};

TEST_F(ExplicitMachineTest, LoadsAndStoresThroughTheTables) {
    ExplicitCpu& cpu = machine.cpu(0);
    cpu.store<uint32_t>(here + 8, 0x12345678);
    EXPECT_EQ(*ram.as<uint32_t>(there + 8), 0x12345678u);
    EXPECT_EQ(cpu.load<uint32_t>(here + 8), 0x12345678u);
    EXPECT_EQ(cpu.load<uint16_t>(here + 10), 0x1234u);
    EXPECT_EQ(cpu.fetch(here + 8), 0x78u);
    EXPECT_EQ(machine.cpu(3).load<uint64_t>(here + 8), 0x12345678u);
}

TEST_F(ExplicitMachineTest, AccessesMayCrossPages) {
    tables.map(here + 0x1000, 0x500000);
    machine.cpu(0).store<uint32_t>(here + 0xffe, 0xaabbccdd);
    EXPECT_EQ(*ram.as<uint16_t>(there + 0xffe), 0xccddu);
    EXPECT_EQ(*ram.as<uint16_t>(0x500000), 0xaabbu);
    EXPECT_EQ(machine.cpu(1).load<uint32_t>(here + 0xffe), 0xaabbccddu);
    // A store that faults at its second page leaves the first as it was.
    EXPECT_FALSE(machine.cpu(0).probe_store<uint32_t>(here + 0x1ffe, 0).ok());
    tables.map(here + 0x1000, 0x500000, P);
    machine.cpu(0).invalidate_page(here + 0x1000);
    const Probe<uint32_t> denied = machine.cpu(0).probe_store<uint32_t>(here + 0xffe, 0);
    EXPECT_EQ(denied.fault, (PageFault{here + 0x1000, 3}));
    EXPECT_EQ(*ram.as<uint16_t>(there + 0xffe), 0xccddu);
}

TEST_F(ExplicitMachineTest, MarksAccessedAndDirty) {
    machine.cpu(1).load<uint8_t>(here);
    EXPECT_EQ(tables.table_entry(here) & (A | D), A);
    machine.cpu(2).store<uint8_t>(here, 1);
    EXPECT_EQ(tables.table_entry(here) & (A | D), A | D);
    // CPU 1 has it as clean, and marks it again on its first write.
    tables.table_entry(here) &= ~D;
    machine.cpu(1).store<uint8_t>(here, 1);
    EXPECT_EQ(tables.table_entry(here) & D, D);
}

TEST_F(ExplicitMachineTest, EachCpuHasATlbOfItsOwn) {
    machine.cpu(0).load<uint32_t>(here);
    machine.cpu(1).load<uint32_t>(here);
    *ram.as<uint32_t>(there) = 1;
    *ram.as<uint32_t>(elsewhere) = 2;
    tables.map(here, elsewhere);
    machine.cpu(0).invalidate_page(here);
    EXPECT_EQ(machine.cpu(0).load<uint32_t>(here), 2u);
    EXPECT_EQ(machine.cpu(1).load<uint32_t>(here), 1u);
    EXPECT_EQ(machine.cpu(2).load<uint32_t>(here), 2u);
}

TEST_F(ExplicitMachineTest, StaleEntriesAreFound) {
    for (unsigned i = 0; i < 4; ++i)
        machine.cpu(i).store<uint32_t>(here, i);
    EXPECT_TRUE(machine.stale_entries().empty());
    EXPECT_TRUE(machine.sees(Frame(there >> 12)));
    EXPECT_TRUE(machine.sees(Frame(tables.directory_entry(here) >> 12))) << "the table";
    EXPECT_FALSE(machine.sees(Frame(elsewhere >> 12)));

    tables.table_entry(here) = 0;
    EXPECT_EQ(machine.stale_entries().size(), 4u);
    for (unsigned i = 0; i < 3; ++i)
        machine.cpu(i).invalidate_page(here);
    const auto stale = machine.stale_entries();
    ASSERT_EQ(stale.size(), 1u);
    EXPECT_EQ(stale[0].cpu, 3u);
    EXPECT_TRUE(stale[0].harmful);
    EXPECT_FALSE(stale[0].now);
    EXPECT_TRUE(machine.sees(Frame(there >> 12)));
    machine.cpu(3).invalidate_page(here);
    EXPECT_FALSE(machine.sees(Frame(there >> 12)));
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(ExplicitMachineTest, WhatMakesAnEntryStale) {
    ExplicitCpu& cpu = machine.cpu(0);
    const auto stale_after = [&](uint32_t before, uint32_t after) {
        tables.table_entry(here) = before;
        cpu.invalidate_all(Globals::drop);
        EXPECT_TRUE(cpu.probe_load<uint8_t>(here).ok());
        tables.table_entry(here) = after;
        return cpu.stale_entries();
    };
    EXPECT_TRUE(stale_after(there | P, there | P | A).empty());
    EXPECT_TRUE(stale_after(there | P | A, there | P).empty()) << "accessed is not cached";
    EXPECT_TRUE(stale_after(there | P | RW, there | P | RW | D).empty()) << "marked by another";
    EXPECT_TRUE(stale_after(there | P | RW | D, there | P | RW).at(0).harmful) << "unmarked writes";
    EXPECT_TRUE(stale_after(there | P | RW, there | P).at(0).harmful);
    EXPECT_FALSE(stale_after(there | P, there | P | RW).at(0).harmful);
    EXPECT_TRUE(stale_after(there | P | US, there | P).at(0).harmful);
    EXPECT_TRUE(stale_after(there | P, elsewhere | P).at(0).harmful);
    EXPECT_FALSE(stale_after(there | P, there | P | PCD).at(0).harmful);
    EXPECT_FALSE(stale_after(there | P, there | P | G).at(0).harmful);
}

TEST_F(ExplicitMachineTest, SplitLargePageIsStaleEvenWhereItsFirstPageStays) {
    tables.map_large(0x800000, 0x400000);
    machine.cpu(0).load<uint8_t>(0x800000);
    tables.directory_entry(0x800000) = 0;
    tables.map(0x800000, 0x400000);
    EXPECT_TRUE(machine.stale_entries().at(0).harmful);
}

TEST_F(ExplicitMachineTest, InvalidatorServesTheLibrarysRequests) {
    tables.map(here, there, P | RW | G);
    tables.map(here + 0x1000, elsewhere, P | RW);
    ExplicitInvalidator invalidator(machine);
    const auto entries_left_after = [&](const FlushRequest& request) {
        for (unsigned i = 0; i < machine.cpus(); ++i) {
            machine.cpu(i).load<uint8_t>(here);
            machine.cpu(i).load<uint8_t>(here + 0x1000);
        }
        const uint32_t entries[] = {tables.table_entry(here), tables.table_entry(here + 0x1000)};
        tables.table_entry(here) = tables.table_entry(here + 0x1000) = 0;
        invalidator.invalidate(request);
        const size_t left = machine.stale_entries().size();
        machine.run_on(machine.all_cpus(),
                       [](ExplicitCpu& cpu) { cpu.invalidate_all(Globals::drop); });
        tables.table_entry(here) = entries[0];
        tables.table_entry(here + 0x1000) = entries[1];
        return left;
    };
    const Page first(here >> 12);
    EXPECT_EQ(entries_left_after({tables.root(), PageRange(first, PageCount(1))}), 4u);
    EXPECT_EQ(entries_left_after({tables.root(), PageRange(first, PageCount(2))}), 0u);
    EXPECT_EQ(entries_left_after({tables.root(), PageRange(first, PageCount(100))}), 4u);
    EXPECT_EQ(entries_left_after({tables.root(), PageRange(first, PageCount(100)), true}), 0u);
}

TEST_F(ExplicitMachineTest, StaleStructuresAreFound) {
    machine.cpu(2).load<uint8_t>(here);
    EXPECT_TRUE(machine.stale_structures().empty());
    const uint32_t table = tables.directory_entry(here);
    tables.directory_entry(here) = 0;
    const auto stale = machine.stale_structures();
    ASSERT_EQ(stale.size(), 1u);
    EXPECT_EQ(stale[0].cpu, 2u);
    EXPECT_EQ(stale[0].cached.table, table & 0xfffff000);
    machine.cpu(2).invalidate_page(here);
    EXPECT_TRUE(machine.stale_structures().empty());
    EXPECT_FALSE(machine.sees(Frame(table >> 12)));
}

TEST_F(ExplicitMachineTest, RootIsSeenWhileLoaded) {
    EXPECT_TRUE(machine.sees(tables.root()));
    HandTables others(ram, 0x200000);
    for (unsigned i = 0; i < 4; ++i)
        machine.cpu(i).load_cr3(others.root());
    EXPECT_FALSE(machine.sees(tables.root()));
}

TEST_F(ExplicitMachineTest, GlobalEntriesSurviveALoadOfCr3) {
    tables.map(here, there, P | RW | G);
    tables.map(here + 0x1000, elsewhere);
    ExplicitCpu& cpu = machine.cpu(0);
    cpu.load<uint8_t>(here);
    cpu.load<uint8_t>(here + 0x1000);
    HandTables others(ram, 0x200000);
    cpu.load_cr3(others.root());
    EXPECT_TRUE(cpu.probe_load<uint8_t>(here).ok());
    EXPECT_FALSE(cpu.probe_load<uint8_t>(here + 0x1000).ok());
    Control control = cpu.control();
    control.global_pages = false;
    cpu.set_control(control);
    EXPECT_FALSE(cpu.probe_load<uint8_t>(here).ok());
}

TEST_F(ExplicitMachineTest, LargePages) {
    tables.map_large(0x800000, 0x400000);
    ExplicitCpu& cpu = machine.cpu(0);
    cpu.store<uint32_t>(0xabcdec, 3);
    EXPECT_EQ(*ram.as<uint32_t>(0x6bcdec), 3u);
    tables.directory_entry(0x800000) = 0;
    EXPECT_EQ(cpu.load<uint32_t>(0xabcdec), 3u);
    EXPECT_TRUE(machine.sees(Frame(0x7ff)));
    cpu.invalidate_page(0x800000);
    EXPECT_FALSE(cpu.probe_load<uint32_t>(0xabcdec).ok());
}

TEST_F(ExplicitMachineTest, NothingBehindReadsAsOnes) {
    tables.map(here, 0xfee00000);
    machine.cpu(0).store<uint32_t>(here, 0);
    EXPECT_EQ(machine.cpu(0).load<uint32_t>(here), 0xffffffffu);
}

TEST_F(ExplicitMachineTest, DemandFaultIsRetriedAndMayNest) {
    unsigned faults = 0;
    machine.cpu(1).on_page_fault([&](ExplicitCpu& cpu, const PageFault& fault) {
        ++faults;
        EXPECT_EQ(&cpu, &machine.cpu(1));
        const auto page = static_cast<uint32_t>(fault.address) & 0xfffff000;
        if (page == here + 0x1000) cpu.store<uint32_t>(here + 0x2000, 5);
        tables.map(page, page & 0xff0000 ? 0x500000 : 0x600000 + (page & 0xf000));
        return true;
    });
    machine.cpu(1).store<uint32_t>(here + 0x1000, 6);
    EXPECT_EQ(faults, 2u);
    EXPECT_EQ(machine.cpu(1).load<uint32_t>(here + 0x1000), 6u);
    EXPECT_EQ(machine.cpu(1).load<uint32_t>(here + 0x2000), 5u);
    EXPECT_EQ(machine.cpu(1).counters().faults, 2u);
    EXPECT_FALSE(machine.cpu(0).probe_load<uint32_t>(here + 0x5000).ok()) << "no handler there";
}

TEST_F(ExplicitMachineTest, UserAccesses) {
    ExplicitCpu& cpu = machine.cpu(0);
    EXPECT_EQ(cpu.probe_load<uint8_t>(here, Privilege::user).fault.error_code, 5u);
    EXPECT_EQ(cpu.probe_fetch(here, Privilege::user).fault.error_code, 5u);
    tables.map(here, there, P | US);
    EXPECT_TRUE(cpu.probe_load<uint8_t>(here, Privilege::user).ok());
    EXPECT_EQ(cpu.probe_store<uint8_t>(here, 1, Privilege::user).fault.error_code, 7u);
}

TEST_F(ExplicitMachineTest, SpuriousFaultsOnlyWhenAllowed) {
    for (const bool spurious : {true, false}) {
        tables.map(here, there, P);
        CpuShape shape;
        shape.adversary.spurious_faults = spurious;
        ExplicitMachine other(ram, 1, shape);
        other.enable_paging(tables.root());
        other.cpu(0).load<uint8_t>(here);
        tables.map(here, there, P | RW);
        EXPECT_EQ(other.cpu(0).probe_store<uint8_t>(here, 1).ok(), !spurious);
        EXPECT_EQ(other.cpu(0).counters().spurious_faults, spurious ? 1u : 0u);
        EXPECT_TRUE(other.cpu(0).probe_store<uint8_t>(here, 1).ok());
    }
}

TEST_F(ExplicitMachineTest, SpeculationCachesNeighbours) {
    CpuShape shape;
    shape.adversary.prefetches = true;
    ExplicitMachine other(ram, 1, shape);
    other.enable_paging(tables.root());
    tables.map(here + 0x1000, elsewhere);
    tables.map(here - 0x1000, 0x500000);
    tables.map(here + 0x2000, 0x501000);
    other.cpu(0).load<uint8_t>(here);
    EXPECT_TRUE(other.sees(Frame(elsewhere >> 12)));
    EXPECT_TRUE(other.sees(Frame(0x500)));
    EXPECT_FALSE(other.sees(Frame(0x501)));
    EXPECT_EQ(tables.table_entry(here + 0x1000) & (A | D), A);
    tables.table_entry(here + 0x1000) = 0;
    EXPECT_TRUE(other.cpu(0).probe_load<uint8_t>(here + 0x1000).ok())
        << "never touched, but cached";
    // Speculation refreshes nothing that is cached already.
    tables.map(here + 0x1000, 0x502000);
    other.cpu(0).load<uint8_t>(here - 0x1000);
    tables.map(here, 0x503000);
    EXPECT_TRUE(other.cpu(0).probe_load<uint8_t>(here + 0x2000).ok());
    EXPECT_TRUE(other.sees(Frame(elsewhere >> 12)));
}

TEST_F(ExplicitMachineTest, HaltedCpusAnswerAtOnce) {
    machine.cpu(1).load<uint8_t>(here);
    machine.cpu(2).load<uint8_t>(here);
    tables.table_entry(here) = 0;
    std::vector<unsigned> ran;
    const ExplicitCpu::Driving driving(machine.cpu(0));
    machine.run_on_others(machine.cpu(0), [&](ExplicitCpu& cpu) {
        EXPECT_EQ(ExplicitCpu::current(), &cpu);
        EXPECT_EQ(ExplicitCpuPolicy::index(), cpu.number());
        ran.push_back(cpu.number());
        ExplicitTlb().flush_page(VirtualAddress(here));
    });
    EXPECT_EQ(ExplicitCpu::current(), &machine.cpu(0));
    EXPECT_EQ(ran, (std::vector<unsigned>{1, 2, 3}));
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(ExplicitMachineTest, DisabledInterruptsKeepRequestsWaiting) {
    std::atomic<bool> ready{false}, sent{false}, served{false}, early{false};
    std::thread target([&] {
        const ExplicitCpu::Driving driving(machine.cpu(1));
        const bool enabled = ExplicitInterrupts::disable();
        EXPECT_TRUE(enabled);
        ready = true;
        while (!sent)
            std::this_thread::yield();
        for (int i = 0; i < 1000; ++i)
            machine.cpu(1).load<uint8_t>(here);
        early = served.load();
        ExplicitInterrupts::restore(enabled);
        EXPECT_TRUE(served);
    });
    while (!ready)
        std::this_thread::yield();
    std::thread sender([&] {
        sent = true;
        machine.run_on(1u << 1, [&](ExplicitCpu&) { served = true; });
    });
    target.join();
    sender.join();
    EXPECT_FALSE(early);
}

TEST_F(ExplicitMachineTest, SenderRunsItsOwnPartItself) {
    std::atomic<unsigned> ran{0};
    const ExplicitCpu::Driving driving(machine.cpu(0));
    machine.run_on(machine.all_cpus(), [&](ExplicitCpu& cpu) { ran |= 1u << cpu.number(); });
    EXPECT_EQ(ran, 0xfu);
    machine.run_on_others(machine.cpu(0), [&](ExplicitCpu& cpu) { ran &= ~(1u << cpu.number()); });
    EXPECT_EQ(ran, 1u);
}

TEST_F(ExplicitMachineTest, OneThreadDrivesACpuAtATime) {
    std::atomic<bool> first_drives{false}, together{false};
    std::thread first([&] {
        const ExplicitCpu::Driving driving(machine.cpu(1));
        first_drives = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        first_drives = false;
    });
    while (!first_drives)
        std::this_thread::yield();
    {
        const ExplicitCpu::Driving driving(machine.cpu(1));
        together = first_drives.load();
    }
    first.join();
    EXPECT_FALSE(together);
}

TEST_F(ExplicitMachineTest, RequestsDoNotInterruptRequestsAndNoneIsLost) {
    // CPU 1 gets a second request while it serves a first, just before its thread leaves it.
    std::atomic<bool> driven{false}, first_runs{false}, second_sent{false}, second_ran{false};
    std::atomic<bool> nested{false};
    std::thread target([&] {
        const ExplicitCpu::Driving driving(machine.cpu(1));
        driven = true;
        while (!first_runs) {
            machine.cpu(1).poll();
            std::this_thread::yield();
        }
    });
    while (!driven)
        std::this_thread::yield();
    std::thread first([&] {
        machine.run_on(1u << 1, [&](ExplicitCpu& cpu) {
            first_runs = true;
            while (!second_sent)
                std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            cpu.load<uint8_t>(here);
            nested = second_ran.load();
        });
    });
    while (!first_runs)
        std::this_thread::yield();
    second_sent = true;
    machine.run_on(1u << 1, [&](ExplicitCpu&) { second_ran = true; });
    target.join();
    first.join();
    EXPECT_TRUE(second_ran);
    EXPECT_FALSE(nested);
}

TEST_F(ExplicitMachineTest, RequestsThatArriveWhileACpuIsLeftAreServed) {
    // As before, but the first request is itself served while the thread leaves the CPU.
    std::atomic<bool> driven{false}, sent{false}, second_sent{false}, second_ran{false};
    std::thread target([&] {
        const ExplicitCpu::Driving driving(machine.cpu(1));
        driven = true;
        while (!sent)
            std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    while (!driven)
        std::this_thread::yield();
    std::thread first([&] {
        sent = true;
        machine.run_on(1u << 1, [&](ExplicitCpu&) {
            while (!second_sent)
                std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        });
    });
    std::thread second([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        second_sent = true;
        machine.run_on(1u << 1, [&](ExplicitCpu&) { second_ran = true; });
    });
    target.join();
    first.join();
    second.join();
    EXPECT_TRUE(second_ran);
}

TEST_F(ExplicitMachineTest, CpusThatWaitForEachOtherAnswerEachOther) {
    std::atomic<unsigned> served{0};
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        for (int i = 0; i < 200; ++i)
            machine.run_on_others(cpu, [&](ExplicitCpu&) { ++served; });
    });
    EXPECT_EQ(served, 4u * 200 * 3);
}

TEST_F(ExplicitMachineTest, PollingLockAnswersWhileItWaits) {
    PollingLock lock;
    unsigned counter = 0;
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        for (int i = 0; i < 200; ++i) {
            const LockGuard guard(lock);
            ++counter;
            machine.run_on_others(cpu, [](ExplicitCpu& other) { other.invalidate_page(here); });
        }
    });
    EXPECT_EQ(counter, 800u);
    EXPECT_GE(machine.cpu(0).counters().page_invalidations, 600u);
}

TEST_F(ExplicitMachineTest, MarksLoseNoneOfSoftwaresChanges) {
    // Three CPUs mark an entry that a fourth changes all the time: its own bits count, and each of
    // its changes must survive the hardware's read-modify-writes.
    constexpr unsigned rounds = 20000;
    uint32_t& entry = tables.table_entry(here);
    std::atomic<bool> done{false};
    std::atomic<unsigned> marks{0};
    unsigned lost = 0;
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        if (cpu.number() != 0) {
            while (!done) {
                cpu.store<uint32_t>(here + 4 * cpu.number(), 1);
                cpu.invalidate_page(here);
                ++marks;
            }
            return;
        }
        // Bits 11:9 are the software's: a counter of three bits. The hardware's are cleared.
        for (unsigned i = 0; i < rounds || marks < 30000; ++i) {
            uint32_t old = get(entry), wanted = 0;
            do {
                wanted = (old & ~(A | D | 0xe00u)) | ((i + 1) & 7) << 9;
            } while (!__atomic_compare_exchange_n(&entry, &old, wanted, false, __ATOMIC_ACQ_REL,
                                                  __ATOMIC_ACQUIRE));
            if ((old >> 9 & 7) != (i & 7)) ++lost;
        }
        done = true;
    });
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(entry & 0xfffff000, there);
}

// CPU 0 maps a page to one frame after another and gives the frame before back to a pool that fills
// it with junk. The others read the page all the time. None may ever see the junk.
class ExplicitReuseTest : public ExplicitMachineTest {
  protected:
    bool junk_is_seen(bool with_shootdown) {
        constexpr uint32_t junk = 0x01010101u * FramePool::junk;
        std::atomic<bool> done{false}, seen{false};
        std::atomic<unsigned> reads{0};
        std::array<uint32_t, 2> frames{there, elsewhere};
        for (const uint32_t frame : frames)
            ram.store<uint32_t>(frame, 7);
        uint32_t& entry = tables.table_entry(here);
        machine.on_each_cpu([&](ExplicitCpu& cpu) {
            if (cpu.number() != 0) {
                while (!done) {
                    if (cpu.load<uint32_t>(here) == junk) seen = true;
                    ++reads;
                    std::this_thread::yield();
                }
                return;
            }
            for (unsigned i = 0; i < 40; ++i) {
                const uint32_t old = frames[i % 2], next = frames[(i + 1) % 2];
                ram.store<uint32_t>(next, 7);
                set(entry, next | P | RW);
                if (with_shootdown) {
                    machine.run_on(machine.all_cpus(),
                                   [](ExplicitCpu& one) { one.invalidate_page(here); });
                }
                ram.store<uint32_t>(old, junk);
                const unsigned before = reads;
                while (reads < before + 8)
                    cpu.poll();
            }
            done = true;
        });
        return seen;
    }
};

TEST_F(ExplicitReuseTest, FrameIsGoneFromAllCpusAfterAShootdown) {
    EXPECT_FALSE(junk_is_seen(true));
    EXPECT_TRUE(machine.stale_entries().empty());
}

TEST_F(ExplicitReuseTest, ForgottenShootdownIsSeen) {
    EXPECT_TRUE(junk_is_seen(false));
}

TEST_F(ExplicitMachineTest, ExceptionsOfCpusArriveAfterAllHaveEnded) {
    std::atomic<unsigned> ended{0};
    EXPECT_THROW(machine.on_each_cpu([&](ExplicitCpu& cpu) {
        if (cpu.number() == 2) throw std::runtime_error("two");
        ++ended;
    }),
                 std::runtime_error);
    EXPECT_EQ(ended, 3u);
    EXPECT_EQ(ExplicitCpu::current(), nullptr);
}

TEST_F(ExplicitMachineTest, RefusesWhatIsNoMachine) {
    EXPECT_THROW(ExplicitMachine(ram, 0), std::invalid_argument);
    EXPECT_THROW(ExplicitMachine(ram, 65), std::invalid_argument);
    EXPECT_EQ(ExplicitMachine(ram, 64).all_cpus(), ~uint64_t{0});
    EXPECT_THROW(machine.cpu(4), std::out_of_range);
    EXPECT_THROW(machine.cpu(0).load<uint8_t>(uint64_t{1} << 32), std::out_of_range);
}

#if !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUIRE_TEST_WITHOUT_FORKS
#endif
#endif
#else
#define QUIRE_TEST_WITHOUT_FORKS
#endif
#ifndef QUIRE_TEST_WITHOUT_FORKS
TEST_F(ExplicitMachineTest, UnresolvedFaultStopsWithAReport) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH(machine.cpu(2).load<uint8_t>(0x1000),
                 "cpu 2: page fault at 0x1000: supervisor read, nothing present");
}

TEST_F(ExplicitMachineTest, DeadlockIsReported) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH(
        {
            set_explicit_patience(std::chrono::milliseconds(100));
            machine.cpu(1).disable_interrupts();
            machine.run_on(machine.all_cpus(), [](ExplicitCpu&) {});
        },
        "deadlock: cpu 1 does not answer");
}
#endif

}  // namespace
}  // namespace quire::sim::test::explicit_machine_test
