// SPDX-License-Identifier: MIT
// Frames with magazines in front: single frames come and go without a lock, on CPUs' own ground.
//
//   FrameAllocator frames;                                 // started as usual
//   PerCpuFrames<FrameAllocator, MyCpus>::Slot slots[16];  // one a CPU, in memory of the kernel's
//   PerCpuFrames<FrameAllocator, MyCpus> per_cpu(frames, slots);
//
// May be put in front of an allocator at any time, and the allocator can still be used directly.
// What lies in magazines counts as given out there.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/cpu_local.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/phys/frame_magazines.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

// How to hurry a CPU that frames are wanted back from, for kernels that can.
class CpuCaller {
  public:
    // Has that CPU call `answer()` soon, by an interrupt for example. Called with the caller pinned
    // and no lock held.
    virtual void call(unsigned cpu) = 0;

  protected:
    ~CpuCaller() = default;
};

// A BasicFrameAllocator behind, a policy that says which CPU this is, and how frames are reused.
// The policy's Pin keeps away whatever else allocates on this CPU: preemption, and interrupts when
// handlers allocate. `batch` frames at a time go from and to the blocks, fewer when they lie in
// more than 10 of these: so no operation takes much longer than others.
//
// A frame freed a second time is refused at once when it went back to its block from here, and
// mostly when it lies in this CPU's magazines. When it lies in another's, or this CPU gave it out
// and it went back otherwise since the last drain, only once it comes back (late_refusals), and it
// may have been given out a second time by then. CountedFrames, where used, notices all.
template <class Frames, CpuPolicy Cpus, Reuse reuse = Reuse::delayed, size_t batch = 64>
class PerCpuFrames {
  public:
    using Magazines = FrameMagazines<reuse, batch>;
    using Slot = typename CpuLocal<Magazines, Cpus>::Slot;

    // One slot for each CPU; they and the allocator must outlive this object. Single frames asked
    // for with this mobility, from whatever zone, are served from the magazines.
    PerCpuFrames(Frames& frames, Span<Slot> slots, Mobility mobility = Mobility::unmovable,
                 CpuCaller* caller = nullptr)
        : frames_(frames), slots_(slots), mobility_(mobility), caller_(caller) {
        for (unsigned cpu = 0; cpu < slots_.size(); ++cpu)
            set_node(cpu, 0);
    }
    PerCpuFrames(const PerCpuFrames&) = delete;
    PerCpuFrames& operator=(const PerCpuFrames&) = delete;

    // Says which node a CPU is on, before it uses this object.
    void set_node(unsigned cpu, Node node) { slots_[cpu].value.home = frames_.home_for(cpu, node); }

