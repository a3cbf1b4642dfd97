// SPDX-License-Identifier: MIT
// What can be put in front of the frame allocator: zeroed frames, poison, counted references, and
// an account of promises.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "quire/phys/frame_commit.hpp"
#include "quire/phys/frame_words.hpp"
#include "quire/phys/poisoned_frames.hpp"
#include "quire/phys/zeroed_frames.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::frame_fronts_test {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

constexpr uint64_t base = 512 * 10;
constexpr uint64_t frames_total = 64;  // one hole, so that the lowest comes first

// RAM for a few frames: an access, and something that clears.
class Ram : public FrameZeroer {
  public:
    class Opened {
      public:
        explicit Opened(unsigned char* bytes) : bytes_(bytes) {}
        void* data() const { return bytes_; }

      private:
        unsigned char* bytes_;
    };
    Result<Opened> open(Frame frame) {
        if (unreachable) return Failure{Error::unreachable, frame.value()};
        return Opened(bytes(frame));
    }
    Status zero(Frame frame) override {
        if (unreachable) return Failure{Error::unreachable, frame.value()};
        std::memset(bytes(frame), 0, page_size);
        ++cleared;
        return {};
    }
    unsigned char* bytes(Frame frame) { return memory.data() + (frame.value() - base) * page_size; }
    std::vector<unsigned char> memory = std::vector<unsigned char>(frames_total * page_size, 0x77);
    bool unreachable = false;
    int cleared = 0;
};
static_assert(FrameAccess<Ram>);

class FrameFrontsTest : public ::testing::Test {
  protected:
    Machine machine{{{base, frames_total}}};
    Ram ram;
};

TEST_F(FrameFrontsTest, ZeroedFramesComeFromThePoolOrAreClearedNow) {
    ZeroedFrames<FrameAllocator, SpinLock, 3> zeroed(machine.frames, ram);
    const auto now = zeroed.allocate();
    ASSERT_TRUE(now.ok());
    EXPECT_EQ(ram.bytes(*now)[100], 0);
    EXPECT_EQ(ram.cleared, 1);
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(zeroed.prepare_one());
    EXPECT_FALSE(zeroed.prepare_one());
    EXPECT_EQ(zeroed.ready(), 3u);
    EXPECT_EQ(machine.free(), frames_total - 4);
    const auto ready = zeroed.allocate();
    ASSERT_TRUE(ready.ok());
    EXPECT_EQ(ram.bytes(*ready)[page_size - 1], 0);
    EXPECT_EQ(ram.cleared, 4);
    EXPECT_EQ(zeroed.drain(), 2u);
    EXPECT_EQ(machine.free(), frames_total - 2);
}

// Another CPU fills the pool while this one clears a frame for it.
TEST_F(FrameFrontsTest, AFrameForWhichThePoolHasNoRoomAnyMoreIsGivenBack) {
    struct Interrupted {
        FrameAllocator& frames;
        std::function<void()> meanwhile;
        Result<Frame> allocate() {
            const Result<Frame> frame = frames.allocate();
            if (const auto once = std::exchange(meanwhile, nullptr)) once();
            return frame;
        }
        Status free(Frame frame) { return frames.free(frame); }
    } frames{machine.frames, nullptr};
    ZeroedFrames<Interrupted, SpinLock, 3> zeroed(frames, ram);
    frames.meanwhile = [&] {
        while (zeroed.prepare_one()) {
        }
    };
    EXPECT_FALSE(zeroed.prepare_one());
    EXPECT_EQ(zeroed.ready(), 3u);
    EXPECT_EQ(machine.free(), frames_total - 3);
}

TEST_F(FrameFrontsTest, WhatCannotBeClearedIsGivenBack) {
    ZeroedFrames<FrameAllocator, SpinLock, 3> zeroed(machine.frames, ram);
    ram.unreachable = true;
    EXPECT_TRUE(fails_with(zeroed.allocate(), Error::unreachable, base));
    EXPECT_FALSE(zeroed.prepare_one());
    EXPECT_EQ(machine.free(), frames_total);
    machine.take(base, frames_total);
    EXPECT_TRUE(fails_with(zeroed.allocate(), Error::out_of_frames, 1));
    EXPECT_FALSE(zeroed.prepare_one());
}

TEST_F(FrameFrontsTest, PoisonTellsOfWritesAfterFree) {
    PoisonedFrames<FrameAllocator, Ram> poisoned(machine.frames, ram);
    const Frame frame = poisoned.allocate().value();
    ram.bytes(frame)[7] = 1;
    ASSERT_TRUE(poisoned.free(frame).ok());
    EXPECT_NE(ram.bytes(frame)[7], 1);
    ASSERT_EQ(poisoned.allocate().value(), frame);
    ASSERT_TRUE(poisoned.free_frame(frame).ok());
    for (const size_t place : {size_t{0}, size_t{2000}, page_size - 1}) {
        unsigned char& byte = ram.bytes(frame)[place];
        byte = static_cast<unsigned char>(byte ^ 4);
        EXPECT_TRUE(fails_with(poisoned.allocate_frame(), Error::corrupted,
                               frame.value() * page_size + place / 4 * 4));
        EXPECT_FALSE(machine.frames.is_free(frame));
        ASSERT_TRUE(poisoned.free(frame).ok());
    }
    EXPECT_TRUE(fails_with(poisoned.free(frame), Error::already_free, frame.value()));
}

