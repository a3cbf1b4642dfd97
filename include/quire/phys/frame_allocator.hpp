// SPDX-License-Identifier: MIT
// The owner of physical frames for ever after boot.
//
// Started from the canonical map and from what BootFrames gave out. All bookkeeping lies in memory
// that the caller supplies and may be mapped anywhere: the allocator never touches the frames
// themselves. Every operation either does all it says or changes nothing.
//
// Frames are known by three states: free, given out, and reserved. What firmware or kernel reserved
// when the map was built is never given out; a part of it may be released later.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/lock.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_core.hpp"
#include "quire/phys/frame_types.hpp"

namespace quire {

// L excludes other CPUs and interrupt handlers as the kernel needs it. Each operation holds it from
// start to end; with several homes there is one lock for each, operations on single frames hold one
// at a time, and the others hold all. Before `start`, there are no frames: every request ends in
// out_of_frames and every frame is out_of_range. On i386 at most 560 bytes of stack; 320 for single
// frames.
//
// Homes are parts of memory that CPUs turn to first: with more than one, they spread over the nodes
// of the topology given at start, and CPUs of one node share its homes. PerCpuFrames says which CPU
// asks; requests made here directly prefer the first home, or that of the node they name.
template <Lockable L, unsigned HomeCount = 1>
    requires(HomeCount >= 1 && HomeCount <= most_homes)
class BasicFrameAllocator {
  public:
    // Bytes of metadata wanted for a map, whatever the direct map's limit. At most 0.3 bytes for
    // each frame of the usable hull (large holes are free), plus 16 KiB and 3 KiB a home.
    // O(entries).
    static Bytes metadata_bytes(const MemoryMap& map, const FrameTopology& topology = {}) {
        return FrameCore::metadata_bytes(map, topology, HomeCount);
    }

    BasicFrameAllocator() = default;

    // Takes over all usable frames of `boot.map()` but those that `boot` gave out, which become
    // allocated, and closes `boot`. The map must stay: release_reserved and validate read it; so
    // must the topology's ranges. `metadata` must have metadata_bytes(map, topology) bytes, 64-byte
    // aligned, and stays in use for ever; it is written when blocks are first used.
    // `direct_limit`: the first frame the direct map does not show. Errors, and no change:
    // bad_argument (metadata too small, more than 2^32 blocks, more nodes than homes, distances not
    // nodes x nodes, `boot` closed, or started twice), misaligned. O(entries), and a byte for each
    // 128 MiB.
    Status start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit,
                 const FrameTopology& topology = {}) {
        AllHomes guard(*this);
        return core_.start(boot, metadata, direct_limit, topology, HomeCount);
    }

