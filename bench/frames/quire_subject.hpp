// SPDX-License-Identifier: MIT
// Quire's frame allocator as a subject, in each of the ways a kernel can choose.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_allocator.hpp"
#include "stopwatch.hpp"
#include "subject.hpp"

namespace quire::bench {

// Memory for books, from the host's own pages: nothing of it is touched before the allocator does.
class Books {
  public:
    explicit Books(uint64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
        void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        memory_ = static_cast<unsigned char*>(memory);
    }
    ~Books() { munmap(memory_, bytes_); }
    Books(const Books&) = delete;
    Books& operator=(const Books&) = delete;

    // Has the host supply all of it now, so that no page fault is measured.
    void touch_all() { madvise(memory_, bytes_, MADV_POPULATE_WRITE); }
    Span<unsigned char> span() { return {memory_, bytes_}; }
    uint64_t bytes() const { return bytes_; }

  private:
    size_t bytes_;
    unsigned char* memory_;
};

// A machine whose memory is one run of usable frames from 4 GiB on.
inline constexpr Frame first_of_memory = Frame(uint64_t{1} << 20);

inline std::unique_ptr<MemoryMap> map_of(uint64_t frames) {
    auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    const PhysicalRange bytes = bytes_of(FrameRange(first_of_memory, FrameCount(frames)));
    builder.add(bytes.first().value(), bytes.count().value(), MemoryKind::usable);
    if (!builder.finish(PhysicalAddress(PhysicalAddress::highest)).ok()) std::abort();
    return map;
}

// Whether page faults of the host, at the first touch of the books, are part of a start.
enum class WhoTouches { us, allocator };

// The allocator and what it stands on.
template <class Allocator>
class QuireSubject {
  public:
    static constexpr bool is_slow = false;

    explicit QuireSubject(uint64_t frames)
        : count_(frames),
          map_(map_of(frames)),
          boot_(*map_, FrameRange::between(Frame(0), Frame(Frame::highest))),
          books_(Allocator::metadata_bytes(*map_).value()) {
        books_.touch_all();
        if (!frames_.start(boot_, books_.span(), Frame(Frame::highest)).ok()) std::abort();
    }

    Token get(unsigned order) {
        if (order == 0) {
            const Result<Frame> frame = frames_.allocate();
            return frame.ok() ? token(*frame) : no_frames;
        }
        const Result<FrameRange> run = frames_.allocate_order(order);
        return run.ok() ? token(run->first()) : no_frames;
    }
    void put(Token first, unsigned order) {
        const Status freed =
            order == 0 ? frames_.free(Frame(first))
                       : frames_.free(FrameRange(Frame(first), FrameCount(uint64_t{1} << order)));
        if (!freed.ok()) std::abort();
    }
    void drain() {}
    uint64_t whole_blocks() const {
        uint64_t whole = 0;
        const uint64_t end = first_of_memory.value() + count_;
        for (uint64_t block = first_of_memory.value(); block < end; block += frames_of_block) {
            uint64_t free = 0;
            while (free < frames_of_block && frames_.is_free(Frame(block + free)))
                ++free;
            whole += free == frames_of_block;
        }
        return whole;
    }
    uint64_t metadata_bytes() const { return books_.bytes(); }

    // From a memory map to an allocator that is ready.
    static double seconds_to_start(uint64_t frames, WhoTouches who) {
        const auto map = map_of(frames);
        BootFrames boot(*map, FrameRange::between(Frame(0), Frame(Frame::highest)));
        Books books(Allocator::metadata_bytes(*map).value());
        if (who == WhoTouches::us) books.touch_all();
        const auto allocator = std::make_unique<Allocator>();
        const Stopwatch watch;
        if (!allocator->start(boot, books.span(), Frame(Frame::highest)).ok()) std::abort();
        return watch.seconds();
    }

  private:
    static Token token(Frame frame) { return static_cast<Token>(frame.value()); }

    uint64_t count_;
    std::unique_ptr<MemoryMap> map_;
    BootFrames boot_;
    Books books_;
    alignas(64) Allocator frames_;
};

// One CPU, and no interrupt handler that allocates.
class QuireAlone : public QuireSubject<BasicFrameAllocator<NoLock>> {
  public:
    static constexpr const char* name = "quire";
    static constexpr bool is_shared = false;
    using QuireSubject::QuireSubject;
};

class QuireSpinLock : public QuireSubject<BasicFrameAllocator<SpinLock>> {
  public:
    static constexpr const char* name = "quire+lock";
    static constexpr bool is_shared = true;
    using QuireSubject::QuireSubject;
};

}  // namespace quire::bench
