// SPDX-License-Identifier: MIT
// Magazines in front of the frame allocator, one CPU after the other.
#include "quire/phys/per_cpu_frames.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::per_cpu_frames_test {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

constexpr uint64_t base = 512 * 10;
constexpr uint64_t total_frames = 512 * 4;
constexpr uint32_t batch = 8;

// The test says which CPU it is.
struct NamedCpu {
    struct Pin {
        Pin() { ++pins; }
        ~Pin() { --pins; }
        Pin(const Pin&) = delete;
        Pin& operator=(const Pin&) = delete;
    };
    static unsigned index() {
        EXPECT_GT(pins, 0);
        return current;
    }
    static inline int pins = 0;
    static inline unsigned current = 0;
};

template <Reuse reuse>
struct Mode {
    static constexpr Reuse value = reuse;
};

template <class M>
class PerCpuFramesTest : public ::testing::Test {
  protected:
    using Frames = PerCpuFrames<FrameAllocator, NamedCpu, M::value, batch>;
    static constexpr bool at_once = M::value == Reuse::at_once;

    PerCpuFramesTest() : machine({{base, 512 * 5}, {base + 1024, 512, MemoryKind::reserved}}) {
        NamedCpu::current = 0;
    }
    ~PerCpuFramesTest() override {
        EXPECT_EQ(NamedCpu::pins, 0);
        drain_all();
    }
    void drain_all() {
        for (unsigned cpu = 0; cpu < 3; ++cpu) {
            NamedCpu::current = cpu;
            frames.drain();
            EXPECT_EQ(frames.late_refusals(), expected_late);
        }
        NamedCpu::current = 0;
    }
    std::vector<Frame> take(size_t count) {
        std::vector<Frame> taken;
        for (size_t i = 0; i < count; ++i)
            taken.push_back(frames.allocate().value());
        return taken;
    }

    Machine machine;
    typename Frames::Slot slots[3];
    Frames frames{machine.frames, slots};
    size_t expected_late = 0;
};

struct ModeName {
    template <class M>
    static std::string GetName(int) {
        return M::value == Reuse::at_once ? "AtOnce" : "Delayed";
    }
};
using Modes = ::testing::Types<Mode<Reuse::delayed>, Mode<Reuse::at_once>>;
TYPED_TEST_SUITE(PerCpuFramesTest, Modes, ModeName);

TYPED_TEST(PerCpuFramesTest, EveryFrameOnceAndInAscendingOrder) {
    const uint64_t total = this->machine.free();
    std::set<uint64_t> seen;
    uint64_t last = 0;
    for (uint64_t i = 0; i < total; ++i) {
        const auto frame = this->frames.allocate();
        ASSERT_TRUE(frame.ok());
        EXPECT_GT(frame->value(), last);
        last = frame->value();
        EXPECT_TRUE(seen.insert(last).second);
    }
    EXPECT_TRUE(fails_with(this->frames.allocate(), Error::out_of_frames, 1));
    for (const uint64_t frame : seen)
        ASSERT_TRUE(this->frames.free(Frame(frame)).ok());
    this->frames.drain();
    EXPECT_EQ(this->machine.free(), total);
    EXPECT_EQ(this->machine.frames.largest_free_run(), FrameCount(1024));
}

TYPED_TEST(PerCpuFramesTest, ReuseIsDelayedOrAtOnce) {
    const std::vector<Frame> taken = this->take(3);
    ASSERT_TRUE(this->frames.free(taken[1]).ok());
    const Frame next = this->frames.allocate().value();
    EXPECT_EQ(next == taken[1], this->at_once);
    ASSERT_TRUE(this->frames.free(taken[0]).ok());
    ASSERT_TRUE(this->frames.free(taken[2]).ok());
    ASSERT_TRUE(this->frames.free(next).ok());
}

// What is taken and given back goes through the blocks a batch at a time.
TYPED_TEST(PerCpuFramesTest, BatchesAreBounded) {
    const uint64_t total = this->machine.free();
    (void)this->frames.allocate().value();
    EXPECT_EQ(this->machine.free(), total - batch);
    this->take(batch - 1);
    EXPECT_EQ(this->machine.free(), total - batch);
    const std::vector<Frame> taken = this->take(100);
    for (const Frame frame : taken) {
        const uint64_t before = this->machine.free();
        ASSERT_TRUE(this->frames.free(frame).ok());
        EXPECT_LE(this->machine.free() - before, batch);
    }
    EXPECT_GE(this->machine.free(), total - batch - 4 * batch);
    EXPECT_LE(this->machine.free(), total - batch);
}