TEST_F(FrameFrontsTest, PoisonNeedsToReachTheFrame) {
    PoisonedFrames<FrameAllocator, Ram> poisoned(machine.frames, ram);
    const Frame frame = poisoned.allocate().value();
    ram.unreachable = true;
    EXPECT_TRUE(fails_with(poisoned.free(frame), Error::unreachable, frame.value()));
    EXPECT_TRUE(fails_with(poisoned.allocate(), Error::unreachable, frame.value() + 1));
    EXPECT_EQ(machine.free(), frames_total - 1);
    machine.take(base + 1, frames_total - 1);
    EXPECT_TRUE(fails_with(poisoned.allocate(), Error::out_of_frames, 1));
}

TEST_F(FrameFrontsTest, TheLastReferenceGivesTheFrameBack) {
    std::vector<uint64_t> memory(frames_total);
    CountedFrames<FrameAllocator> counted(
        machine.frames, run_of(base, frames_total),
        {reinterpret_cast<unsigned char*>(memory.data()), memory.size() * 8});
    const Frame frame = counted.allocate(42).value();
    EXPECT_EQ(counted.references(frame), 1u);
    EXPECT_EQ(counted.owner(frame), 42u);
    ASSERT_TRUE(counted.set_owner(frame, 43).ok());
    EXPECT_EQ(counted.owner(frame), 43u);
    ASSERT_TRUE(counted.hold(frame).ok());
    ASSERT_TRUE(counted.drop(frame).ok());
    EXPECT_FALSE(machine.frames.is_free(frame));
    ASSERT_TRUE(counted.free_frame(frame).ok());
    EXPECT_TRUE(machine.frames.is_free(frame));
    EXPECT_TRUE(fails_with(counted.drop(frame), Error::already_free, frame.value()));
    EXPECT_TRUE(fails_with(counted.hold(frame), Error::already_free, frame.value()));
    EXPECT_EQ(machine.free(), frames_total);
}

TEST_F(FrameFrontsTest, CountedFramesRefuseWhatTheyDoNotCover) {
    std::vector<uint64_t> memory(32);
    CountedFrames<FrameAllocator> counted(
        machine.frames, run_of(base + 32, 32),
        {reinterpret_cast<unsigned char*>(memory.data()), memory.size() * 8});
    EXPECT_TRUE(fails_with(counted.allocate(), Error::foreign, base));
    EXPECT_TRUE(fails_with(counted.hold(Frame(base)), Error::foreign, base));
    EXPECT_TRUE(fails_with(counted.drop(Frame(base)), Error::foreign, base));
    EXPECT_TRUE(fails_with(counted.set_owner(Frame(base), 1), Error::foreign, base));
    EXPECT_EQ(counted.references(Frame(base)), 0u);
    EXPECT_EQ(counted.owner(Frame(base)), 0u);
    EXPECT_EQ(machine.free(), frames_total);
    machine.take(base, 32);
    // One that is given out although somebody still holds it.
    memory[0] = 1;
    EXPECT_TRUE(fails_with(counted.allocate_frame(), Error::corrupted, base + 32));
    memory[1] = UINT32_MAX;
    EXPECT_TRUE(fails_with(counted.hold(Frame(base + 33)), Error::too_many, base + 33));
    machine.take(base + 33, 31);
    EXPECT_TRUE(fails_with(counted.allocate(), Error::out_of_frames, 1));
}

TEST(CommitAccount, KeepsToItsLimit) {
    CommitAccount account(FrameCount(100));
    ASSERT_TRUE(account.commit(FrameCount(60)).ok());
    EXPECT_TRUE(fails_with(account.commit(FrameCount(41)), Error::out_of_frames, 41));
    ASSERT_TRUE(account.commit(FrameCount(40)).ok());
    EXPECT_EQ(account.committed(), FrameCount(100));
    EXPECT_TRUE(fails_with(account.uncommit(FrameCount(101)), Error::bad_argument, 101));
    account.set_limit(FrameCount(50));
    ASSERT_TRUE(account.uncommit(FrameCount(40)).ok());
    EXPECT_TRUE(fails_with(account.commit(FrameCount(1)), Error::out_of_frames, 1));
    ASSERT_TRUE(account.uncommit(FrameCount(20)).ok());
    EXPECT_TRUE(account.commit(FrameCount(10)).ok());
    EXPECT_EQ(account.committed(), FrameCount(50));
}

}  // namespace
}  // namespace quire::frame_fronts_test
