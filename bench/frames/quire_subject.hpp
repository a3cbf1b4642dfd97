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
#include "quire/phys/per_cpu_frames.hpp"
#include "subject.hpp"
#include "support/stopwatch.hpp"

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

// The CPUs are threads.
struct ThreadCpus {
    struct Pin {};
    static unsigned index() { return thread_number; }
};

// What stands in front of the blocks: nothing.
template <class Frames>
class NoMagazines {
  public:
    explicit NoMagazines(Frames& frames) : frames_(frames) {}
    Frames& frames() { return frames_; }
    void drain() {}
    uint64_t bytes() const { return 0; }

  private:
    Frames& frames_;
};
// Or magazines, under a policy that says which CPU this is.
template <class Frames, CpuPolicy Cpus, Reuse reuse>
class Magazines {
  public:
    explicit Magazines(Frames& frames) : frames_(frames, Span<Slot>(slots_, cpus)) {}
    auto& frames() { return frames_; }
    void drain() { frames_.drain(); }
    uint64_t bytes() const { return sizeof(slots_); }

  private:
    using Front = PerCpuFrames<Frames, Cpus, reuse>;
    using Slot = typename Front::Slot;
    static constexpr unsigned cpus = 2;

    Slot slots_[cpus];
    Front frames_;
};

// The allocator, what it stands on, and what stands in front of it.
template <class Allocator, class Front>
class QuireSubject {
  public:
    static constexpr bool is_slow = false;

    explicit QuireSubject(uint64_t frames)
        : count_(frames),
          map_(map_of(frames)),
          boot_(*map_, FrameRange::between(Frame(0), Frame(Frame::highest))),
          books_(Allocator::metadata_bytes(*map_).value()) {
        books_.touch_all();
        if (!blocks_.start(boot_, books_.span(), Frame(Frame::highest)).ok()) std::abort();
    }

    // Inlined, as a kernel's own calls of them are that know the order.
    [[gnu::always_inline]] Token get(unsigned order) {
        if (order == 0) {
            const Result<Frame> frame = front_.frames().allocate();
            if (!frame.ok()) [[unlikely]]
                return no_frames;
            return token(*frame);
        }
        const Result<FrameRange> run = front_.frames().allocate_order(order);
        return run.ok() ? token(run->first()) : no_frames;
    }
    [[gnu::always_inline]] void put(Token first, unsigned order) {
        if (order == 0) return require(front_.frames().free(Frame(first)));
        const FrameRange run(Frame(first), FrameCount(uint64_t{1} << order));
        require(front_.frames().free(run));
    }
    void drain() { front_.drain(); }
    uint64_t whole_blocks() const {
        uint64_t whole = 0;
        const uint64_t end = first_of_memory.value() + count_;
        for (uint64_t block = first_of_memory.value(); block < end; block += frames_of_block) {
            uint64_t free = 0;
            while (free < frames_of_block && blocks_.is_free(Frame(block + free)))
                ++free;
            whole += free == frames_of_block;
        }
        return whole;
    }
    uint64_t metadata_bytes() const { return books_.bytes() + front_.bytes(); }

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
    static void require(const Status& done) {
        if (!done.ok()) [[unlikely]]
            std::abort();
    }
    static Token token(Frame frame) { return static_cast<Token>(frame.value()); }

    uint64_t count_;
    std::unique_ptr<MemoryMap> map_;
    BootFrames boot_;
    Books books_;
    alignas(64) Allocator blocks_;
    alignas(64) Front front_{blocks_};
};

using Homes = BasicFrameAllocator<SpinLock, 2>;  // one for each of two CPUs
using Alone = BasicFrameAllocator<NoLock>;
using Locked = BasicFrameAllocator<SpinLock>;

// Magazines for each CPU; frees go back to their blocks before frames are reused.
class QuireDefault : public QuireSubject<Locked, Magazines<Locked, ThreadCpus, Reuse::delayed>> {
  public:
    static constexpr const char* name = "quire";
    static constexpr bool is_shared = true;
    using QuireSubject::QuireSubject;
};
// Frames freed are reused at once.
class QuireLifo : public QuireSubject<Locked, Magazines<Locked, ThreadCpus, Reuse::at_once>> {
  public:
    static constexpr const char* name = "quire lifo";
    static constexpr bool is_shared = true;
    using QuireSubject::QuireSubject;
};
// As the default, and each CPU turns to blocks of its own first.
class QuireHomes : public QuireSubject<Homes, Magazines<Homes, ThreadCpus, Reuse::delayed>> {
  public:
    static constexpr const char* name = "quire+homes";
    static constexpr bool is_shared = true;
    using QuireSubject::QuireSubject;
};
// One CPU, and no interrupt handler that allocates.
class QuireAlone : public QuireSubject<Alone, Magazines<Alone, SingleCpu, Reuse::delayed>> {
  public:
    static constexpr const char* name = "quire alone";
    static constexpr bool is_shared = false;
    using QuireSubject::QuireSubject;
};
// No magazines: every operation takes the lock and changes a block.
class QuireLocked : public QuireSubject<Locked, NoMagazines<Locked>> {
  public:
    static constexpr const char* name = "quire+lock";
    static constexpr bool is_shared = true;
    using QuireSubject::QuireSubject;
};

}  // namespace quire::bench
