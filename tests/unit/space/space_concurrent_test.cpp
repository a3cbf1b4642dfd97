// SPDX-License-Identifier: MIT
// Several CPUs in one space at once.
#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/explicit_invalidator.hpp"
#include "sim/explicit_machine.hpp"
#include "sim/frame_pool.hpp"
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class SpaceConcurrent : public SpaceTest {};

TEST_F(SpaceConcurrent, ThreadsThatMakeAndEndRegionsDoNotDisturbEachOther) {
    FakeMachine<std::mutex> machine({.bounds = PageRange(Page(0x100), PageCount(0x1000))});
    constexpr unsigned threads = 4;
    std::atomic<unsigned> wrong = 0;
    const auto work = [&](unsigned number) {
        std::mt19937 random(number);
        std::vector<PageRange> mine;
        for (int step = 0; step < 400; ++step) {
            if (mine.size() < 20 && random() % 2 == 0) {
                AllocateOptions options;
                options.name = "thread";
                options.placement.guard_after = PageCount(random() % 2);
                if (random() % 2 == 0) options.populate = Populate::on_demand;
                const auto got = machine.space.allocate(PageCount(1 + random() % 6), options);
                if (!got.ok()) {
                    ++wrong;
                    continue;
                }
                mine.push_back(*got);
            } else if (!mine.empty()) {
                const size_t which = random() % mine.size();
                const PageRange range = mine[which];
                const VirtualAddress address = address_of(range.last());
                if (!machine.space.fault({.address = address}).resolved) ++wrong;
                const auto query = machine.space.query(address);
                if (!query.ok() || query->region.pages != range) ++wrong;
                if (!machine.space.unmap(range).ok()) ++wrong;
                mine[which] = mine.back();
                mine.pop_back();
            }
            if (step % 100 == 0 && !machine.space.validate().ok()) ++wrong;
        }
        for (const PageRange& range : mine)
            if (!machine.space.unmap(range).ok()) ++wrong;
    };
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i)
        running.emplace_back(work, i);
    for (std::thread& each : running)
        each.join();
    EXPECT_EQ(wrong, 0u);
    machine.check();
    for (const RegionInfo& region : machine.regions())
        EXPECT_STREQ(region.name, "region nodes");
}

// All CPUs touch the same pages on demand: each page gets one frame, whoever comes first; the
// others find it there and try again. Meanwhile one takes pages away, by shootdown.
TEST_F(SpaceConcurrent, CpusFaultOnTheSamePagesAtOnce) {
    constexpr unsigned cpus = 3;
    constexpr uintptr_t page_count = 64;
    constexpr uint64_t ram_bytes = uint64_t{16} << 20;
    sim::Ram ram(ram_bytes);
    sim::ExplicitMachine machine(ram, cpus);
    sim::FramePool pool(ram, FrameRange(Frame(0x400), FrameCount(0x800)));
    DirectMap access(FrameRange(Frame(0), FrameCount(ram_bytes / page_size)), VirtualAddress(0),
                     ram.physical_view());
    AccessZeroer<DirectMap> zeroer(access);
    sim::ExplicitInvalidator tlb(machine);
    LoudPlatform platform;
    FormatPageTable<X86_32, DirectMap> table(access, X86_32({false, false, false}));
    ASSERT_TRUE(table.create(FrameSource(pool)).ok());
    unsigned char nodes[32 * sizeof(Region)];
    BasicAddressSpace<sim::PollingLock> space({.table = table,
                                               .frames = FrameSource(pool),
                                               .zeroer = zeroer,
                                               .tlb = tlb,
                                               .platform = platform},
                                              PageRange(Page(0x80000), PageCount(0x1000)), nodes,
                                              NodeGrowth::none);
    const PageRange shared = space.allocate(PageCount(page_count), on_demand()).value();
    machine.enable_paging(table.root());
    std::atomic<unsigned> unresolved = 0;
    machine.on_each_cpu([&](sim::ExplicitCpu& cpu) {
        cpu.on_page_fault([&](sim::ExplicitCpu&, const sim::PageFault& fault) {
            const FaultOutcome outcome =
                space.fault({.address = VirtualAddress(static_cast<uintptr_t>(fault.address)),
                             .access = fault.write() ? AccessKind::write : AccessKind::read,
                             .was_present = fault.present()});
            if (!outcome.resolved) ++unresolved;
            return outcome.resolved;
        });
        const unsigned number = cpu.number();
        for (int round = 0; round < 3; ++round) {
            for (uintptr_t i = 0; i < page_count; ++i) {
                const uint64_t address = address_of(shared.first() + PageCount(i)).value();
                cpu.store<uint32_t>(address + 4 * number, 1000 * number + 1);
                if (cpu.load<uint32_t>(address + 4 * number) != 1000 * number + 1) ++unresolved;
            }
            // A region of its own, seen, protected and ended meanwhile.
            const auto own = space.allocate(PageCount(3));
            if (!own.ok()) {
                ++unresolved;
                continue;
            }
            const uint64_t address = address_of(own->first()).value();
            if (cpu.load<uint32_t>(address) != 0) ++unresolved;
            cpu.store<uint32_t>(address, 7);
            if (!space.protect(*own, read_only).ok()) ++unresolved;
            if (!space.unmap(*own).ok()) ++unresolved;
        }
    });
    EXPECT_EQ(unresolved, 0u);
    EXPECT_TRUE(space.validate().ok());
    EXPECT_TRUE(machine.stale_entries().empty());
    EXPECT_EQ(space.fault_counters().resolved, page_count);
    EXPECT_EQ(pool.used().value(), page_count + table.table_frames().value());
}

}  // namespace
}  // namespace quire::test
