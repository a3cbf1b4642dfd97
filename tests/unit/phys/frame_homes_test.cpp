// SPDX-License-Identifier: MIT
// Memory in parts: nodes, several homes in one, and what can be moved apart from what cannot.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_homes_test {
namespace {

using test::Books;
using test::everything;
using test::fails_with;
using test::make_map;
using test::Memory;
using test::no_limit;
using test::run_of;

constexpr uint64_t base = 512 * 10;  // above 16 MiB, so that there is one zone
constexpr uint64_t group_frames = uint64_t{BlockTable::group_blocks} * block_frames;

// Where two homes begin that share the memory from there on.
constexpr uint64_t first_home = 2 * group_frames;
constexpr uint64_t second_home = 3 * group_frames;

template <unsigned homes>
class HomesMachine {
  public:
    using Allocator = BasicFrameAllocator<SpinLock, homes>;
    HomesMachine(const std::vector<Memory>& memory, const FrameTopology& topology = {})
        : map(make_map(memory)),
          boot(*map, everything),
          books(Allocator::metadata_bytes(*map, topology).value()) {
        const Status started = frames.start(boot, books.span(), no_limit, topology);
        EXPECT_TRUE(started.ok());
    }
    ~HomesMachine() { EXPECT_TRUE(frames.validate().ok()); }

    std::unique_ptr<MemoryMap> map;
    BootFrames boot;
    Books books;
    Allocator frames;
};

// Three nodes of 1,000 frames; the second begins and ends inside blocks.
const NodeRange three_nodes[] = {
    {run_of(base, 1000), 0}, {run_of(base + 1000, 1000), 1}, {run_of(base + 2000, 1000), 2}};

TEST(FrameNodes, EachGivesOutItsOwn) {
    const FrameTopology topology{three_nodes, {}};
    HomesMachine<3> machine({{base, 3000}}, topology);
    EXPECT_EQ(machine.frames.counters().free, FrameCount(3000));
    for (const Node node : {Node{2}, Node{0}, Node{1}}) {
        for (int i = 0; i < 1000; ++i) {
            Frame frame;
            ASSERT_EQ(machine.frames.allocate_some({&frame, 1}, Zone::high, Mobility::unmovable,
                                                   machine.frames.home_for(0, node)),
                      1u);
            ASSERT_TRUE(three_nodes[node].frames.contains(frame)) << i;
        }
    }
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(machine.frames.free(run_of(base, 3000)).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(3000));
}

TEST(FrameNodes, FallBackToTheNearest) {
    // From 0, node 2 is nearer than 1; from 1, node 0; from 2, node 1.
    const uint8_t distances[] = {10, 30, 20, 20, 10, 30, 30, 20, 10};
    const FrameTopology topology{three_nodes, distances};
    HomesMachine<3> machine({{base, 3000}}, topology);
    const Node next[] = {2, 0, 1};
    for (Node node = 0; node < 3; ++node) {
        ASSERT_TRUE(machine.frames.allocate_at(three_nodes[node].frames).ok());
        const auto run = machine.frames.allocate_run(FrameCount(8), {.node = node});
        ASSERT_TRUE(run.ok());
        EXPECT_TRUE(three_nodes[next[node]].frames.contains(*run)) << int{node};
        EXPECT_TRUE(machine.frames.free(*run).ok());
        EXPECT_TRUE(machine.frames.free(three_nodes[node].frames).ok());
    }
}

TEST(FrameNodes, OnlyOneNode) {
    const FrameTopology topology{three_nodes, {}};
    HomesMachine<3> machine({{base, 3000}}, topology);
    const FrameConstraints only{.node = 1, .only_node = true};
    // Runs that fit in no hole are searched for, and stop where the node does.
    const auto run = machine.frames.allocate_run(FrameCount(700), only);
    ASSERT_TRUE(run.ok());
    EXPECT_TRUE(three_nodes[1].frames.contains(*run));
    EXPECT_TRUE(
        fails_with(machine.frames.allocate_run(FrameCount(700), only), Error::out_of_frames, 700));
    while (machine.frames.allocate_run(FrameCount(1), only).ok()) {
    }
    EXPECT_EQ(machine.frames.counters().free, FrameCount(2000));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(1001), only),
                           Error::out_of_frames, 1001));
    // Anybody may use both others at once.
    EXPECT_TRUE(machine.frames.allocate_run(FrameCount(1000), {.node = 1}).ok());
}

