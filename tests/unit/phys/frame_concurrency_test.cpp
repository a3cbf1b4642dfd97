// SPDX-License-Identifier: MIT
// Four CPUs on one allocator. What one holds, no other may get; in the end nothing is missing.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_concurrency_test {
namespace {

constexpr uint64_t frames_total = 6000;
constexpr unsigned cpus = 4;

// Locks that waiting threads sleep on let the test do much in little time where CPUs are few; the
// spin lock is what kernels use.
template <class Lock>
class FrameConcurrentTest : public ::testing::Test {
  protected:
    FrameConcurrentTest()
        : map(test::make_map({{1, frames_total}})),
          boot(*map, test::everything),
          books(FrameCore::metadata_bytes(*map).value()),
          owner(frames_total + 1) {
        EXPECT_TRUE(frames.start(boot, books.span(), Frame(5000)).ok());
    }
    static constexpr int steps = same_as<Lock, SpinLock> ? 150 : 3000;

    // Notes who holds a run; false when somebody else does.
    bool claim(const FrameRange& run, uint8_t cpu) {
        bool mine = true;
        for (const Frame frame : run)
            mine = owner[frame.value()].exchange(cpu) == 0 && mine;
        return mine;
    }
    bool give_up(const FrameRange& run, uint8_t cpu) {
        bool mine = true;
        for (const Frame frame : run)
            mine = owner[frame.value()].exchange(0) == cpu && mine;
        return mine && frames.free(run).ok();
    }
    // One CPU's work: whether all went well.
    bool work(uint8_t cpu) {
        std::mt19937 random(cpu);
        std::vector<FrameRange> held;
        bool good = true;
        for (int step = 0; step < steps && good; ++step) {
            if (random() % 2 == 0) {
                const FrameCount count(1 + random() % (random() % 8 == 0 ? 600 : 8));
                const auto run = frames.allocate_run(count);
                if (run.ok()) {
                    good = claim(*run, cpu);
                    held.push_back(*run);
                } else {
                    good = run.error() == Error::out_of_frames;
                }
            } else if (!held.empty()) {
                std::swap(held[random() % held.size()], held.back());
                good = give_up(held.back(), cpu);
                held.pop_back();
            }
            if (step % 100 == 0) {
                good = good && frames.counters().total.value() == frames_total &&
                       frames.validate().ok();
            }
        }
        for (const FrameRange& run : held)
            good = give_up(run, cpu) && good;
        return good;
    }

    std::unique_ptr<MemoryMap> map;
    BootFrames boot;
    test::Books books;
    BasicFrameAllocator<Lock> frames;
    std::vector<std::atomic<uint8_t>> owner;
};

struct LockName {
    template <class Lock>
    static std::string GetName(int) {
        return same_as<Lock, SpinLock> ? "SpinLock" : "SleepingLock";
    }
};
using Locks = ::testing::Types<SpinLock, std::mutex>;
TYPED_TEST_SUITE(FrameConcurrentTest, Locks, LockName);

TYPED_TEST(FrameConcurrentTest, NoFrameHasTwoOwners) {
    std::atomic<unsigned> good = 0;
    std::vector<std::thread> threads;
    for (unsigned cpu = 1; cpu <= cpus; ++cpu)
        threads.emplace_back([&, cpu] { good += this->work(static_cast<uint8_t>(cpu)) ? 1 : 0; });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(good, cpus);
    EXPECT_EQ(this->frames.counters().free.value(), frames_total);
    EXPECT_EQ(this->frames.largest_free_run(), FrameCount(frames_total));
    EXPECT_TRUE(this->frames.validate().ok());
}

TYPED_TEST(FrameConcurrentTest, ExactlyOneGetsAParticularFrame) {
    constexpr uint64_t contested = TestFixture::steps / 3;
    std::atomic<unsigned> got = 0;
    std::atomic<unsigned> refused = 0;
    std::vector<std::thread> threads;
    for (unsigned cpu = 1; cpu <= cpus; ++cpu) {
        threads.emplace_back([&] {
            for (uint64_t frame = 1; frame <= contested; ++frame) {
                const Status taken = this->frames.allocate_at(test::run_of(frame, 1));
                ++(taken.ok() ? got : refused);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(got, contested);
    EXPECT_EQ(refused, contested * (cpus - 1));
}

}  // namespace
}  // namespace quire::frame_concurrency_test
