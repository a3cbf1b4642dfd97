// SPDX-License-Identifier: MIT
// The one part of the frame allocator that is not under a lock: others reclaim what a CPU keeps in
// its magazines by setting its limit to zero, and wait until it has met that and given all back.
// PerCpuFrames, FrameMagazines and SpinLock are the library's own, over Relacy's atomics (seam/);
// Relacy runs them in many interleavings, each load with any value that the memory model allows.
// Frames are lost or given out twice in none of them, and a reclaim ends, with all that was kept.
//
//   magazines ITERATIONS [BREAK]
//
// Random interleavings of each scenario; fails at the first that breaks a rule. BREAK says in which
// way the headers are to be broken, when `run` has prepared them for that.
#include "quire/base/atomic.hpp"  // the seam, before all else

#include <stdint.h>
#include <stdlib.h>

#include "quire/base/lock.hpp"
#include "quire/phys/per_cpu_frames.hpp"

namespace quire {

int broken = -1;

namespace {

constexpr unsigned cpus = 2;
constexpr size_t frames_in_all = 2;  // one CPU can keep all
constexpr size_t batch = 2;

struct Yield {
    static void relax() { rl::yield(1, $); }
};
using Lock = BasicSpinLock<Yield>;

// An allocator behind the magazines with as much as these need: a bit a frame, one lock, and a
// number of free frames that is looked at without it, as FrameCore::seems_empty does.
class FewFrames {
  public:
    struct Freed {
        size_t done;
        size_t refused;
    };

    FewFrames() {
        for (auto& one : is_free_)
            one($) = 1u;
    }
    unsigned home_for(unsigned, Node) const { return 0; }
    FrameMask plainly_given_out_near(Frame) { return {}; }  // free_slowly looks at each
    bool may_be_given_out(Frame) const { return true; }
    size_t pick_next(Span<Frame>, Zone, Mobility, unsigned, Frame*) { return 0; }
    Result<Frame> allocate(Zone, Mobility, Urgency) { return Failure{Error::out_of_frames, 1}; }
    size_t allocate_from_used_blocks(Span<Frame>, Zone, Mobility, unsigned, unsigned) { return 0; }
    size_t allocate_some(Span<Frame> out, Zone, Mobility, unsigned, unsigned) {
        if (seems_empty()) return 0;
        const LockGuard<Lock> guard(lock_);
        return take(out);
    }
    Status allocate_batch(Span<Frame> out, Zone) {
        if (seems_empty()) return Failure{Error::out_of_frames, out.size()};
        const LockGuard<Lock> guard(lock_);
        const size_t taken = take(out);
        if (taken == out.size()) return {};
        give({out.data(), taken});
        return Failure{Error::out_of_frames, out.size()};
    }
    Status free(Frame frame) {
        const LockGuard<Lock> guard(lock_);
        give({&frame, 1});
        return {};
    }
    Status free_batch(Span<const Frame> frames) {
        const LockGuard<Lock> guard(lock_);
        give(frames);
        return {};
    }
    Span<const Frame> of_one_home(Span<Frame> frames, unsigned) { return frames; }
    Freed free_some(Span<const Frame> frames, unsigned) {
        if (frames.empty()) return {0, 0};
        const LockGuard<Lock> guard(lock_);
        give(frames);
        return {frames.size(), 0};
    }
    size_t free_some(Span<const Frame> frames) { return free_some(frames, 0).refused; }
    bool all_are_free() const { return free_.load() == frames_in_all; }

  private:
    bool seems_empty() const { return free_.load(MemoryOrder::relaxed) == 0; }
    size_t take(Span<Frame> out) {
        size_t taken = 0;
        for (size_t i = 0; i < frames_in_all && taken < out.size(); ++i) {
            if (is_free_[i]($) == 0u) continue;
            is_free_[i]($) = 0u;
            out[taken++] = Frame(i);
        }
        free_.store(free_.load(MemoryOrder::relaxed) - taken, MemoryOrder::relaxed);
        return taken;
    }
    void give(Span<const Frame> frames) {
        for (const Frame frame : frames) {
            auto& one = is_free_[static_cast<size_t>(frame.value())];
            RL_ASSERT(one($) == 0u);  // a frame that was kept twice
            one($) = 1u;
        }
        free_.store(free_.load(MemoryOrder::relaxed) + frames.size(), MemoryOrder::relaxed);
    }

