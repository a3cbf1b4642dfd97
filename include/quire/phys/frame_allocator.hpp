// SPDX-License-Identifier: MIT
// The owner of physical frames for ever after boot.
//
// Started from the canonical map and from what BootFrames gave out. All bookkeeping lies in memory
// that the caller supplies and may be mapped anywhere: the allocator never touches the frames
// themselves. Every operation either does all it says or changes nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/lock.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"

namespace quire {

// Physical memory in bands, from scarce to plentiful. Requests name the best band they can use and
// fall back to scarcer ones.
enum class Zone : uint8_t {
    dma,     // below 16 MiB: what old devices can reach
    direct,  // what the direct map shows (all the rest, when there is no limit)
    high,    // above the direct map
};
inline constexpr size_t zones = 3;
const char* to_string(Zone zone);

// Conditions on a request beside its size.
struct FrameConstraints {
    Zone zone = Zone::high;         // the best zone to use; scarcer ones are fallen back to
    bool fallback = true;           // whether to
    Frame highest = Frame(Frame::highest);  // no frame of the run lies above this one
    FrameCount alignment = FrameCount(1);   // of the first frame's number; a power of two
    FrameCount boundary = FrameCount(0);    // the run crosses no multiple of this power of two; 0: any
};

struct ZoneCounters {
    FrameCount total;  // usable frames of the zone
    FrameCount free;
};
struct FrameCounters {
    ZoneCounters zone[zones];
    FrameCount total;
    FrameCount free;
};

// The unsynchronised core; use FrameAllocator below. Design: a bitmap and a header for each 2 MiB
// block, blocks indexed by their largest hole and by how full they are.
class FrameCore { /* see phys/frame_core.hpp */ };

// L excludes other CPUs and interrupt handlers as the kernel needs it.
template <Lockable L>
class BasicFrameAllocator {
  public:
    // Bytes of metadata wanted for a map. At most 0.3 bytes a frame of the usable hull, plus a
    // constant. O(entries).
    static Bytes metadata_bytes(const MemoryMap& map);

    BasicFrameAllocator() = default;

    // Takes over all usable frames of `boot.map()` but those that `boot` gave out, which become
    // allocated, and closes `boot`. `metadata` must have metadata_bytes(map) bytes, 64-byte
    // aligned, and stays in use for ever. `direct_limit`: the first frame the direct map does not
    // show. Errors: bad_argument (metadata too small, or started twice), misaligned.
    Status start(BootFrames& boot, Span<unsigned char> metadata, Frame direct_limit);

    // One frame. Error::out_of_frames. O(1) but for index upkeep.
    Result<Frame> allocate(Zone zone = Zone::high);
    // 2^order frames, naturally aligned. Error::out_of_frames, bad_argument (order too large).
    Result<FrameRange> allocate_order(unsigned order, Zone zone = Zone::high);
    // `count` frames that follow one another, under conditions. Errors: zero_size, misaligned
    // (alignment or boundary not a power of two), bad_argument (a run longer than its boundary),
    // out_of_frames.
    Result<FrameRange> allocate_run(FrameCount count, const FrameConstraints& constraints = {});
    // Exactly these frames. Errors: zero_size, out_of_range, reserved, in_use (with the first
    // frame that is).
    Status allocate_at(const FrameRange& frames);
    // As many single frames as `frames` has room for, or none: Error::out_of_frames.
    Status allocate_batch(Span<Frame> frames, Zone zone = Zone::high);

    // Give back any frames that were given out, in whole or in part, however they were asked for.
    // Errors, nothing changed: zero_size, out_of_range, reserved (never given out), already_free.
    // Each names the first frame concerned.
    Status free(Frame frame);
    Status free(const FrameRange& frames);
    Status free_batch(Span<const Frame> frames);

    // Frames that were reserved when the map was built and no longer need to be (boot information,
    // ACPI tables read): from now on free. Errors: out_of_range, in_use (usable already).
    Status release_reserved(const FrameRange& frames);

    // For the source of page tables and the like (see FrameSource in paging).
    Result<Frame> allocate_frame() { return allocate(); }
    Status free_frame(Frame frame) { return free(frame); }

    bool is_free(Frame frame) const;
    FrameCounters counters() const;      // O(1)
    FrameCount largest_free_run() const;  // O(blocks)

    // Checks every invariant against the bitmaps: counters, index, hole sizes, reserved frames.
    // Error::corrupted with the block concerned. O(frames / 64).
    Status validate() const;
};

using FrameAllocator = BasicFrameAllocator<SpinLock>;

}  // namespace quire
