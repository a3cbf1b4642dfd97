// SPDX-License-Identifier: MIT
// Shootdown on four CPUs that are threads: spaces of their own and what they share, PCIDs,
// interrupts on and off. What ./quire model tlb shows for interleavings that repeat, here the
// thread sanitizer looks at.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "quire/base/late.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/shootdown.hpp"
#include "quire/paging/x86_64.hpp"
#include "sim/explicit_machine.hpp"
#include "sim/frame_pool.hpp"
#include "sim/x86_mmu64.hpp"

namespace quire::sim::test {
namespace {

constexpr unsigned cpus = 4;

struct Yielding {
    static void relax() { std::this_thread::yield(); }
};
struct ThisExplicitCpu : ExplicitTlb {
    void load_root(Frame root, Pcid pcid, Cached cached) const {
        ExplicitCpu::current()->load_cr3(address_of(root).value() | pcid, cached == Cached::keep);
    }
    bool uses_pcids() const { return ExplicitCpu::current()->control().pcids; }
};
using ExplicitShootdown =
    Shootdown<ThisExplicitCpu, ExplicitCpuPolicy, ExplicitInterrupts, Yielding>;

// A lock that is taken with interrupts off: whoever waits for it answers others.
struct Serving {
    static inline ExplicitShootdown* shootdown = nullptr;
    static void relax() {
        shootdown->serve();
        std::this_thread::yield();
    }
};
using Lock = ExcludingLock<ExplicitInterrupts, BasicSpinLock<Serving>>;

class ExplicitShootdownTest : public testing::TestWithParam<bool>, public Platform {
  protected:
    static constexpr uintptr_t first_page = (uintptr_t{1} << 18) - 4;  // on both sides of 1 GiB
    static constexpr unsigned pages = 8;
    static constexpr unsigned spaces = 2;

    struct Space {
        explicit Space(ExplicitShootdownTest& test)
            : table(test.access, X86_64({.no_execute = true, .global_pages = true})) {
            EXPECT_TRUE(table.create(test.frames).ok());
            identity.make(test.shootdown, table.root());
            tlb.make(test.shootdown, *identity);
        }

        FormatPageTable<X86_64, DirectMap> table;
        Late<TlbSpace> identity;
        Late<ShootdownInvalidator<ExplicitShootdown>> tlb;
        Lock lock;
        std::array<bool, pages> mapped{};
    };

    ExplicitShootdownTest() {
        Serving::shootdown = &shootdown;
        Control control;
        control.paging = control.write_protect = control.global_pages = control.no_execute = true;
        control.pcids = GetParam();
        machine.set_control(control);
        machine.on_interrupt([this](ExplicitCpu&) { shootdown.serve(); });
        for (auto& space : all)
            space = std::make_unique<Space>(*this);
        for (unsigned i = 0; i < cpus; ++i) {
            const ExplicitCpu::Driving driving(machine.cpu(i));
            shootdown.switch_to(*all[0]->identity);
            shootdown.start_cpu();
        }
    }
    void interrupt(const CpuMask& others) override {
        uint64_t mask = 0;
        for (const unsigned cpu : others)
            mask |= uint64_t{1} << cpu;
        machine.interrupt(mask);
    }

    // What the frames behind a page hold, and no others.
    static uint32_t stamp(unsigned space, unsigned index) { return 0x1000 * (space + 1) + index; }

    void change(unsigned number, unsigned index) {
        Space& space = *all[number];
        const LockGuard guard(space.lock);
        const PageRange page(Page(first_page + index), PageCount(1));
        if (space.mapped[index]) {
            auto change = space.table.unmap(page, UnmappedFrames::release);
            ASSERT_TRUE(change.ok());
            change->spend(*space.tlb);
        } else {
            const Frame frame = *frames.allocate_frame();
            ram.store<uint32_t>(address_of(frame).value(), stamp(number, index));
            auto change = space.table.map(page, frame, {read_write});
            ASSERT_TRUE(change.ok());
            change->spend(*space.tlb);
        }
        space.mapped[index] = !space.mapped[index];
    }

    // For all spaces. A freed frame is filled with junk, and the next one to be used.
    struct Frames {
        Result<Frame> allocate_frame() {
            const std::lock_guard guard(mutex);
            return pool.allocate_frame();
        }
        Status free_frame(Frame frame) {
            const std::lock_guard guard(mutex);
            return pool.free_frame(frame);
        }
        FramePool& pool;
        std::mutex mutex{};
    };

    Ram ram{flat_segments(uint64_t{32} << 20)};
    X86Mmu64 mmu;
    ExplicitMachine machine{ram, cpus, mmu};
    FramePool pool{ram, FrameRange(Frame(0x800), FrameCount(512))};
    Frames shared{pool};
    FrameSource frames{shared};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x2000)), VirtualAddress(0),
                     ram.physical_view()};
    ShootdownCpu records[cpus];
    ExplicitShootdown shootdown{*this, Span<ShootdownCpu>(records)};
    std::array<std::unique_ptr<Space>, spaces> all;
};

TEST_P(ExplicitShootdownTest, NoCpuUsesWhatOthersHaveUnmapped) {
    std::atomic<unsigned> wrong{0}, hits{0};
    machine.on_each_cpu([&](ExplicitCpu& cpu) {
        std::mt19937 random(cpu.number());
        const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
        unsigned running = 0;
        for (unsigned step = 0; step < 4000; ++step) {
            if (step % 16 == 0) change(below(spaces), below(pages));
            if (step % 16 == 8) {
                running = below(spaces);
                shootdown.switch_to(*all[running]->identity);
            }
            const unsigned index = below(pages);
            const auto seen = cpu.probe_load<uint32_t>((first_page + index) << page_shift);
            if (!seen.ok()) continue;
            ++hits;
            if (*seen.value != stamp(running, index)) ++wrong;
        }
    });
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(hits, 100u);
    for (const StaleEntry& stale : machine.stale_entries())
        EXPECT_FALSE(stale.harmful) << to_string(stale);
    EXPECT_TRUE(machine.stale_structures().empty());
    for (const auto& space : all)
        EXPECT_TRUE(space->table.validate().ok());
}

INSTANTIATE_TEST_SUITE_P(Pcids, ExplicitShootdownTest, testing::Bool());

}  // namespace
}  // namespace quire::sim::test