    // One frame. Error::out_of_frames when there is none left either here or with the other CPUs,
    // as far as these answered. O(1), and O(batch) now and then.
    Result<Frame> allocate(Zone zone = Zone::high) {
        if (zone != Zone::high) return allocate(zone, mobility_);
        const typename Cpus::Pin pin;
        Magazines& mine = magazines(pin);
        Frame frame;
        if (!mine.frames.take(mine.limit, frame)) [[unlikely]]
            return allocate_slowly(mine);
        mine.recent.went(frame);
        return frame;
    }
    Result<Frame> allocate(Zone zone, Mobility mobility, Urgency urgency = Urgency::normal) {
        const bool served = zone == Zone::high && mobility == mobility_;
        if (served && urgency == Urgency::normal) return allocate();
        return with_reclaim([&] { return frames_.allocate(zone, mobility, urgency); });
    }
    // As those of the allocator; what lies in magazines is called back before out_of_frames is
    // said, or in_use.
    Result<FrameRange> allocate_order(unsigned order, Zone zone = Zone::high,
                                      Mobility mobility = Mobility::unmovable) {
        return with_reclaim([&] { return frames_.allocate_order(order, zone, mobility); });
    }
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints = {}) {
        return with_reclaim([&] { return frames_.allocate_run(count, constraints); });
    }
    Status allocate_at(const FrameRange& frames) {
        return with_reclaim([&] { return frames_.allocate_at(frames); });
    }
    Status allocate_batch(Span<Frame> frames, Zone zone = Zone::high) {
        return with_reclaim([&] { return frames_.allocate_batch(frames, zone); });
    }

    // Gives back a frame, however it was asked for. Errors as the allocator's, nothing changed; see
    // above for what is noticed when. O(1), and O(batch) now and then.
    Status free(Frame frame) {
        const typename Cpus::Pin pin;
        Magazines& mine = magazines(pin);
        const bool plain = mine.recent.is_given_out(frame) || is_plainly_given_out(mine, frame);
        if (!plain || !mine.frames.put(mine.limit, frame)) [[unlikely]]
            return free_slowly(mine, frame);
        mine.recent.came(frame);
        return {};
    }
    Status free(const FrameRange& frames) { return frames_.free(frames); }
    Status free_batch(Span<const Frame> frames) { return frames_.free_batch(frames); }

    // For the source of page tables and the like (see FrameSource in paging).
    Result<Frame> allocate_frame() { return allocate(); }
    Result<Frame> allocate_frame_up_to(Frame highest) {
        return frames_.allocate_frame_up_to(highest);
    }
    Status free_frame(Frame frame) { return free(frame); }

    // Gives back all that this CPU keeps: before it goes to sleep, is taken off line, or when
    // frames are counted. O(batch).
    void drain() {
        const typename Cpus::Pin pin;
        give_up(magazines(pin));
    }
    // The same when others have asked for it, otherwise nothing: what a CpuCaller has a CPU call.
    void answer() {
        const typename Cpus::Pin pin;
        Magazines& mine = magazines(pin);
        if (mine.limit.asked()) give_up(mine);
    }
    // Gives back what this CPU keeps and asks all others to, and waits a while for their answers. A
    // CPU answers when it next allocates or frees, or when it is called.
    void reclaim() {
        const typename Cpus::Pin pin;
        reclaim(magazines(pin));
    }

    // How many frames this CPU found not to be given out when they went back to their blocks: each
    // was freed twice. O(1).
    size_t late_refusals() const {
        const typename Cpus::Pin pin;
        return magazines(pin).refused;
    }
    Frames& allocator() { return frames_; }

  private:
    // Turns of a wait loop before a CPU is taken not to answer.
    static constexpr unsigned patience = 1u << 12;
    // Blocks that one operation touches.
    static constexpr unsigned most_blocks = 10;

    Magazines& magazines(const typename Cpus::Pin&) const {
        // Checked where that is paid for: each pair of operations comes here twice.
        const unsigned cpu = Cpus::index();
        if constexpr (debug_checks) return slots_[cpu].value;
        return slots_.data()[cpu].value;
    }
    // What is seen of a frame's word is kept for its neighbours, until frames are given back.
    bool is_plainly_given_out(Magazines& mine, Frame frame) const {
        if (mine.recent.is_here(frame)) return false;
        if (mine.near.has(frame)) return true;
        mine.near = frames_.plainly_given_out_near(frame);
        return mine.near.has(frame);
    }
    static bool holds(const Magazines& mine, Frame frame) {
        for (const Frame here : mine.frames.rest())
            if (here == frame) return true;
        if constexpr (reuse == Reuse::delayed) {
            for (const Frame here : mine.frames.returned())
                if (here == frame) return true;
        }
        return false;
    }

    // Others' request is answered, the magazine refilled.
    [[gnu::noinline, gnu::cold]] Result<Frame> allocate_slowly(Magazines& mine) {
        if (mine.limit.asked()) give_up(mine);
        if (!take_next(mine)) {
            // What this CPU keeps may do, before a whole block is broken.
            give_up(mine);
            if (!take_next(mine) && !take_batch(mine)) {
                reclaim(mine);
                take_batch(mine);
            }
        }
        Frame frame;
        if (!mine.frames.take(mine.limit, frame)) return Failure{Error::out_of_frames, 1};
        mine.recent.went(frame);
        return frame;
    }
    // The frame is looked at closely, others' request is answered, room is made.
    [[gnu::noinline, gnu::cold]] Status free_slowly(Magazines& mine, Frame frame) {
        if (!frames_.may_be_given_out(frame)) return frames_.free(frame);
        const bool back_already = mine.recent.is_here(frame) && holds(mine, frame);
        if (back_already) return Failure{Error::already_free, frame.value()};
        if (mine.limit.asked()) give_up(mine);
        if (!mine.frames.put(mine.limit, frame)) {
            if (const size_t turned = turn_round(mine)) mine.frames.refilled(turned);
            if (mine.frames.surplus().size() > batch / 2) give_surplus(mine);
            if (!mine.frames.put(mine.limit, frame)) return frames_.free(frame);
        }
        mine.recent.came(frame);
        return {};
    }
    // Frames of used blocks, those first that are on their way back to such; whether there are any.
    bool take_next(Magazines& mine) {
        const size_t turned = turn_round(mine);
        if (turned != 0 && !mine.frames.surplus().empty()) give_surplus(mine);
        const Span<Frame> room = mine.frames.room();
        if (turned == room.size()) return refilled(mine, turned, 0);
        return refilled(
            mine, turned,
            frames_.allocate_from_used_blocks(room.subspan(turned, room.size() - turned),
                                              Zone::high, mobility_, mine.home, most_blocks));
    }
    bool take_batch(Magazines& mine) {
        return refilled(mine, 0,
                        frames_.allocate_some(mine.frames.room(), Zone::high, mobility_, mine.home,
                                              most_blocks));
    }
    bool refilled(Magazines& mine, size_t turned, size_t taken) {
        for (const Frame frame : mine.frames.room().subspan(turned, taken))
            mine.recent.came(frame);
        mine.frames.refilled(turned + taken);
        return turned + taken != 0;
    }
    // When none waits to go out, those on their way back that would be taken again next are moved
    // to the front of the room for these: how many.
    size_t turn_round(Magazines& mine) {
        if constexpr (reuse == Reuse::delayed) {
            if (!mine.frames.none_waits()) return 0;
            const size_t moved = frames_.pick_next(mine.frames.unjudged(), Zone::high, mobility_,
                                                   mine.home, mine.frames.room().data());
            mine.frames.judged(moved);
            return moved;
        }
        return 0;
    }
    void give_surplus(Magazines& mine) {
        give_back(mine, frames_.of_one_home(mine.frames.surplus(), most_blocks), most_blocks);
    }
    // The first of the surplus, from as many blocks.
    void give_back(Magazines& mine, Span<const Frame> frames, unsigned blocks) {
        mine.near = {};
        const auto freed = frames_.free_some(frames, blocks);
        mine.refused += freed.refused;
        mine.frames.drop_surplus(freed.done);
    }
    void give_up(Magazines& mine) {
        give_back(mine, mine.frames.surplus(), UINT32_MAX);
        mine.refused += frames_.free_some(mine.frames.rest());
        mine.frames.drop_rest();
        mine.recent = RecentFrames();
        mine.limit.answer(Magazines::Magazines::capacity);
    }
    [[gnu::noinline]] void reclaim(Magazines& mine) {
        give_up(mine);
        for (unsigned cpu = 0; cpu < slots_.size(); ++cpu) {
            Magazines& other = slots_[cpu].value;
            if (&other == &mine) continue;
            other.limit.ask();
            if (caller_ != nullptr) caller_->call(cpu);
        }
        for (unsigned turn = 0; turn < patience && !all_answered(mine); ++turn) {
            // Those asked may be waiting for this CPU, which has nothing left.
            if (mine.limit.asked()) give_up(mine);
            cpu_relax();
        }
    }
    bool all_answered(const Magazines& mine) const {
        for (unsigned cpu = 0; cpu < slots_.size(); ++cpu) {
            const Magazines& other = slots_[cpu].value;
            if (&other != &mine && other.limit.asked()) return false;
        }
        return true;
    }

    static bool may_be_in_magazines(Error error) {
        return error == Error::out_of_frames || error == Error::in_use;
    }
    // What a request gives, once more after a reclaim when what lies in magazines may be missing.
    template <class Request>
    auto with_reclaim(Request request) {
        // One result, so that it is made where the caller wants it.
        auto result = request();
        if (!result.ok() && may_be_in_magazines(result.error())) [[unlikely]]
            result = reclaim_before(request);
        return result;
    }
    // Apart, so that the first try is compiled into a caller that knows the order.
    template <class Request>
    [[gnu::noinline, gnu::cold]] auto reclaim_before(Request& request) {
        reclaim();
        return request();
    }

    Frames& frames_;
    Span<Slot> slots_;
    Mobility mobility_;
    CpuCaller* caller_;
};

}  // namespace quire
