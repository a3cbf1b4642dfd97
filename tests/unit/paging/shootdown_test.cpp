// SPDX-License-Identifier: MIT
// Who is asked to drop what, and what each CPU then does: on CPUs that only write down what is done
// to them. How several run at once is shown on the simulated machine.
#include "quire/paging/shootdown.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quire/base/late.hpp"

namespace quire::test {
namespace {

struct ThisCpu {
    struct Pin {};
    static inline unsigned current = 0;
    static unsigned index() { return current; }
};
struct Interrupts {
    static inline int off = 0;
    static int disable() { return off++; }
    static void restore(int before) { off = before; }
};

// What happens while a CPU waits for answers.
struct Waiting {
    static inline std::function<void()> turn;
    static void relax() {
        // What happens may decide what happens next.
        if (const auto now = turn) now();
    }
};

using Log = std::vector<std::string>;
struct Cpus {
    Log logs[4];
    bool pcids = false;
};
struct FakeCpu {
    Cpus* all;

    void log(std::string what) const {
        EXPECT_GT(Interrupts::off, 0) << what;
        all->logs[ThisCpu::current].push_back(std::move(what));
    }
    void flush_page(VirtualAddress address) const {
        log("page " + std::to_string(address.value() >> page_shift));
    }
    void flush_all() const { log("all"); }
    void load_root(Frame root, Pcid pcid, Cached cached) const {
        log("root " + std::to_string(root.value()) + " pcid " + std::to_string(pcid) +
            (cached == Cached::keep ? " keep" : " drop"));
    }
    bool uses_pcids() const { return all->pcids; }
};
static_assert(SwitchingCpu<FakeCpu>);

class ShootdownTest : public testing::Test, public Platform {
  protected:
    using Machine = Shootdown<FakeCpu, ThisCpu, Interrupts, Waiting>;

    ShootdownTest() {
        ThisCpu::current = 0;
        Interrupts::off = 0;
        idle.make(shootdown, Frame(9));
        for (unsigned cpu = 0; cpu < 4; ++cpu)
            on(cpu, [&] { shootdown.start_cpu(); });
        forget();
    }
    ~ShootdownTest() {
        for (unsigned cpu = 0; cpu < 4; ++cpu)
            run(cpu, *idle);
        EXPECT_EQ(Interrupts::off, 0);
        Waiting::turn = nullptr;
    }
    // The CPUs that are interrupted answer at once, one after the other.
    void interrupt(const CpuMask& others) override {
        interrupted = others;
        if (const auto now = before_answers) now();
        if (deaf) return;
        for (const unsigned cpu : others)
            on(cpu, [&] { shootdown.serve(); });
    }

    void on(unsigned cpu, const std::function<void()>& what) {
        const unsigned before = std::exchange(ThisCpu::current, cpu);
        what();
        ThisCpu::current = before;
    }
    void run(unsigned cpu, TlbSpace& space) {
        on(cpu, [&] { shootdown.switch_to(space); });
    }
    void forget() {
        for (Log& log : cpus.logs)
            log.clear();
        interrupted = {};
    }
    const Log& done(unsigned cpu) const { return cpus.logs[cpu]; }
    static FlushRequest pages(uintptr_t first, uintptr_t count, bool global = false) {
        return {Frame(0), PageRange(Page(first), PageCount(count)), global};
    }
    static CpuMask mask(std::initializer_list<unsigned> numbers) {
        CpuMask all;
        for (const unsigned cpu : numbers)
            all.set(cpu);
        return all;
    }

