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

// L excludes other CPUs and interrupt handlers as the kernel needs it; each operation holds it from
// start to end. Before `start`, there are no frames: every request ends in out_of_frames and every
// frame is out_of_range. On i386 at most 560 bytes of stack; 320 for single frames.
template <Lockable L>
class BasicFrameAllocator {
  public:
    // Bytes of metadata wanted for a map, whatever the direct map's limit. At most 0.3 bytes for
    // each frame of the usable hull (large holes are free), plus 16 KiB. O(entries).
    static Bytes metadata_bytes(const MemoryMap& map) { return FrameCore::metadata_bytes(map); }

    BasicFrameAllocator() = default;

    // Takes over all usable frames of `boot.map()` but those that `boot` gave out, which become
    // allocated, and closes `boot`. The map must stay: release_reserved and validate read it.
    // `metadata` must have metadata_bytes(map) bytes, 64-byte aligned, and stays in use for ever.
    // `direct_limit`: the first frame the direct map does not show. Errors, and no change:
    // bad_argument (metadata too small, more than 2^32 blocks, `boot` closed, or started twice),
    // misaligned. O(frames / 64).
    Status start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit) {
        LockGuard guard(lock_);
        return core_.start(boot, metadata, direct_limit);
    }

    // One frame. Error::out_of_frames. O(1) but for index upkeep.
    Result<Frame> allocate(Zone zone = Zone::high) {
        LockGuard guard(lock_);
        return core_.allocate(zone);
    }
    // 2^order frames, naturally aligned. Error::out_of_frames, bad_argument (order too large for
    // any memory). O(1) up to order 9, as below above that.
    Result<FrameRange> allocate_order(unsigned order, Zone zone = Zone::high) {
        LockGuard guard(lock_);
        return core_.allocate_order(order, zone);
    }
    // `count` frames that follow one another, under conditions. A run may reach from one permitted
    // zone into the next when it fits in neither. Errors: zero_size, misaligned (alignment or
    // boundary not a power of two), bad_argument (a run longer than its boundary), out_of_frames.
    // O(1) when the run fits in a hole of its size rounded up to a power of two and that meets
    // the conditions; O(blocks) otherwise, and for out_of_frames.
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints = {}) {
        LockGuard guard(lock_);
        return core_.allocate_run(count, constraints);
    }
    // Exactly these frames. Errors: zero_size, out_of_range, reserved, in_use; each names the
    // first frame that stands in the way. O(blocks of the range).
    Status allocate_at(const FrameRange& frames) {
        LockGuard guard(lock_);
        return core_.allocate_at(frames);
    }
    // As many single frames as `frames` has room for, or none: Error::out_of_frames, and `frames`
    // is not written to. O(frames).
    Status allocate_batch(Span<Frame> frames, Zone zone = Zone::high) {
        LockGuard guard(lock_);
        return core_.allocate_batch(frames, zone);
    }

    // Give back any frames that were given out, in whole or in part, however they were asked for.
    // Errors, nothing changed: zero_size, out_of_range, reserved (never given out), already_free
    // (a frame that occurs twice in a batch as well). Each names the first frame concerned.
    // O(blocks of the range), O(frames).
    Status free(Frame frame) {
        LockGuard guard(lock_);
        return core_.free(frame);
    }
    Status free(const FrameRange& frames) {
        LockGuard guard(lock_);
        return core_.free(frames);
    }
    Status free_batch(Span<const Frame> frames) {
        LockGuard guard(lock_);
        return core_.free_batch(frames);
    }

    // Frames that were reserved when the map was built and no longer need to be (the kinds of
    // is_releasable: boot information, modules, ACPI tables read): from now on free. The caller
    // vouches that it is memory. Errors, nothing changed, naming the first frame concerned:
    // zero_size, out_of_range (also what lies over 32 MiB outside the usable hull), reserved (for
    // a reason that stays), in_use (usable already). O(map entries + blocks of the range).
    Status release_reserved(const FrameRange& frames) {
        LockGuard guard(lock_);
        return core_.release_reserved(frames);
    }

    // For the source of page tables and the like (see FrameSource in paging).
    Result<Frame> allocate_frame() { return allocate(); }
    Status free_frame(Frame frame) { return free(frame); }

    // False as well for frames that are reserved or do not exist. O(log sections).
    bool is_free(Frame frame) const {
        LockGuard guard(lock_);
        return core_.is_free(frame);
    }
    // The zone that a frame with this number is or would be in. O(1).
    Zone zone_of(Frame frame) const {
        LockGuard guard(lock_);
        return core_.zone_of(frame);
    }
    // O(1).
    FrameCounters counters() const {
        LockGuard guard(lock_);
        return core_.counters();
    }
    // The most frames that allocate_run could give out at once. O(blocks).
    FrameCount largest_free_run() const {
        LockGuard guard(lock_);
        return core_.largest_free_run();
    }

    // Checks every invariant against the bitmaps: counters, index, hole sizes, reserved frames.
    // Error::corrupted with the first frame of the block concerned, or with the value that
    // disagrees when it is no single block's. O(frames / 64).
    Status validate() const {
        LockGuard guard(lock_);
        return core_.validate();
    }

  private:
    mutable L lock_;
    FrameCore core_;
};

using FrameAllocator = BasicFrameAllocator<SpinLock>;

}  // namespace quire