TYPED_TEST(PerCpuFramesTest, RefusesWhatWasNotGivenOut) {
    const uint64_t total = this->machine.free();
    // In its block; reserved; no memory; free already in a fresh group.
    EXPECT_TRUE(fails_with(this->frames.free(Frame(base + 900)), Error::already_free, base + 900));
    EXPECT_TRUE(fails_with(this->frames.free(Frame(base + 1100)), Error::reserved, base + 1100));
    EXPECT_TRUE(fails_with(this->frames.free(Frame(7)), Error::out_of_range, 7));
    const Frame frame = this->frames.allocate().value();
    ASSERT_TRUE(this->frames.free(frame).ok());
    // In this CPU's magazines: given back, and not handed out yet.
    EXPECT_TRUE(fails_with(this->frames.free(frame), Error::already_free, frame.value()));
    const Frame waiting(base + batch - 1);
    EXPECT_TRUE(fails_with(this->frames.free(waiting), Error::already_free, waiting.value()));
    this->frames.drain();
    EXPECT_TRUE(fails_with(this->frames.free(frame), Error::already_free, frame.value()));
    EXPECT_EQ(this->machine.free(), total);
}

// What is known of a frame's neighbours is not trusted after frames went back.
TYPED_TEST(PerCpuFramesTest, NeighboursAreLookedAtAgainAfterADrain) {
    // Usable as a whole, so that a look tells of neighbours.
    Machine plain({{base, 512}});
    typename TestFixture::Frames::Slot one[1];
    typename TestFixture::Frames front(plain.frames, one);
    plain.take(base, 128);
    ASSERT_TRUE(front.free(Frame(base)).ok());
    ASSERT_TRUE(plain.frames.free(Frame(base + 1)).ok());
    front.drain();
    EXPECT_TRUE(fails_with(front.free(Frame(base + 1)), Error::already_free, base + 1));
    EXPECT_TRUE(front.free(Frame(base + 2)).ok());
    EXPECT_TRUE(fails_with(front.free(Frame(base + 2)), Error::already_free, base + 2));
    ASSERT_TRUE(plain.frames.free(run_of(base + 3, 125)).ok());
    front.drain();
    EXPECT_EQ(plain.free(), 512u);
}

// What a refill would take again goes out again without going back; all else goes back.
TYPED_TEST(PerCpuFramesTest, FramesOfTheFullestBlocksTurnRound) {
    if (this->at_once) GTEST_SKIP() << "reuse at once asks nothing of blocks";
    std::vector<Frame> taken = this->take(512);  // all of block 0
    const uint64_t free = this->machine.free();
    this->machine.take(base + 512, 100);
    for (size_t i = 0; i < batch; ++i)
        ASSERT_TRUE(this->frames.free(taken[i]).ok());
    // None is waiting to go out: the oldest of those that came back is next.
    EXPECT_EQ(this->frames.allocate().value(), taken[0]);
    EXPECT_EQ(this->machine.free(), free - 100);
    for (size_t i = 1; i < batch; ++i)
        EXPECT_EQ(this->frames.allocate().value(), taken[i]);
    // A fuller block has a free frame: those of the other go back each time the magazine is full,
    // although none is waiting to go out, and that frame goes out before them.
    ASSERT_TRUE(this->machine.frames.free(taken[511]).ok());
    for (uint64_t frame = base + 512; frame < base + 512 + 3 * batch; ++frame)
        ASSERT_TRUE(this->frames.free(Frame(frame)).ok());
    EXPECT_EQ(this->machine.free(), free - 100 + 1 + 2 * batch);
    EXPECT_EQ(this->frames.allocate().value(), taken[511]);
}