TEST(FrameNodes, WrongTopologiesAreRefused) {
    const auto map = make_map({{base, 3000}});
    BootFrames boot(*map, everything);
    const FrameTopology topology{three_nodes, {}};
    Books books(BasicFrameAllocator<SpinLock, 3>::metadata_bytes(*map, topology).value());
    BasicFrameAllocator<SpinLock, 2> too_few;
    EXPECT_TRUE(
        fails_with(too_few.start(boot, books.span(), no_limit, topology), Error::bad_argument, 3));
    const uint8_t distances[] = {10, 20, 20, 10};
    BasicFrameAllocator<SpinLock, 3> frames;
    EXPECT_TRUE(fails_with(frames.start(boot, books.span(), no_limit, {three_nodes, distances}),
                           Error::bad_argument, 4));
    ASSERT_TRUE(frames.start(boot, books.span(), no_limit, topology).ok());
    EXPECT_TRUE(
        fails_with(frames.allocate_run(FrameCount(1), {.node = 3}), Error::bad_argument, 3));
}

// CPUs of one node get memory from different groups, and then from each other's.
TEST(FrameHomes, CpusOfANodeStartApart) {
    HomesMachine<4> machine({{1, 8 * group_frames - 1}});
    std::set<uint64_t> groups;
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        Frame batch[64];
        ASSERT_EQ(machine.frames.allocate_some(batch, Zone::high, Mobility::unmovable,
                                               machine.frames.home_for(cpu)),
                  64u);
        for (const Frame frame : batch)
            EXPECT_EQ(frame.value() / group_frames, batch[0].value() / group_frames);
        groups.insert(batch[0].value() / group_frames);
        EXPECT_EQ(machine.frames.free_some(batch), 0u);
    }
    EXPECT_EQ(groups.size(), 4u);
    std::vector<Frame> all(8 * group_frames - 1);
    EXPECT_EQ(
        machine.frames.allocate_some({all.data(), all.size()}, Zone::high, Mobility::unmovable, 2),
        all.size());
    EXPECT_EQ(machine.frames.counters().free, FrameCount(0));
    // Frames of all homes, mixed: those given out come back, others are passed over.
    for (size_t i = 0; i < all.size() / 2; ++i)
        std::swap(all[i], all[(i * 7919) % all.size()]);
    EXPECT_EQ(machine.frames.free_some({all.data(), all.size()}), 0u);
    EXPECT_EQ(machine.frames.free_some({all.data(), 100}), 100u);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(8 * group_frames - 1));
}

// What another home has left over is used before a whole block is broken, but for other nodes'.
TEST(FrameHomes, NoneBreaksABlockWhileAnotherHasPartOfOne) {
    HomesMachine<2> machine({{0, 4 * group_frames}});
    Frame batch[64];
    const auto take = [&](unsigned home, size_t count) {
        return machine.frames.allocate_some({batch, count}, Zone::high, Mobility::unmovable, home);
    };
    ASSERT_EQ(take(1, 64), 64u);
    const uint64_t block = batch[0].value() / block_frames;
    const uint64_t whole = machine.frames.statistics().whole_blocks;
    ASSERT_EQ(take(0, 64), 64u);
    EXPECT_EQ(batch[0].value() / block_frames, block);
    EXPECT_EQ(machine.frames.allocate().value().value() / block_frames, block);
    EXPECT_EQ(machine.frames.allocate_order(5).value().first().value() / block_frames, block);
    EXPECT_EQ(machine.frames.statistics().whole_blocks, whole);
    // Who wants no block broken goes without when there is no other way.
    const size_t left = block_frames - 64 - 64 - 1 - 32;
    std::vector<Frame> rest(block_frames);
    const auto take_used = [&] {
        return machine.frames.allocate_from_used_blocks({rest.data(), rest.size()}, Zone::high,
                                                        Mobility::unmovable, 0, UINT32_MAX);
    };
    EXPECT_EQ(take_used(), left);
    EXPECT_EQ(take_used(), 0u);
    EXPECT_EQ(machine.frames.statistics().whole_blocks, whole);
}