    Cpus cpus;
    CpuMask interrupted;
    std::function<void()> before_answers;
    bool deaf = false;  // whether interrupts are lost
    ShootdownCpu records[4];
    Machine shootdown{*this, Span<ShootdownCpu>(records), FakeCpu{&cpus}};
    // Never destroyed, as CPUs run it to the end.
    Late<TlbSpace> idle;
    TlbSpace a{shootdown, Frame(1)};
    TlbSpace b{shootdown, Frame(2)};
    ShootdownInvalidator<Machine> of_all{shootdown};
    ShootdownInvalidator<Machine> of_a{shootdown, a};
};

TEST_F(ShootdownTest, ACpuThatStartsDropsWhatItHas) {
    on(2, [&] { shootdown.start_cpu(); });
    EXPECT_EQ(done(2), Log{"all"});
    EXPECT_EQ(shootdown.cpus(), CpuMask::first(4));
}

TEST_F(ShootdownTest, ASpaceKnowsWhoRunsIt) {
    run(1, a);
    run(2, a);
    EXPECT_EQ(a.running(), mask({1, 2}));
    EXPECT_EQ(done(1), Log{"root 1 pcid 0 drop"});
    run(1, b);
    run(1, b);
    EXPECT_EQ(a.running(), mask({2}));
    EXPECT_EQ(b.running(), mask({1}));
    EXPECT_EQ(done(1), (Log{"root 1 pcid 0 drop", "root 2 pcid 0 drop"}));
}

TEST_F(ShootdownTest, OnlyCpusThatRunTheSpaceAreAsked) {
    run(0, a);
    run(1, b);
    run(2, a);
    forget();
    of_a.invalidate(pages(5, 2));
    EXPECT_EQ(interrupted, mask({2}));
    EXPECT_EQ(done(0), (Log{"page 5", "page 6"}));
    EXPECT_EQ(done(1), Log{});
    EXPECT_EQ(done(2), (Log{"page 5", "page 6"}));
    EXPECT_EQ(done(3), Log{});
    // Nor is the sender, when it runs another space.
    forget();
    on(1, [&] { of_a.invalidate(pages(7, 1)); });
    EXPECT_EQ(interrupted, mask({0, 2}));
    EXPECT_EQ(done(1), Log{});
    EXPECT_EQ(done(0), Log{"page 7"});
}

TEST_F(ShootdownTest, NobodyIsInterruptedForASpaceThatNobodyElseRuns) {
    of_a.invalidate(pages(5, 1));
    run(0, a);
    forget();
    of_a.invalidate(pages(5, 1));
    EXPECT_TRUE(interrupted.empty());
    EXPECT_EQ(done(0), Log{"page 5"});
}

TEST_F(ShootdownTest, LongRangesBecomeAFlushOfTheSpace) {
    run(0, a);
    run(1, a);
    forget();
    of_a.invalidate(pages(0, FlushRequest::full_flush_pages));
    EXPECT_EQ(done(1).size(), FlushRequest::full_flush_pages);
    forget();
    of_a.invalidate(pages(0, FlushRequest::full_flush_pages + 1));
    EXPECT_EQ(done(0), Log{"root 1 pcid 0 drop"});
    EXPECT_EQ(done(1), Log{"root 1 pcid 0 drop"});
}

TEST_F(ShootdownTest, WhatAllSpacesShareIsDroppedEverywhere) {
    run(1, a);
    forget();
    of_all.invalidate(pages(3, 1));
    EXPECT_EQ(interrupted, mask({1, 2, 3}));
    for (unsigned cpu = 0; cpu < 4; ++cpu)
        EXPECT_EQ(done(cpu), Log{"page 3"});
    forget();
    of_all.invalidate(pages(3, 1000));
    for (unsigned cpu = 0; cpu < 4; ++cpu)
        EXPECT_EQ(done(cpu), Log{"all"});
}

TEST_F(ShootdownTest, GlobalPagesOfASpaceAreDroppedEverywhere) {
    run(1, a);
    forget();
    of_a.invalidate(pages(3, 1, true));
    EXPECT_EQ(interrupted, mask({1, 2, 3}));
    EXPECT_EQ(done(3), Log{"page 3"});
}

TEST_F(ShootdownTest, PcidsKeepWhatIsCurrent) {
    cpus.pcids = true;
    run(0, a);
    run(0, b);
    run(0, a);
    EXPECT_EQ(done(0), (Log{"root 1 pcid 1 drop", "root 2 pcid 2 drop", "root 1 pcid 1 keep"}));
    // What was invalidated while the CPU ran another space is found out when it comes back.
    run(0, b);
    forget();
    on(1, [&] { of_a.invalidate(pages(5, 1)); });
    EXPECT_TRUE(interrupted.empty());
    run(0, a);
    run(0, b);
    run(0, a);
    EXPECT_EQ(done(0), (Log{"root 1 pcid 1 drop", "root 2 pcid 2 keep", "root 1 pcid 1 keep"}));
    // And what was dropped while it ran it is current.
    on(1, [&] { of_a.invalidate(pages(5, 1)); });
    run(0, b);
    forget();
    run(0, a);
    EXPECT_EQ(done(0), Log{"root 1 pcid 1 keep"});
    forget();
    on(1, [&] { of_a.invalidate(pages(5, 100)); });
    EXPECT_EQ(done(0), Log{"root 1 pcid 1 drop"});
    run(0, b);
    forget();
    run(0, a);
    EXPECT_EQ(done(0), Log{"root 1 pcid 1 keep"});
}

// INVLPG drops what leads to a page under the current PCID only.
TEST_F(ShootdownTest, WhatAllSpacesShareIsNotLeftUnderOtherPcids) {
    cpus.pcids = true;
    run(0, a);
    run(0, b);
    of_all.invalidate(pages(3, 1));
    forget();
    run(0, a);
    run(0, b);
    EXPECT_EQ(done(0), (Log{"root 1 pcid 3 drop", "root 2 pcid 2 keep"}));
}

TEST_F(ShootdownTest, PcidsAreGivenToOtherSpacesInTurn) {
    cpus.pcids = true;
    std::vector<std::unique_ptr<TlbSpace>> spaces;
    for (unsigned i = 0; i <= PcidSlots::slots; ++i) {
        spaces.push_back(std::make_unique<TlbSpace>(shootdown, Frame(100 + i)));
        run(0, *spaces.back());
    }
    EXPECT_EQ(done(0).back(), "root 108 pcid 1 drop");
    run(0, *spaces[1]);
    EXPECT_EQ(done(0).back(), "root 101 pcid 2 keep");
    run(0, *spaces[0]);
    EXPECT_EQ(done(0).back(), "root 100 pcid 2 drop") << "it lost its own";
    run(0, *idle);
}

// A CPU that hears of a change before it hears of an earlier one drops all of the space at once.
TEST_F(ShootdownTest, SeveralRequestsAtOnceAreOneFlush) {
    run(1, a);
    run(2, a);
    forget();
    before_answers = [&] {
        before_answers = nullptr;
        on(0, [&] { of_a.invalidate(pages(8, 1)); });
    };
    on(3, [&] { of_a.invalidate(pages(5, 1)); });
    EXPECT_EQ(done(1), Log{"root 1 pcid 0 drop"});
    EXPECT_EQ(done(2), Log{"root 1 pcid 0 drop"});
    of_a.invalidate(pages(5, 1));
    EXPECT_EQ(done(1).back(), "page 5");
}

// The interrupted request is the one that its CPU can have: nothing of it must be overwritten.
TEST_F(ShootdownTest, AHandlerThatInvalidatesWaitsForTheInterruptedOne) {
    run(1, a);
    before_answers = [&] {
        before_answers = nullptr;
        // Others answer while this CPU waits, not before.
        Waiting::turn = [&] { on(1, [&] { shootdown.serve(); }); };
        of_a.invalidate(pages(8, 1));
    };
    forget();
    of_a.invalidate(pages(5, 1));
    EXPECT_EQ(done(1), (Log{"page 5", "page 8"}));
}

TEST_F(ShootdownTest, ACpuThatWaitsAnswersOthers) {
    run(0, a);
    run(1, b);
    forget();
    ShootdownInvalidator<Machine> of_b{shootdown, b};
    // Nobody answers an interrupt: the two see each other's requests only as they wait.
    bool shot_back = false;
    before_answers = [&] {
        before_answers = [] {};
        deaf = true;
        Waiting::turn = [&] {
            if (std::exchange(shot_back, true)) return;
            // The other CPU shoots back, and waits, and serves.
            on(1, [&] {
                Waiting::turn = [&] { on(0, [&] { shootdown.serve(); }); };
                of_a.invalidate(pages(8, 1));
            });
        };
    };
    of_b.invalidate(pages(5, 1));
    EXPECT_TRUE(shot_back);
    EXPECT_EQ(done(1), Log{"page 5"});
    EXPECT_EQ(done(0), Log{"page 8"});
}

TEST_F(ShootdownTest, RequestsAreAnsweredOnce) {
    run(1, a);
    of_a.invalidate(pages(5, 1));
    forget();
    for (unsigned cpu = 0; cpu < 4; ++cpu)
        on(cpu, [&] { shootdown.serve(); });
    for (unsigned cpu = 0; cpu < 4; ++cpu)
        EXPECT_EQ(done(cpu), Log{});
}

TEST_F(ShootdownTest, ASpaceThatIsRunMustNotBeDestroyed) {
    EXPECT_DEATH(
        {
            TlbSpace space(shootdown, Frame(7));
            shootdown.switch_to(space);
        },
        "");
}

TEST(FlushRequestTest, OneCoversAnother) {
    const auto request = [](uintptr_t first, uintptr_t count, bool global = false) {
        return FlushRequest{Frame(0), PageRange(Page(first), PageCount(count)), global};
    };
    FlushRequest all = request(10, 2);
    all.include(request(12, 1));
    EXPECT_EQ(all.pages, request(10, 3).pages);
    all.include(request(7, 1, true));
    EXPECT_EQ(all.pages, request(7, 6).pages);
    EXPECT_TRUE(all.global);
    all.include(request(0, 0));
    EXPECT_EQ(all.pages, request(7, 6).pages);
    FlushRequest none = request(0, 0);
    none.include(all);
    EXPECT_EQ(none.pages, all.pages);
    none.include(request(1000, 1));
    EXPECT_TRUE(none.prefers_full_flush());
}

}  // namespace
}  // namespace quire::test