// A frame that this CPU gave out, and that went back otherwise, is known for free after a drain.
TYPED_TEST(PerCpuFramesTest, WhatWasGivenOutIsForgottenByADrain) {
    const Frame frame = this->frames.allocate().value();
    ASSERT_TRUE(this->machine.frames.free(frame).ok());
    this->frames.drain();
    EXPECT_TRUE(fails_with(this->frames.free(frame), Error::already_free, frame.value()));
}

// One freed twice, the second time by another CPU, is found when both come back.
TYPED_TEST(PerCpuFramesTest, FindsLateWhatTwoCpusFreed) {
    const Frame frame = this->frames.allocate().value();
    ASSERT_TRUE(this->frames.free(frame).ok());
    NamedCpu::current = 1;
    ASSERT_TRUE(this->frames.free(frame).ok());
    NamedCpu::current = 0;
    this->frames.drain();
    const uint64_t free = this->machine.free();
    NamedCpu::current = 1;
    this->frames.drain();
    EXPECT_EQ(this->frames.late_refusals(), 1u);
    EXPECT_EQ(this->machine.free(), free);
    NamedCpu::current = 0;
    // The fixture's last look at CPU 1 expects none.
    this->slots[1].value.refused = 0;
}

TYPED_TEST(PerCpuFramesTest, ZonesAndOtherMobilityGoPastTheMagazines) {
    const uint64_t total = this->machine.free();
    const auto direct = this->frames.allocate(Zone::direct);
    ASSERT_TRUE(direct.ok());
    const auto movable = this->frames.allocate(Zone::high, Mobility::movable);
    ASSERT_TRUE(movable.ok());
    EXPECT_NE(direct->value() / 512, movable->value() / 512);
    EXPECT_EQ(this->machine.free(), total - 2);
    ASSERT_TRUE(this->frames.allocate(Zone::high, Mobility::unmovable).ok());
    EXPECT_EQ(this->machine.free(), total - 2 - batch);
    EXPECT_TRUE(this->frames.free(*movable).ok());
    EXPECT_TRUE(this->frames.free(*direct).ok());
}

// Runs, batches and particular frames call back what lies in this CPU's magazines.
TYPED_TEST(PerCpuFramesTest, OwnMagazinesAreEmptiedBeforeARequestFails) {
    const Frame frame = this->frames.allocate().value();
    EXPECT_EQ(frame, Frame(base));
    EXPECT_TRUE(
        fails_with(this->machine.frames.allocate_at(run_of(base + 1, 1)), Error::in_use, base + 1));
    EXPECT_TRUE(this->frames.allocate_at(run_of(base + 1, 1)).ok());
    EXPECT_TRUE(this->frames.free(run_of(base + 1, 1)).ok());
    ASSERT_TRUE(this->frames.free(frame).ok());
    std::vector<Frame> all(total_frames);
    ASSERT_TRUE(this->frames.allocate_batch({all.data(), all.size()}).ok());
    EXPECT_TRUE(this->frames.free_batch({all.data(), all.size()}).ok());
    const Frame again = this->frames.allocate().value();
    ASSERT_TRUE(this->frames.free(again).ok());
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(this->frames.allocate_order(9).ok());
    EXPECT_TRUE(fails_with(this->frames.allocate_order(9), Error::out_of_frames, 512));
    ASSERT_TRUE(this->frames.free(run_of(base, 1024)).ok());
    const Frame once_more = this->frames.allocate().value();
    ASSERT_TRUE(this->frames.free(once_more).ok());
    EXPECT_TRUE(this->frames.allocate_run(FrameCount(1000)).ok());
}

// Has a CPU answer as an interrupt would.
template <class Frames>
class Interrupts : public CpuCaller {
  public:
    void call(unsigned cpu) override {
        called.push_back(cpu);
        const unsigned self = NamedCpu::current;
        NamedCpu::current = cpu;
        frames->answer();
        NamedCpu::current = self;
    }
    Frames* frames = nullptr;
    std::vector<unsigned> called;
};