TEST(FrameHomes, NextInLineIsWhatWouldBeTakenAgain) {
    HomesMachine<1> machine({{base, 512 * 4}});
    // Block 0 is fuller than block 1; blocks 2 and 3 are whole.
    ASSERT_TRUE(machine.frames.allocate_at(run_of(base, 500)).ok());
    ASSERT_TRUE(machine.frames.allocate_at(run_of(base + 512, 100)).ok());
    Frame frames[] = {Frame(base + 512 + 7), Frame(base + 3), Frame(base + 505), Frame(base + 4),
                      Frame(7)};
    Frame next[5];
    const auto pick = [&](size_t count, Mobility mobility) {
        return machine.frames.pick_next({frames, count}, Zone::high, mobility, 0, next);
    };
    // Not of an emptier block, free already, no memory.
    ASSERT_EQ(pick(5, Mobility::unmovable), 2u);
    EXPECT_EQ(next[0], Frame(base + 3));
    EXPECT_EQ(next[1], Frame(base + 4));
    EXPECT_EQ(frames[0], Frame(base + 512 + 7));
    EXPECT_EQ(frames[1], Frame(base + 505));
    EXPECT_EQ(frames[2], Frame(7));
    // Blocks in use for the other kind are nobody's next.
    frames[0] = Frame(base + 3);
    EXPECT_EQ(pick(1, Mobility::movable), 0u);
    // A block all of whose frames are given out would be the fullest; as full ones with larger
    // holes would not.
    ASSERT_TRUE(machine.frames.allocate_at(run_of(base + 1024, 512)).ok());
    ASSERT_TRUE(machine.frames.allocate_at(run_of(base + 1536, 257)).ok());
    frames[0] = Frame(base + 1024);
    frames[1] = Frame(base + 1536);
    ASSERT_EQ(pick(2, Mobility::unmovable), 1u);
    EXPECT_EQ(next[0], Frame(base + 1024));
}

// Each home's frames are judged by what that home would be served from, whoever asks; those of
// other nodes are nobody's next.
TEST(FrameHomes, NextInLineOfEachHome) {
    HomesMachine<2> machine({{first_home, 2 * group_frames}});
    // Of the first home, one block is fuller than the other; all that the second has in use is
    // emptier than either.
    ASSERT_TRUE(machine.frames.allocate_at(run_of(first_home, 500)).ok());
    ASSERT_TRUE(machine.frames.allocate_at(run_of(first_home + 512, 100)).ok());
    ASSERT_TRUE(machine.frames.allocate_at(run_of(second_home, 3)).ok());
    for (const unsigned home : {0u, 1u}) {
        Frame frames[] = {Frame(first_home + 512), Frame(first_home), Frame(second_home),
                          Frame(first_home + 513)};
        Frame next[4];
        ASSERT_EQ(machine.frames.pick_next(frames, Zone::high, Mobility::unmovable, home, next),
                  2u);
        EXPECT_EQ(next[0], Frame(first_home));
        EXPECT_EQ(next[1], Frame(second_home));
        EXPECT_EQ(frames[0], Frame(first_home + 512));
        EXPECT_EQ(frames[1], Frame(first_home + 513));
    }
}

TEST(FrameNodes, NextInLineIsOfTheSameNode) {
    const FrameTopology topology{three_nodes, {}};
    HomesMachine<3> machine({{base, 3000}}, topology);
    const Frame used[] = {Frame(base + 10), Frame(base + 1010), Frame(base + 2010)};
    for (const uint64_t node : {0u, 1u, 2u})
        ASSERT_TRUE(machine.frames.allocate_at(run_of(base + node * 1000, 999)).ok());
    size_t picked_in_all = 0;
    for (const Node node : {Node{0}, Node{1}, Node{2}}) {
        Frame frames[] = {used[0], used[1], used[2]};
        Frame next[3];
        const size_t picked = machine.frames.pick_next(frames, Zone::high, Mobility::unmovable,
                                                       machine.frames.home_for(0, node), next);
        for (size_t i = 0; i < picked; ++i)
            EXPECT_TRUE(three_nodes[node].frames.contains(next[i])) << int{node};
        picked_in_all += picked;
    }
    // Only frames of the largest section are looked at, which here is one of three alike.
    EXPECT_EQ(picked_in_all, 1u);
}