    Lock lock_;
    Atomic<size_t> free_{frames_in_all};
    rl::var<unsigned> is_free_[frames_in_all];  // Relacy knows who may touch it
};

// Relacy's threads are the CPUs.
struct Threads {
    struct Pin {};
    static unsigned index() { return rl::thread_index(); }
};
using Front = PerCpuFrames<FewFrames, Threads, Reuse::delayed, batch>;

// Who has been given which frame, beyond doubt.
class Holders {
  public:
    void got(Frame frame) {
        bool& held = held_[static_cast<size_t>(frame.value())];
        RL_ASSERT(!held);  // given out twice
        held = true;
    }
    void put(Frame frame) { held_[static_cast<size_t>(frame.value())] = false; }

  private:
    bool held_[frames_in_all] = {};
};

struct Machine {
    FewFrames behind;
    Front::Slot slots[cpus];
    Front front{behind, slots};
    Holders holders;
    Atomic<unsigned> done{0};  // CPUs that hold nothing and want nothing more

    // Gets two frames, or as many as there are, and frees them. How many there were.
    unsigned use_two() {
        Frame mine[2];
        unsigned count = 0;
        while (count < 2) {
            const Result<Frame> frame = front.allocate();
            if (!frame.ok()) break;
            holders.got(*frame);
            mine[count++] = *frame;
        }
        for (unsigned i = 0; i < count; ++i) {
            holders.put(mine[i]);
            RL_ASSERT(front.free(mine[i]).ok());
        }
        return count;
    }
    // Wants every frame there is, and frees them. Whether there were all.
    bool use_all() {
        Frame all[frames_in_all];
        if (!front.allocate_batch(all).ok()) return false;
        for (const Frame frame : all)
            holders.got(frame);
        for (const Frame frame : all)
            holders.put(frame);
        return front.free_batch(all).ok();
    }
    void answer_until_done(unsigned cpus_done) {
        while (done.load() < cpus_done) {
            front.answer();
            rl::yield(1, $);
        }
    }
    void wait_until_done(unsigned cpus_done) {
        while (done.load() < cpus_done)
            rl::yield(1, $);
    }
};

// CPU 0 works, then idles and answers when it is called; CPU 1 wants all there is, at any time and
// once more when CPU 0 keeps frames that nobody uses: then it must get them.
struct WorksAndAnswers : rl::test_suite<WorksAndAnswers, cpus> {
    Machine machine;

    void thread(unsigned cpu) {
        if (cpu == 0) {
            machine.use_two();
            machine.use_two();
            machine.done.fetch_add(1, MemoryOrder::relaxed);
            machine.answer_until_done(2);
            machine.front.drain();
        } else {
            machine.use_all();
            machine.answer_until_done(1);
            RL_ASSERT(machine.use_all());
            machine.done.fetch_add(1);
        }
    }
    void after() { RL_ASSERT(machine.behind.all_are_free()); }
};

// Both work, run out and reclaim from one another at the same time.
struct BothReclaim : rl::test_suite<BothReclaim, cpus> {
    Machine machine;

    void thread(unsigned) {
        machine.use_two();
        machine.use_two();
        machine.done.fetch_add(1);
        machine.answer_until_done(2);
        machine.front.drain();
    }
    void after() { RL_ASSERT(machine.behind.all_are_free()); }
};

// CPU 0 goes off line with nothing kept, and does not answer: who reclaims does not wait for ever,
// and gets all. CPU 0 comes back with the request still standing, and can work.
struct GoesOffLine : rl::test_suite<GoesOffLine, cpus> {
    Machine machine;

    void thread(unsigned cpu) {
        if (cpu == 0) {
            machine.use_two();
            machine.front.drain();
            machine.done.fetch_add(1, MemoryOrder::release);
            machine.wait_until_done(2);
            RL_ASSERT(machine.use_two() == 2);
            machine.front.drain();
        } else {
            machine.use_all();
            machine.wait_until_done(1);
            RL_ASSERT(machine.use_all());
            machine.front.reclaim();
            machine.done.fetch_add(1);
        }
    }
    void after() { RL_ASSERT(machine.behind.all_are_free()); }
};

template <class Suite>
bool holds(unsigned long iterations) {
    rl::test_params params;
    params.iteration_count = iterations;
    params.execution_depth_limit = 200'000;
    return rl::simulate<Suite>(params);
}

}  // namespace
}  // namespace quire

int main(int count, char** arguments) {
    if (count < 2) return 2;
    if (count > 2) quire::broken = atoi(arguments[2]);
    const unsigned long iterations = strtoul(arguments[1], nullptr, 10);
    const bool good = quire::holds<quire::WorksAndAnswers>(iterations) &&
                      quire::holds<quire::BothReclaim>(iterations) &&
                      quire::holds<quire::GoesOffLine>(iterations / 100);
    return good ? 0 : 1;
}