TYPED_TEST(PerCpuFramesTest, OtherCpusAreAskedBeforeOutOfMemoryIsSaid) {
    using Front = typename TestFixture::Frames;
    Interrupts<Front> interrupts;
    typename Front::Slot more_slots[3];
    Front called(this->machine.frames, more_slots, Mobility::unmovable, &interrupts);
    interrupts.frames = &called;
    NamedCpu::current = 2;
    const Frame kept = called.allocate().value();
    ASSERT_TRUE(called.free(kept).ok());
    NamedCpu::current = 0;
    for (uint64_t i = 0; i < total_frames; ++i)
        ASSERT_TRUE(called.allocate().ok()) << i;
    EXPECT_EQ(interrupts.called, (std::vector<unsigned>{1, 2}));
    EXPECT_TRUE(fails_with(called.allocate(), Error::out_of_frames, 1));
    EXPECT_EQ(this->machine.free(), 0u);
    EXPECT_TRUE(this->machine.frames.free(run_of(base, 700)).ok());
}

// What this CPU keeps itself is used before others are asked.
TYPED_TEST(PerCpuFramesTest, OwnFreesComeFirst) {
    using Front = typename TestFixture::Frames;
    Interrupts<Front> interrupts;
    typename Front::Slot more_slots[2];
    Front called(this->machine.frames, more_slots, Mobility::unmovable, &interrupts);
    interrupts.frames = &called;
    for (uint64_t i = 0; i < total_frames; ++i)
        ASSERT_TRUE(called.allocate().ok());
    ASSERT_TRUE(called.free(Frame(base + 3)).ok());
    EXPECT_EQ(called.allocate().value(), Frame(base + 3));
    EXPECT_TRUE(interrupts.called.empty());
    EXPECT_TRUE(this->machine.frames.free(run_of(base, 1024)).ok());
}

// Without interrupts, a CPU answers when it next comes by.
TYPED_TEST(PerCpuFramesTest, ACpuAnswersAtItsNextOperation) {
    for (const bool by_free : {false, true}) {
        NamedCpu::current = 1;
        const std::vector<Frame> taken = this->take(2);
        ASSERT_TRUE(this->frames.free(taken[0]).ok());
        NamedCpu::current = 0;
        const uint64_t before = this->machine.free();
        this->frames.reclaim();  // nobody answers in time
        EXPECT_EQ(this->machine.free(), before);
        NamedCpu::current = 1;
        if (by_free) {
            ASSERT_TRUE(this->frames.free(taken[1]).ok());
            EXPECT_EQ(this->machine.free(), total_frames - 1);
            this->frames.drain();
        } else {
            const Frame frame = this->frames.allocate().value();
            EXPECT_EQ(this->machine.free(), total_frames - 1 - batch);
            ASSERT_TRUE(this->frames.free(frame).ok());
            ASSERT_TRUE(this->frames.free(taken[1]).ok());
            this->frames.drain();
        }
        EXPECT_EQ(this->machine.free(), total_frames);
        NamedCpu::current = 0;
        this->frames.drain();  // its own request is answered by nobody else
    }
}

TYPED_TEST(PerCpuFramesTest, ServesAFrameSource) {
    const auto frame = this->frames.allocate_frame();
    ASSERT_TRUE(frame.ok());
    EXPECT_TRUE(this->frames.free_frame(*frame).ok());
    this->frames.drain();
    const Frame highest(base + 3);
    const auto low = this->frames.allocate_frame_up_to(highest);
    ASSERT_TRUE(low.ok());
    EXPECT_LE(*low, highest);
    EXPECT_EQ(&this->frames.allocator(), &this->machine.frames);
}

// A batch may be short, and partly used when it is given up.
TYPED_TEST(PerCpuFramesTest, ShortBatches) {
    this->machine.leave_free({run_of(base, 3), run_of(base + 10, 2)});
    EXPECT_EQ(this->frames.allocate().value(), Frame(base + 2));
    EXPECT_EQ(this->machine.free(), 0u);
    EXPECT_EQ(this->frames.allocate().value(), Frame(base + 0));
    this->frames.drain();
    EXPECT_EQ(this->machine.free(), 3u);
    EXPECT_FALSE(this->machine.frames.is_free(Frame(base)));
    EXPECT_FALSE(this->machine.frames.is_free(Frame(base + 2)));
    this->machine.take(base + 1, 1);
    this->machine.take(base + 10, 2);
    EXPECT_TRUE(fails_with(this->frames.allocate(), Error::out_of_frames, 1));
}

}  // namespace
}  // namespace quire::per_cpu_frames_test