// What can be given back under one lock, and is not too much.
TEST(FrameHomes, OfOneHome) {
    HomesMachine<2> machine({{first_home, 2 * group_frames}});
    const uint64_t in_order[] = {600, group_frames, 601, 1100, 1700, 602, 2100};
    Frame frames[7];
    for (size_t i = 0; i < 7; ++i)
        frames[i] = Frame(first_home + in_order[i]);
    const auto part = machine.frames.of_one_home(frames, 3);
    ASSERT_EQ(part.data(), frames);
    ASSERT_EQ(part.size(), 4u);
    for (const uint64_t expected : {600u, 601u, 1100u, 1700u})
        EXPECT_NE(std::find(frames, frames + 4, Frame(first_home + expected)), frames + 4);
    for (const uint64_t one : in_order)
        EXPECT_EQ(std::count(frames, frames + 7, Frame(first_home + one)), 1) << one;
    EXPECT_TRUE(machine.frames.of_one_home({}, 3).empty());
}

// A refill is content with what its own home has, when that is a good part of it.
TEST(FrameHomes, UsedBlocksOfTheOwnHomeWillDo) {
    HomesMachine<2> machine({{first_home, 2 * group_frames}});
    ASSERT_TRUE(machine.frames.allocate_at(run_of(first_home, 512 - 40)).ok());
    ASSERT_TRUE(machine.frames.allocate_at(run_of(second_home, 500)).ok());
    Frame batch[64];
    const auto take_used = [&](unsigned most_blocks) {
        return machine.frames.allocate_from_used_blocks(batch, Zone::high, Mobility::unmovable, 0,
                                                        most_blocks);
    };
    EXPECT_EQ(take_used(10), 40u);
    EXPECT_LT(batch[39], Frame(second_home));
    // It has none, and the other few.
    EXPECT_EQ(take_used(10), 12u);
    // Too few, and so the other's as well, unless that would be too many blocks.
    ASSERT_TRUE(machine.frames.free(run_of(first_home, 4)).ok());
    ASSERT_TRUE(machine.frames.free(run_of(second_home, 4)).ok());
    EXPECT_EQ(take_used(1), 4u);
    ASSERT_TRUE(machine.frames.free(run_of(first_home, 4)).ok());
    EXPECT_EQ(take_used(2), 8u);
}

TEST(FrameHomes, SomeOfManyFrees) {
    HomesMachine<2> machine({{base, 2000}, {base + 100, 10, MemoryKind::reserved}});
    ASSERT_TRUE(machine.frames.allocate_at(run_of(base + 50, 50)).ok());
    // Given out, twice the same, free, reserved, no memory, given out.
    const Frame frames[] = {Frame(base + 60),  Frame(base + 61),  Frame(base + 61),
                            Frame(base + 300), Frame(base + 105), Frame(1),
                            Frame(base + 70)};
    EXPECT_EQ(machine.frames.free_some(frames), 4u);
    EXPECT_EQ(machine.frames.counters().free, FrameCount(1990 - 50 + 3));
}

TEST(FrameMobility, TheTwoKindsAreKeptApart) {
    test::Machine machine({{base, 512 * 8}});
    std::set<uint64_t> movable;
    std::set<uint64_t> unmovable;
    for (int i = 0; i < 700; ++i) {
        movable.insert(machine.frames.allocate(Zone::high, Mobility::movable).value().value() /
                       512);
        unmovable.insert(machine.frames.allocate().value().value() / 512);
        const auto pair = machine.frames.allocate_order(1, Zone::high, Mobility::movable);
        movable.insert(pair.value().first().value() / 512);
    }
    for (const uint64_t block : movable)
        EXPECT_EQ(unmovable.count(block), 0u) << block;
    EXPECT_EQ(movable.size(), 5u);
    EXPECT_EQ(unmovable.size(), 2u);
    // Where nothing else is left, they mix.
    for (int i = 0; i < 512 * 8 - 2800 - 700; ++i)
        ASSERT_TRUE(machine.frames.allocate().ok()) << i;
    EXPECT_EQ(machine.free(), 700u);
    for (int i = 0; i < 700; ++i)
        ASSERT_TRUE(machine.frames.allocate(Zone::high, Mobility::movable).ok());
    EXPECT_TRUE(machine.frames.free(run_of(base, 512 * 8)).ok());
    // A block that is free as a whole is for whoever comes first.
    EXPECT_EQ(machine.frames.allocate(Zone::high, Mobility::movable).value().value() / 512,
              machine.frames.allocate(Zone::high, Mobility::movable).value().value() / 512);
}

}  // namespace
}  // namespace quire::frame_homes_test
