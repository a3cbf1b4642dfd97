// SPDX-License-Identifier: MIT
// Four CPUs, each with magazines, while others call these back. What one holds, no other may get;
// in the end nothing is missing.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "quire/phys/per_cpu_frames.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::per_cpu_frames_concurrency_test {
namespace {

constexpr uint64_t frames_total = 700;  // so few that they run out all the time
constexpr unsigned cpus = 4;

// Spins a little and then lets others run: there are more threads than processors.
class PatientLock {
  public:
    void lock() {
        while (!lock_.try_lock())
            std::this_thread::yield();
    }
    void unlock() { lock_.unlock(); }

  private:
    SpinLock lock_;
};

struct ThreadCpu {
    struct Pin {};
    static unsigned index() { return current; }
    static inline thread_local unsigned current = 0;
};

template <Reuse reuse_, unsigned homes_>
struct Kind {
    static constexpr Reuse reuse = reuse_;
    static constexpr unsigned homes = homes_;
};

template <class K>
class PerCpuFramesConcurrentTest : public ::testing::Test {
  protected:
    using Allocator = BasicFrameAllocator<PatientLock, K::homes>;
    using Frames = PerCpuFrames<Allocator, ThreadCpu, K::reuse, 16>;

    PerCpuFramesConcurrentTest()
        : map(test::make_map({{1, frames_total}})),
          boot(*map, test::everything),
          books(Allocator::metadata_bytes(*map).value()),
          owner(frames_total + 1) {
        EXPECT_TRUE(allocator.start(boot, books.span(), test::no_limit).ok());
    }
    // One CPU's work: whether all went well.
    bool work(unsigned cpu) {
        ThreadCpu::current = cpu;
        const auto mark = static_cast<uint8_t>(cpu + 1);
        std::mt19937 random(cpu);
        std::vector<Frame> held;
        bool good = true;
        for (int step = 0; step < 4000 && good; ++step) {
            const bool take = random() % 100 < 55;
            if (take) {
                const auto frame = frames.allocate();
                if (frame.ok()) {
                    good = owner[frame->value()].exchange(mark) == 0;
                    held.push_back(*frame);
                } else {
                    good = frame.error() == Error::out_of_frames;
                    ++failures;
                }
            } else if (!held.empty()) {
                std::swap(held[random() % held.size()], held.back());
                // To another CPU's magazine as often as to the one that it came from.
                good =
                    owner[held.back().value()].exchange(0) == mark && frames.free(held.back()).ok();
                held.pop_back();
            }
            if (random() % 64 == 0) frames.reclaim();
            if (random() % 256 == 0) {
                const auto run = frames.allocate_order(4);
                if (run.ok()) good = good && frames.free(*run).ok();
            }
            // Few frames, so that somebody always finds them gone.
            if (held.size() > 250) {
                for (const Frame frame : held)
                    good =
                        owner[frame.value()].exchange(0) == mark && frames.free(frame).ok() && good;
                held.clear();
            }
        }
        for (const Frame frame : held)
            good = owner[frame.value()].exchange(0) == mark && frames.free(frame).ok() && good;
        frames.drain();
        return good && frames.late_refusals() == 0;
    }

    std::unique_ptr<MemoryMap> map;
    BootFrames boot;
    test::Books books;
    Allocator allocator;
    typename Frames::Slot slots[cpus];
    Frames frames{allocator, slots};
    std::vector<std::atomic<uint8_t>> owner;
    std::atomic<unsigned> failures = 0;
};

struct KindName {
    template <class K>
    static std::string GetName(int) {
        return std::string(K::reuse == Reuse::at_once ? "AtOnce" : "Delayed") +
               std::to_string(K::homes);
    }
};
using Kinds = ::testing::Types<Kind<Reuse::delayed, 1>, Kind<Reuse::delayed, 4>,
                               Kind<Reuse::at_once, 1>, Kind<Reuse::at_once, 2>>;
TYPED_TEST_SUITE(PerCpuFramesConcurrentTest, Kinds, KindName);

TYPED_TEST(PerCpuFramesConcurrentTest, NothingTwiceAndNothingLost) {
    std::atomic<unsigned> good = 0;
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < cpus; ++cpu)
        threads.emplace_back([&, cpu] { good += this->work(cpu) ? 1 : 0; });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(good, cpus);
    EXPECT_EQ(this->allocator.counters().free.value(), frames_total);
    EXPECT_EQ(this->allocator.largest_free_run(), FrameCount(frames_total));
    EXPECT_TRUE(this->allocator.validate().ok());
}

}  // namespace
}  // namespace quire::per_cpu_frames_concurrency_test