    // One frame. Error::out_of_frames. O(1) but for index upkeep.
    Result<Frame> allocate(Zone zone = Zone::high, Mobility mobility = Mobility::unmovable,
                           Urgency urgency = Urgency::normal) {
        Frame frame;
        if (!permits(1, urgency)) return Failure{Error::out_of_frames, 1};
        if (!take_hole(0, zone, mobility, frame)) return Failure{Error::out_of_frames, 1};
        watch();
        return frame;
    }
    // As many single frames as `frames` has room for, or fewer when there are not so many: how
    // many, written to its front. `home` is asked first, then the others by distance; no home
    // breaks a whole block while another one of its node has frames of used ones. O(frames).
    size_t allocate_some(Span<Frame> frames, Zone zone = Zone::high,
                         Mobility mobility = Mobility::unmovable, unsigned home = 0,
                         unsigned most_blocks = UINT32_MAX) {
        const size_t wanted = permitted(frames.size());
        size_t taken = 0;
        for (size_t i = static_cast<size_t>(zone) + 1; i-- > 0 && taken < wanted;) {
            ask_homes([&](unsigned n, Reach reach) {
                taken += take_some(frames.subspan(taken, wanted - taken), static_cast<Zone>(i),
                                   mobility, core_.nth_home(home, n), reach, most_blocks);
                return taken == wanted;
            });
        }
        watch();
        return taken;
    }
    // As `allocate_some`, but breaks no whole block, and looks at the best zone alone that has any
    // frames and at the homes of one node, until one of these had some: may return 0 when there are
    // others. O(frames).
    size_t allocate_from_used_blocks(Span<Frame> frames, Zone zone, Mobility mobility,
                                     unsigned home, unsigned most_blocks) {
        const Span<Frame> room = frames.first(permitted(frames.size()));
        size_t i = static_cast<size_t>(zone);
        while (i > 0 && core_.seems_empty(static_cast<Zone>(i)))
            --i;
        size_t taken = 0;
        // A home that had few would be asked again soon.
        const size_t enough = (room.size() + 3) / 4;
        for (unsigned n = 0; n < (HomeCount == 1 ? 1 : core_.homes_of_node()) && taken < enough;
             ++n)
            taken += take_some(room.subspan(taken, room.size() - taken), static_cast<Zone>(i),
                               mobility, core_.nth_home(home, n), Reach::used_blocks, most_blocks);
        if (taken != 0) watch();
        return taken;
    }
    // 2^order frames, naturally aligned. Error::out_of_frames, bad_argument (order too large for
    // any memory). O(1) up to order 9, as below above that.
    Result<FrameRange> allocate_order(unsigned order, Zone zone = Zone::high,
                                      Mobility mobility = Mobility::unmovable,
                                      Urgency urgency = Urgency::normal) {
        // A choice that is made where the order is known, as it mostly is.
        if (order == block_order) return allocate_whole(zone, mobility, urgency);
        return allocate_hole(order, zone, mobility, urgency);
    }
    // `count` frames that follow one another, under conditions. A run may reach from one permitted
    // zone into the next when it fits in neither. Errors: zero_size, misaligned (alignment or
    // boundary not a power of two), bad_argument (a run longer than its boundary, a node
    // that does not exist), out_of_frames.
    // O(1) when the run fits in a hole of its size rounded up to a power of two and that meets
    // the conditions; O(blocks) otherwise, and for out_of_frames.
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints = {}) {
        const bool permitted = permits(count.value(), constraints.urgency);
        if (!permitted) return Failure{Error::out_of_frames, count.value()};
        const Result<FrameRange> run = allocate_run_locked(count, constraints);
        watch();
        return run;
    }
    // Exactly these frames, of the reserve or not. Errors: zero_size, out_of_range, reserved,
    // in_use; each names the first frame that stands in the way. O(blocks of the range).
    Status allocate_at(const FrameRange& frames) {
        AllHomes guard(*this);
        return core_.allocate_at(frames);
    }
    // As many single frames as `frames` has room for, or none: Error::out_of_frames, and `frames`
    // is not written to. O(frames).
    Status allocate_batch(Span<Frame> frames, Zone zone = Zone::high) {
        if (!permits(frames.size(), Urgency::normal)) {
            return Failure{Error::out_of_frames, frames.size()};
        }
        const Status taken = allocate_batch_locked(frames, zone);
        watch();
        return taken;
    }

    // Give back any frames that were given out, in whole or in part, however they were asked for.
    // Errors, nothing changed: zero_size, out_of_range, reserved (never given out), already_free
    // (a frame that occurs twice in a batch as well). Each names the first frame concerned.
    // O(blocks of the range), O(frames).
    Status free(Frame frame) {
        const Status freed = free_locked(frame);
        watch();
        return freed;
    }
    // Gives back those of many frames that were given out, home by home as they come, and passes
    // over the others: how many were not given out. O(frames).
    size_t free_some(Span<const Frame> frames) { return free_some(frames, UINT32_MAX).refused; }
    struct Freed {
        size_t done;     // from the front, given back or passed over
        size_t refused;  // of these: passed over
    };
    // Of many frames, those of the home of the first that lie in `most_blocks` blocks, moved to the
    // front: they can be given back under one lock. O(frames).
    Span<const Frame> of_one_home(Span<Frame> frames, unsigned most_blocks) const {
        if (HomeCount == 1 || frames.empty()) return frames;
        const unsigned home = core_.home_of(frames[0]);
        size_t found = 0;
        uint64_t block = UINT64_MAX;
        for (Frame& frame : frames) {
            if (core_.home_of(frame) != home) continue;
            if (frame.value() >> block_order != block && most_blocks-- == 0) break;
            block = frame.value() >> block_order;
            const Frame mine = frame;
            frame = frames.data()[found];
            frames.data()[found++] = mine;
        }
        return frames.first(found);
    }
    // The same until `most_blocks` blocks have been changed, which is at least 1.
    Freed free_some(Span<const Frame> frames, unsigned most_blocks) {
        Freed freed{0, 0};
        while (freed.done < frames.size() && most_blocks != 0) {
            const unsigned home = core_.home_of(frames[freed.done]);
            LockGuard guard(locks_[home].lock);
            const size_t given = core_.give_some(
                frames.subspan(freed.done, frames.size() - freed.done), home, most_blocks);
            freed.done += given;
            if (given != 0) continue;
            ++freed.refused;
            ++freed.done;
        }
        watch();
        return freed;
    }
    // Of frames that were given out, those that the next requests for single frames would be served
    // with by their homes if they were given back, or others as good: they stay given out, and are
    // moved to `next`, which has room for all; the others are moved to the front. How many were
    // moved. `home`, `zone` and `mobility` are those of the requests. Takes no lock, and so may
    // judge by what was true a moment ago. O(frames).
    size_t pick_next(Span<Frame> frames, Zone zone, Mobility mobility, unsigned home,
                     Frame* next) const {
        return core_.pick_next(frames, zone, home, mobility, next);
    }
    // False when the frame certainly was not given out. Takes no lock, so that an answer of true
    // says nothing of frames that others give back meanwhile. O(1).
    bool may_be_given_out(Frame frame) const { return core_.may_be_given_out(frame); }
    // Of the 64 frames that a frame lies among, those that were given out, where that is seen at a
    // glance; otherwise none.
    FrameMask plainly_given_out_near(Frame frame) const {
        return core_.plainly_given_out_near(frame);
    }
    // The home for a CPU on a node; CPUs of one node take turns. O(1).
    unsigned home_for(unsigned cpu, Node node = 0) const { return core_.home_for(cpu, node); }
    Status free(const FrameRange& frames) {
        const Status freed = free_locked(frames);
        watch();
        return freed;
    }
    Status free_batch(Span<const Frame> frames) {
        const Status freed = free_batch_locked(frames);
        watch();
        return freed;
    }

    // Frames that were reserved when the map was built and no longer need to be (the kinds of
    // is_releasable: boot information, modules, ACPI tables read): from now on free. The caller
    // vouches that it is memory. Errors, nothing changed, naming the first frame concerned:
    // zero_size, out_of_range (also what lies over 32 MiB outside the usable hull), reserved (for
    // a reason that stays), in_use (usable already). O(map entries + blocks of the range).
    Status release_reserved(const FrameRange& frames) {
        AllHomes guard(*this);
        return core_.release_reserved(frames);
    }

    // Takes free frames out of use, as bad memory or memory that will be pulled: from now on they
    // are reserved. Errors, nothing changed: as allocate_at; reserved as well for frames that were
    // released; too_many, when more than 16 blocks would be off line in part. O(blocks of the
    // range).
    Status offline(const FrameRange& frames) {
        AllHomes guard(*this);
        return core_.offline(frames);
    }
    // Brings such frames back. Memory that may be plugged in later stands in the map as usable and
    // is taken off line right after the start. Errors, nothing changed: zero_size, out_of_range,
    // reserved (not usable by the map), in_use (on line; the first such frame), too_many.
    Status online(const FrameRange& frames) {
        AllHomes guard(*this);
        return core_.online(frames);
    }

    // From now on, normal requests leave `reserve` frames, and `pressure`, when there is one, is
    // told of the other marks. Other CPUs' requests at the same moment may be seen too late by a
    // few frames. Error::bad_argument when `high` lies below `low`. O(1); off again with no marks.
    Status set_watermarks(const FrameWatermarks& marks, FramePressure* pressure = nullptr) {
        if (marks.high < marks.low) return Failure{Error::bad_argument, marks.high.value()};
        AllHomes guard(*this);
        atomic::store(reserve_, static_cast<size_t>(marks.reserve.value()));
        atomic::store(low_, static_cast<size_t>(marks.low.value()));
        atomic::store(high_, static_cast<size_t>(marks.high.value()));
        atomic::store(pressure_, pressure);
        return {};
    }

    // For the source of page tables and the like (see FrameSource in paging).
    [[gnu::flatten]] Result<Frame> allocate_frame() { return allocate(); }
    Result<Frame> allocate_frame_up_to(Frame highest) {
        const Result<FrameRange> run =
            allocate_run(FrameCount(1), FrameConstraints{.highest = highest});
        if (!run.ok()) return run.failure();
        return run->first();
    }
    Status free_frame(Frame frame) { return free(frame); }

    // False as well for frames that are reserved or do not exist. O(log sections).
    bool is_free(Frame frame) const {
        AllHomes guard(*this);
        return core_.is_free(frame);
    }
    // The zone that a frame with this number is or would be in. O(1).
    Zone zone_of(Frame frame) const {
        AllHomes guard(*this);
        return core_.zone_of(frame);
    }
    // O(1).
    FrameCounters counters() const {
        AllHomes guard(*this);
        return core_.counters();
    }
    // How many frames, how many of them free, how many whole blocks. O(pools).
    FrameStatistics statistics() const {
        AllHomes guard(*this);
        return core_.statistics();
    }
    // Holes by order. O(blocks).
    HoleHistogram holes() const {
        AllHomes guard(*this);
        return core_.holes();
    }
    // The most frames that allocate_run could give out at once. O(blocks).
    FrameCount largest_free_run() const {
        AllHomes guard(*this);
        return core_.largest_free_run();
    }

    // Checks every invariant against the bitmaps: counters, index, hole sizes, reserved frames.
    // Error::corrupted with the first frame of the block concerned, or with the value that
    // disagrees when it is no single block's. O(frames / 64).
    Status validate() const {
        AllHomes guard(*this);
        return core_.validate();
    }

  private:
    // On lines of their own, or each turn of a lock would take from other CPUs what they read at
    // every free.
    struct alignas(cache_line) Home {
        L lock;
    };
    // Holds the locks of all homes, taken in ascending order.
    class AllHomes {
      public:
        explicit AllHomes(const BasicFrameAllocator& frames) : frames_(frames) {
            for (Home& home : frames_.locks_)
                home.lock.lock();
        }
        ~AllHomes() {
            for (unsigned i = HomeCount; i-- > 0;)
                frames_.locks_[i].lock.unlock();
        }
        AllHomes(const AllHomes&) = delete;
        AllHomes& operator=(const AllHomes&) = delete;

      private:
        const BasicFrameAllocator& frames_;
    };

    // Asks homes by number: those of one node for frames of used blocks before any of them breaks a
    // whole one, then those of the next. Until `take` says that it has all that it wants.
    template <class Take>
    bool ask_homes(Take take) {
        const unsigned share = HomeCount == 1 ? 1 : core_.homes_of_node();
        for (unsigned first = 0; first < HomeCount; first += share) {
            const unsigned end = min(first + share, HomeCount);
            for (unsigned n = share == 1 ? end : first; n < end; ++n)
                if (take(n, Reach::used_blocks)) return true;
            for (unsigned n = first; n < end; ++n)
                if (take(n, Reach::all_blocks)) return true;
        }
        return false;
    }
    // Single frames of a zone and one home: how many.
    size_t take_some(Span<Frame> room, Zone zone, Mobility mobility, unsigned home, Reach reach,
                     unsigned& blocks_left) {
        if (blocks_left == 0 || core_.seems_empty(zone, home, reach)) return 0;
        LockGuard guard(locks_[home].lock);
        return core_.take_some(zone, home, mobility, reach, room.data(), room.size(), blocks_left);
    }
    // 2^order frames, at most a block, from the first home that has them in the best zone that has
    // any frames: those of several may lie across the end of that zone, if it has none.
    bool take_hole(unsigned order, Zone zone, Mobility mobility, Frame& frame) {
        bool none_so_far = true;
        for (size_t i = static_cast<size_t>(zone) + 1; i-- > 0 && (none_so_far || order == 0);) {
            const Zone here = static_cast<Zone>(i);
            const bool taken = ask_homes([&](unsigned home, Reach reach) {
                if (core_.seems_empty(here, home, reach)) return false;
                none_so_far = false;
                LockGuard guard(locks_[home].lock);
                if (reach == Reach::all_blocks) core_.keep_one_whole(here, home);
                return core_.take_hole({here, mobility, reach}, home, order, frame);
            });
            if (taken) return true;
        }
        return false;
    }
    // The same for a whole block, which has a way of its own: hardly more than a list's first.
    bool take_whole(Zone zone, Mobility mobility, Frame& frame) {
        for (size_t i = static_cast<size_t>(zone) + 1; i-- > 0;) {
            bool none_so_far = true;
            for (unsigned home = 0; home < HomeCount; ++home) {
                if (core_.seems_empty(static_cast<Zone>(i), home)) continue;
                none_so_far = false;
                LockGuard guard(locks_[home].lock);
                if (core_.take_whole(static_cast<Zone>(i), home, mobility, frame)) return true;
            }
            if (!none_so_far) break;
        }
        return false;
    }

    [[gnu::noinline]] Result<FrameRange> allocate_hole(unsigned order, Zone zone, Mobility mobility,
                                                       Urgency urgency) {
        Frame frame;
        const bool taken = order < block_order && permits(uint64_t{1} << order, urgency) &&
                           take_hole(order, zone, mobility, frame);
        if (!taken) return allocate_order_slowly(order, zone, mobility, urgency);
        watch();
        return FrameRange(frame, FrameCount(uint64_t{1} << order));
    }
    [[gnu::noinline]] Result<FrameRange> allocate_whole(Zone zone, Mobility mobility,
                                                        Urgency urgency) {
        Frame frame;
        const bool taken = permits(block_frames, urgency) && take_whole(zone, mobility, frame);
        if (!taken) return allocate_order_slowly(block_order, zone, mobility, urgency);
        watch();
        return FrameRange(frame, FrameCount(block_frames));
    }
    // The slow or locked part of an operation, apart so that the hook is called without a lock.
    [[gnu::noinline]] Result<FrameRange> allocate_order_slowly(unsigned order, Zone zone,
                                                               Mobility mobility, Urgency urgency) {
        const bool permitted = order > block_order || permits(uint64_t{1} << order, urgency);
        if (!permitted) return Failure{Error::out_of_frames, uint64_t{1} << order};
        AllHomes guard(*this);
        return core_.allocate_order(order, zone, mobility);
    }
    Result<FrameRange> allocate_run_locked(FrameCount count, const FrameConstraints& constraints) {
        AllHomes guard(*this);
        return core_.allocate_run(count, constraints);
    }
    Status allocate_batch_locked(Span<Frame> frames, Zone zone) {
        AllHomes guard(*this);
        return core_.allocate_batch(frames, zone);
    }
    Status free_locked(Frame frame) {
        LockGuard guard(locks_[core_.home_of(frame)].lock);
        return core_.free(frame);
    }
    Status free_locked(const FrameRange& frames) {
        if (frames.count() == FrameCount(block_frames)) {
            const unsigned home = core_.home_of(frames.first());
            LockGuard guard(locks_[home].lock);
            if (core_.give_whole(frames, home)) return {};
        }
        AllHomes guard(*this);
        return core_.free(frames);
    }
    Status free_batch_locked(Span<const Frame> frames) {
        AllHomes guard(*this);
        return core_.free_batch(frames);
    }

    // Whether the reserve stays when so many frames are taken.
    bool permits(uint64_t frames, Urgency urgency) const {
        if (atomic::load(reserve_) == 0 || urgency == Urgency::urgent) return true;
        return permitted_closely(static_cast<size_t>(min(frames, uint64_t{SIZE_MAX}))) == frames;
    }
    // How many of so many frames may be taken.
    size_t permitted(size_t frames) const {
        return atomic::load(reserve_) == 0 ? frames : permitted_closely(frames);
    }
    [[gnu::noinline]] size_t permitted_closely(size_t frames) const {
        const size_t reserve = atomic::load(reserve_);
        const size_t free = core_.free_seen();
        return free <= reserve ? 0 : min(frames, free - reserve);
    }
    void watch() {
        if (atomic::load(low_) != 0) watch_closely();
    }
    [[gnu::noinline]] void watch_closely() {
        const size_t free = core_.free_seen();
        FramePressure* const pressure = atomic::load(pressure_);
        if (pressure == nullptr) return;
        const bool scarce = scarce_.load() != 0;
        if (!scarce && free < atomic::load(low_) && scarce_.exchange(1) == 0) {
            pressure->on_pressure(FrameCount(free));
        } else if (scarce && free >= atomic::load(high_) && scarce_.exchange(0) != 0) {
            pressure->on_relief(FrameCount(free));
        }
    }

    mutable Home locks_[HomeCount];
    FrameCore core_;
    size_t reserve_ = 0;
    size_t low_ = 0;
    size_t high_ = 0;
    FramePressure* pressure_ = nullptr;
    Atomic<uint32_t> scarce_{0};
};

using FrameAllocator = BasicFrameAllocator<SpinLock>;

}  // namespace quire
