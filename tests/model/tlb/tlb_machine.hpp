// SPDX-License-Identifier: MIT
// Four CPUs with TLBs that forget nothing, which take turns in one thread: the same steps always
// lead to the same interleaving.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fiber.hpp"
#include "quire/base/cpu_local.hpp"
#include "quire/base/lock.hpp"
#include "quire/paging/shootdown.hpp"
#include "quire/platform.hpp"
#include "sim/cpu_core.hpp"
#include "sim/frame_pool.hpp"

namespace quire::model {

inline constexpr unsigned tlb_cpus = 4;

class TlbMachine;

// The machine as the library's policies see it: of the CPU whose turn it is.
struct TlbThisCpu {
    struct Pin {};
    static unsigned index();
};
struct TlbInterrupts {
    static bool disable();
    static void restore(bool before);
};
struct TlbWait {
    static void relax();
};
// With interrupts off, a CPU that waits for a lock answers others itself.
struct TlbLockWait {
    static void relax();
};
struct TlbCpu {
    void flush_page(VirtualAddress address) const;
    void flush_all() const;
    void load_root(Frame root, Pcid pcid, Cached cached) const;
    bool uses_pcids() const;
};
using TlbShootdown = Shootdown<TlbCpu, TlbThisCpu, TlbInterrupts, TlbWait>;

class TlbMachine final : public Platform {
  public:
    TlbMachine(const sim::Mmu& mmu, const sim::Control& control, const sim::CpuShape& shape);

    // The one that the running code drives; each thread has its own.
    static thread_local TlbMachine* driven;

    // Gives a CPU a program, an endless one, and a turn.
    void program(unsigned cpu, std::function<void()> body);
    void turn(unsigned cpu, uint64_t word);
    // Runs something on a CPU outside turns, while the machine is set up.
    template <class What>
    void at_once(unsigned cpu, const What& what) {
        driven = this;
        current_ = cpu;
        what();
    }

    unsigned current() const { return current_; }
    sim::CpuCore& core() { return *cores_[current_]; }
    sim::CpuCore& core(unsigned cpu) { return *cores_[cpu]; }
    uint64_t random() {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return random_ >> 11;
    }
    unsigned below(unsigned limit) { return static_cast<unsigned>(random() % limit); }

    // The end of a CPU's turn: others may run, and then an interrupt may come, or `pause` may not
    // end the turn at all.
    void end_turn();
    void pause() {
        if ((random() & 1) != 0) end_turn();
    }
    bool exchange_interrupts(bool on) { return std::exchange(interrupts_on_[current_], on); }
    void interrupt(const CpuMask& cpus) override;

    // Frames for tables and pages. One that is freed while a TLB still leads to it is a failure.
    Result<Frame> allocate_frame() { return pool_.allocate_frame(); }
    Status free_frame(Frame frame);

    void fail(std::string what) {
        if (failure_.empty()) failure_ = std::move(what);
    }
    const std::string& failure() const { return failure_; }

    // What large pages show lies above what the pool has: so many blocks.
    static constexpr unsigned large_blocks = 6;
    static constexpr uint64_t large_block_frames = 1024;
    static constexpr Frame first_large_block{0x1000};
    static constexpr uint64_t frames = 0x1000 + large_blocks * large_block_frames;
    // A block that nothing shows; none when all are in use.
    std::optional<Frame> take_large_block();
    void give_back_large_block(Frame block);
    // Frames that nothing may lead to any more.
    void check_gone(Frame frame);
    sim::Ram ram{sim::flat_segments(frames * page_size)};
    ShootdownCpu records[tlb_cpus];
    TlbShootdown shootdown{*this, Span<ShootdownCpu>(records)};

  private:
    sim::FramePool pool_{ram,
                         FrameRange(Frame(0x100), FrameCount(0x800)),
                         {sim::FreedFrames::filled_with_junk, true, 5}};
    std::array<std::unique_ptr<sim::CpuCore>, tlb_cpus> cores_;
    std::array<std::unique_ptr<Fiber>, tlb_cpus> fibers_;
    std::array<bool, tlb_cpus> interrupts_on_{};
    std::array<bool, tlb_cpus> interrupted_{};
    std::array<bool, large_blocks> large_in_use_{};
    unsigned current_ = 0;
    bool in_turn_ = false;
    uint64_t random_ = 1;
    std::string failure_;
};

}  // namespace quire::model
