// SPDX-License-Identifier: MIT
// A machine's memory as these tests need it: a map made by hand, and an allocator that owns it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "quire/boot/memory_map.hpp"
#include "quire/phys/boot_frames.hpp"
#include "quire/phys/frame_allocator.hpp"

namespace quire {

// For the messages of failed comparisons.
inline void PrintTo(const Failure& failure, std::ostream* out) {
    *out << to_string(failure.error) << ", 0x" << std::hex << failure.where << std::dec;
}
inline void PrintTo(const Frame& frame, std::ostream* out) {
    *out << "frame " << frame.value();
}
inline void PrintTo(const FrameCount& count, std::ostream* out) {
    *out << count.value() << " frames";
}
inline void PrintTo(const FrameRange& run, std::ostream* out) {
    *out << run.count().value() << " frames from " << run.first().value();
}

namespace test {

// A run of frames by plain numbers.
inline FrameRange run_of(uint64_t first, uint64_t count) {
    return FrameRange(Frame(first), FrameCount(count));
}

// What a map is made of: frames `first` to first + count - 1 are of this kind.
struct Memory {
    uint64_t first;
    uint64_t count;
    MemoryKind kind = MemoryKind::usable;
};

inline std::unique_ptr<MemoryMap> make_map(const std::vector<Memory>& memory) {
    auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    for (const Memory& part : memory) {
        const PhysicalRange bytes = bytes_of(run_of(part.first, part.count));
        if (part.kind < MemoryKind::beyond_reach) {
            builder.add(bytes.first().value(), bytes.count().value(), part.kind);
        } else {
            EXPECT_TRUE(builder.reserve(bytes, part.kind).ok());
        }
    }
    (void)builder.finish(PhysicalAddress(PhysicalAddress::highest));
    return map;
}

// Memory for books, aligned as they want it.
class Books {
  public:
    explicit Books(uint64_t bytes)
        : size_(static_cast<size_t>(bytes)),
          memory_(static_cast<unsigned char*>(std::aligned_alloc(64, (size_ + 63) / 64 * 64))) {
        // Junk, since nobody promises zeros.
        for (size_t i = 0; i < size_; ++i)
            memory_.get()[i] = 0xa5;
    }
    Span<unsigned char> span() { return {memory_.get(), size_}; }

  private:
    struct Free {
        void operator()(unsigned char* memory) const { std::free(memory); }
    };
    size_t size_;
    std::unique_ptr<unsigned char, Free> memory_;
};

inline const Frame no_limit{Frame::highest};
inline const FrameRange everything = FrameRange::between(Frame(0), Frame(Frame::highest));

// A machine whose allocator has started. Frame 0 is reserved on every machine.
class Machine {
  public:
    explicit Machine(const std::vector<Memory>& memory, Frame direct_limit = no_limit)
        : map(make_map(memory)),
          boot(*map, everything),
          books(FrameAllocator::metadata_bytes(*map).value()) {
        const Status started = frames.start(boot, books.span(), direct_limit);
        EXPECT_TRUE(started.ok());
    }
    ~Machine() { EXPECT_TRUE(frames.validate().ok()); }

    // Where a result's value is not wanted.
    void take(uint64_t first, uint64_t count) {
        const Status taken = frames.allocate_at(run_of(first, count));
        ASSERT_TRUE(taken.ok()) << first;
    }
    // Leaves exactly these free.
    void leave_free(const std::vector<FrameRange>& runs) {
        for (uint64_t left = free(); left > 0; left = free()) {
            const auto run = frames.allocate_run(frames.largest_free_run());
            ASSERT_TRUE(run.ok());
        }
        for (const FrameRange& run : runs) {
            const Status freed = frames.free(run);
            ASSERT_TRUE(freed.ok());
        }
    }
    uint64_t free() const { return frames.counters().free.value(); }
    uint64_t free(Zone zone) const { return frames.counters().of(zone).free.value(); }

    std::unique_ptr<MemoryMap> map;
    BootFrames boot;
    Books books;
    FrameAllocator frames;
};

// Compares a failed result with what it should have failed with.
template <class R>
::testing::AssertionResult fails_with(const R& result, Error error, uint64_t where) {
    if (result.ok()) return ::testing::AssertionFailure() << "succeeded";
    if (result.failure() == Failure{error, where}) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "failed with \"" << to_string(result.failure().error)
                                         << "\", " << result.failure().where;
}

}  // namespace test
}  // namespace quire
