// SPDX-License-Identifier: MIT
// Books that are written when they are first needed, and say the same as if they had been from the
// start.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <random>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_lazy_test {
namespace {

using test::fails_with;
using test::Machine;
using test::run_of;

constexpr uint64_t gibi_frames = uint64_t{1} << (30 - page_shift);
constexpr uint64_t group_frames = uint64_t{BlockTable::group_blocks} * block_frames;

TEST(FrameLazy, AFreshBlockIsFree) {
    Machine machine({{1, 2 * gibi_frames - 1}});
    const Frame frame(gibi_frames + 5);
    EXPECT_TRUE(machine.frames.is_free(frame));
    EXPECT_FALSE(machine.frames.may_be_given_out(frame));
    EXPECT_TRUE(fails_with(machine.frames.free(frame), Error::already_free, frame.value()));
    EXPECT_TRUE(fails_with(machine.frames.free(run_of(gibi_frames, 600)), Error::already_free,
                           gibi_frames));
    EXPECT_TRUE(machine.frames.validate().ok());
    // One frame opens a group; its neighbours stay as they were.
    machine.take(frame.value(), 1);
    EXPECT_FALSE(machine.frames.is_free(frame));
    EXPECT_TRUE(machine.frames.is_free(Frame(frame.value() + 1)));
    EXPECT_TRUE(machine.frames.may_be_given_out(frame));
    EXPECT_TRUE(machine.frames.validate().ok());
    EXPECT_TRUE(machine.frames.free(frame).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(2 * gibi_frames - 1));
}

TEST(FrameLazy, RunsAcrossFreshAndOpenedGroups) {
    Machine machine({{1, 4 * gibi_frames - 1}});
    machine.take(2 * group_frames + 100, 1);
    machine.take(3 * group_frames - 1, 2);
    const auto large = machine.frames.allocate_order(18);
    ASSERT_TRUE(large.ok());
    EXPECT_EQ(*large, run_of(gibi_frames, gibi_frames));
    EXPECT_TRUE(fails_with(machine.frames.allocate_at(run_of(2 * gibi_frames - 1, 2)),
                           Error::in_use, 2 * gibi_frames - 1));
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(2 * gibi_frames));
    const auto rest = machine.frames.allocate_run(FrameCount(2 * gibi_frames));
    ASSERT_TRUE(rest.ok());
    EXPECT_EQ(*rest, run_of(2 * gibi_frames, 2 * gibi_frames));
    EXPECT_TRUE(machine.frames.validate().ok());
    EXPECT_TRUE(machine.frames.free(*rest).ok());
    EXPECT_TRUE(machine.frames.free(*large).ok());
}

// The lowest first, whole groups one after the other, to the last frame.
TEST(FrameLazy, EveryFrameIsGivenOutOnce) {
    Machine machine({{1, 3 * group_frames + 700}});
    std::vector<bool> seen(3 * group_frames + 701);
    uint64_t last = 0;
    for (uint64_t left = machine.free(); left > 0; --left) {
        const auto frame = machine.frames.allocate();
        ASSERT_TRUE(frame.ok());
        ASSERT_FALSE(seen[frame->value()]);
        seen[frame->value()] = true;
        last = std::max(last, frame->value());
    }
    EXPECT_EQ(last, 3 * group_frames + 700);
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(machine.frames.free(run_of(1, 3 * group_frames + 700)).ok());
}

// Requests anywhere, on a machine with holes and a reserved stretch in the middle of a group.
TEST(FrameLazy, RandomPlaces) {
    Machine machine({{700, 3 * gibi_frames},
                     {gibi_frames + 77, 3000, MemoryKind::reserved},
                     {2 * gibi_frames, 100, MemoryKind::module}},
                    Frame(gibi_frames / 2 + 3));
    const uint64_t before = machine.free();
    std::mt19937_64 random(5);
    std::vector<FrameRange> taken;
    for (int i = 0; i < 300; ++i) {
        const FrameRange run = run_of(random() % (3 * gibi_frames), 1 + random() % 2000);
        if (machine.frames.allocate_at(run).ok()) taken.push_back(run);
        if (i % 50 == 0) {
            ASSERT_TRUE(machine.frames.validate().ok());
        }
    }
    EXPECT_GT(taken.size(), 200u);
    for (const FrameRange& run : taken)
        ASSERT_TRUE(machine.frames.free(run).ok());
    EXPECT_EQ(machine.free(), before);
}

// 16 TiB cost one byte for each 128 MiB at the start, and nothing else is touched.
TEST(FrameLazy, SixteenTebibytesStartWithoutTouchingTheirBooks) {
    constexpr uint64_t frames = uint64_t{16} << (40 - page_shift);
    const auto map = test::make_map({{1, frames - 1}});
    const auto bytes = static_cast<size_t>(FrameAllocator::metadata_bytes(*map).value());
    EXPECT_LE(bytes, frames * 3 / 10);
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    {
        BootFrames boot(*map, test::everything);
        ASSERT_TRUE(boot.allocate_frame().ok());
        FrameAllocator allocator;
        ASSERT_TRUE(
            allocator.start(boot, {static_cast<unsigned char*>(memory), bytes}, test::no_limit)
                .ok());
        EXPECT_EQ(allocator.counters().free, FrameCount(frames - 2));
        EXPECT_TRUE(allocator.allocate().ok());
        EXPECT_TRUE(allocator.allocate_order(18).ok());
        EXPECT_TRUE(
            fails_with(allocator.allocate_at(run_of(frames - 1, 1)), Error::in_use, frames - 1));
        std::vector<unsigned char> present((bytes + 4095) / 4096);
        ASSERT_EQ(mincore(memory, bytes, present.data()), 0);
        size_t touched = 0;
        for (const unsigned char page : present)
            touched += page & 1;
        EXPECT_LT(touched, 200u);
    }
    munmap(memory, bytes);
}

// A state that says too much or too little is noticed.
TEST(FrameLazy, ValidateReadsTheStatesOfGroups) {
    Machine machine({{1, 4 * group_frames}});
    const FrameLayout layout = frame_layout(*machine.map);
    unsigned char* const groups =
        machine.books.span().data() +
        (layout.blocks + layout.masks + BlockTable::spare_masks) * sizeof(BlockBits) +
        zones * sizeof(FramePool) + layout.blocks * sizeof(BlockHeader) +
        layout.sections * sizeof(FrameSection);
    const auto notices = [&](size_t group, unsigned char state) {
        const unsigned char saved = groups[group];
        groups[group] = state;
        const bool noticed = !machine.frames.validate().ok();
        groups[group] = saved;
        return noticed;
    };
    // 0 begins with a reserved frame, 4 is short: both are open. 1 to 3 are fresh.
    EXPECT_TRUE(notices(0, 0));
    EXPECT_TRUE(notices(1, 1));
    EXPECT_TRUE(notices(1, 2));
    EXPECT_TRUE(notices(4, 0));
    EXPECT_TRUE(notices(4, 1));
    machine.take(2 * group_frames + 1, 1);
    EXPECT_TRUE(notices(2, 0));
    EXPECT_TRUE(notices(2, 2));
    EXPECT_TRUE(notices(2, 3));
    EXPECT_TRUE(machine.frames.validate().ok());
}

}  // namespace
}  // namespace quire::frame_lazy_test
