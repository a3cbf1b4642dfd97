// SPDX-License-Identifier: MIT
// How a FrameAllocator starts, on ordinary machines and on odd ones.
#include <gtest/gtest.h>

#include "unit/phys/frame_machine.hpp"

namespace quire::frame_start_test {
namespace {

using test::Books;
using test::everything;
using test::fails_with;
using test::Machine;
using test::make_map;
using test::Memory;
using test::no_limit;
using test::run_of;

constexpr uint64_t gibi_frames = uint64_t{1} << (30 - page_shift);
constexpr uint64_t tebi_frames = uint64_t{1} << (40 - page_shift);

TEST(FrameStart, OwnsTheUsableFramesButThoseGiven) {
    const auto map = make_map({{1, 158}, {256, 4000}, {300, 200, MemoryKind::kernel}});
    BootFrames boot(*map, everything);
    ASSERT_TRUE(boot.allocate_run(FrameCount(10)).ok());
    Books books(FrameAllocator::metadata_bytes(*map).value());
    FrameAllocator frames;
    ASSERT_TRUE(frames.start(boot, books.span(), no_limit).ok());
    EXPECT_EQ(frames.counters().total, map->usable_frames());
    EXPECT_EQ(frames.counters().total.value(), 158u + 3800);
    EXPECT_EQ(frames.counters().free.value(), 158u + 3800 - 10);
    EXPECT_TRUE(frames.validate().ok());
    for (uint64_t frame = 0; frame < 5000; ++frame) {
        const bool given = frame >= 4246 && frame < 4256;
        EXPECT_EQ(frames.is_free(Frame(frame)), map->is_usable(run_of(frame, 1)) && !given)
            << frame;
    }
    EXPECT_TRUE(boot.closed());
    // What was carried over can be given back like anything else.
    EXPECT_TRUE(frames.free(run_of(4246, 10)).ok());
    EXPECT_EQ(frames.counters().free, frames.counters().total);
}

TEST(FrameStart, ErrorsChangeNothing) {
    const auto map = make_map({{1, 4000}});
    BootFrames boot(*map, everything);
    const uint64_t wanted = FrameAllocator::metadata_bytes(*map).value();
    Books books(wanted + 64);
    FrameAllocator frames;
    const Span<unsigned char> all = books.span();
    EXPECT_TRUE(fails_with(frames.start(boot, all.first(wanted - 1), no_limit), Error::bad_argument,
                           wanted));
    EXPECT_TRUE(fails_with(frames.start(boot, {}, no_limit), Error::bad_argument, wanted));
    const Span<unsigned char> odd = all.subspan(32, wanted);
    EXPECT_TRUE(fails_with(frames.start(boot, odd, no_limit), Error::misaligned,
                           reinterpret_cast<uintptr_t>(odd.data())));
    EXPECT_FALSE(boot.closed());
    EXPECT_EQ(frames.counters(), FrameCounters());
    EXPECT_TRUE(frames.start(boot, all.first(wanted), no_limit).ok());
    EXPECT_EQ(frames.counters().free, FrameCount(4000));
}

TEST(FrameStart, OnlyOnce) {
    const auto map = make_map({{1, 4000}});
    BootFrames boot(*map, everything);
    BootFrames other(*map, everything);
    Books books(FrameAllocator::metadata_bytes(*map).value());
    Books more(FrameAllocator::metadata_bytes(*map).value());
    FrameAllocator frames;
    ASSERT_TRUE(frames.start(boot, books.span(), no_limit).ok());
    ASSERT_TRUE(frames.allocate().ok());
    EXPECT_TRUE(fails_with(frames.start(other, more.span(), no_limit), Error::bad_argument, 0));
    EXPECT_EQ(frames.counters().free, FrameCount(3999));
    EXPECT_FALSE(other.closed());
    // Nor can two allocators take over from one BootFrames.
    FrameAllocator second;
    EXPECT_TRUE(fails_with(second.start(boot, more.span(), no_limit), Error::bad_argument, 0));
    EXPECT_EQ(second.counters(), FrameCounters());
}

TEST(FrameStart, BeforeItThereAreNoFrames) {
    FrameAllocator frames;
    Frame batch[2];
    EXPECT_TRUE(fails_with(frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(frames.allocate_order(3), Error::out_of_frames, 8));
    EXPECT_TRUE(fails_with(frames.allocate_run(FrameCount(3)), Error::out_of_frames, 3));
    EXPECT_TRUE(fails_with(frames.allocate_at(run_of(7, 3)), Error::out_of_range, 7));
    EXPECT_TRUE(fails_with(frames.allocate_batch(batch), Error::out_of_frames, 2));
    EXPECT_TRUE(fails_with(frames.free(Frame(7)), Error::out_of_range, 7));
    EXPECT_TRUE(fails_with(frames.release_reserved(run_of(7, 3)), Error::out_of_range, 7));
    EXPECT_FALSE(frames.is_free(Frame(7)));
    EXPECT_EQ(frames.largest_free_run(), FrameCount(0));
    EXPECT_TRUE(frames.validate().ok());
}

TEST(FrameStart, AMapWithoutUsableMemory) {
    Machine machine({{1, 100, MemoryKind::reserved}});
    EXPECT_EQ(machine.frames.counters(), FrameCounters());
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(50)), Error::out_of_range, 50));
}

TEST(FrameStart, OneFrame) {
    Machine machine({{7, 1}});
    EXPECT_EQ(machine.frames.allocate().value(), Frame(7));
    EXPECT_TRUE(fails_with(machine.frames.allocate(), Error::out_of_frames, 1));
    EXPECT_TRUE(machine.frames.free(Frame(7)).ok());
}

// Zones end in the middle of blocks, of words, anywhere.
TEST(FrameStart, ZonesEndAtAnyFrame) {
    for (const uint64_t limit : {0u, 1u, 2u, 511u, 512u, 513u, 700u, 4095u, 4096u, 4097u, 5000u}) {
        Machine machine({{1, 5119}}, Frame(limit));
        const FrameCounters counters = machine.frames.counters();
        const uint64_t dma = std::min<uint64_t>(limit, 4096);
        EXPECT_EQ(counters.of(Zone::dma).total.value(), dma == 0 ? 0 : dma - 1);
        EXPECT_EQ(counters.of(Zone::direct).total.value(), limit - dma);
        EXPECT_EQ(counters.of(Zone::high).total.value(), 5120 - std::max<uint64_t>(limit, 1));
        EXPECT_EQ(counters.free.value(), 5119u);
        EXPECT_EQ(machine.frames.zone_of(Frame(limit)), Zone::high);
        // Each zone gives out its own frames, and all of them.
        for (const Zone zone : {Zone::high, Zone::direct, Zone::dma}) {
            const uint64_t total = counters.of(zone).total.value();
            for (uint64_t i = 0; i < total; ++i) {
                const auto frame = machine.frames.allocate(zone);
                ASSERT_TRUE(frame.ok());
                ASSERT_EQ(machine.frames.zone_of(*frame), zone);
            }
            EXPECT_EQ(machine.free(zone), 0u);
        }
        EXPECT_TRUE(machine.frames.free(run_of(1, 5119)).ok());
    }
}

// Islands of one frame, holes, and blocks of which only the middle is usable.
TEST(FrameStart, PatchyMemory) {
    std::vector<Memory> memory{{1, 1}, {3, 1}, {510, 1}, {513, 1}, {1030, 3}, {2048, 512}};
    for (uint64_t i = 0; i < 20; ++i)
        memory.push_back({3000 + 2 * i, 1});
    Machine machine(memory);
    EXPECT_EQ(machine.free(), 4u + 3 + 512 + 20);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(512));
    EXPECT_TRUE(machine.frames.allocate_order(9).ok());
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(3));
    EXPECT_EQ(machine.frames.allocate_run(FrameCount(3)).value(), run_of(1030, 3));
    EXPECT_TRUE(fails_with(machine.frames.allocate_run(FrameCount(2)), Error::out_of_frames, 2));
    for (int i = 0; i < 24; ++i)
        EXPECT_TRUE(machine.frames.allocate().ok());
    EXPECT_EQ(machine.free(), 0u);
}

TEST(FrameStart, MemoryAboveFourGibibytes) {
    Machine machine({{1, 3 * gibi_frames - 1}, {4 * gibi_frames, gibi_frames / 2}},
                    Frame(gibi_frames / 8 * 7));
    EXPECT_EQ(machine.free(), 3 * gibi_frames - 1 + gibi_frames / 2);
    EXPECT_TRUE(machine.frames.allocate_at(run_of(4 * gibi_frames + 1000, 5)).ok());
    const FrameConstraints below_four{.highest = Frame(4 * gibi_frames - 1)};
    const auto low = machine.frames.allocate_run(FrameCount(3000), below_four);
    ASSERT_TRUE(low.ok());
    EXPECT_LT(low->last(), Frame(3 * gibi_frames));
    const auto large = machine.frames.allocate_order(18);
    ASSERT_TRUE(large.ok());
    EXPECT_TRUE(large->first().is_aligned(FrameCount(gibi_frames)));
}

TEST(FrameStart, MemoryFarApart) {
    const std::vector<Memory> memory{{1, 300},
                                     {4 * gibi_frames, 600},
                                     {tebi_frames + 5, 1},
                                     {16 * tebi_frames - 512, 512},
                                     {Frame::highest - 100, 100}};
    const auto map = make_map(memory);
    EXPECT_LE(FrameAllocator::metadata_bytes(*map).value(), 8192u);
    Machine machine(memory);
    EXPECT_EQ(machine.free(), 1513u);
    EXPECT_TRUE(machine.frames.is_free(Frame(Frame::highest - 1)));
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(600));
    EXPECT_TRUE(machine.frames.allocate_at(run_of(tebi_frames + 5, 1)).ok());
    EXPECT_TRUE(fails_with(machine.frames.free(Frame(tebi_frames)), Error::reserved, tebi_frames));
    EXPECT_TRUE(machine.frames.free(Frame(tebi_frames + 5)).ok());
    const auto order = machine.frames.allocate_order(9);
    ASSERT_TRUE(order.ok());
    EXPECT_TRUE(order->first().is_aligned(FrameCount(512)));
    EXPECT_TRUE(machine.frames.free(*order).ok());
}

// 0.3 bytes for each frame of the hull, and a constant.
TEST(FrameStart, MetadataIsSmall) {
    const uint64_t constant = 16 * 1024;
    const auto limit = [&](const MemoryMap& map) {
        return map.usable_hull().count().value() * 3 / 10 + constant;
    };
    std::vector<Memory> checkered;
    for (uint64_t i = 0; i < 200; ++i)
        checkered.push_back({1 + i * 600, 400});
    std::vector<Memory> islands;
    for (uint64_t i = 0; i < 200; ++i)
        islands.push_back({100 + i * 17 * 512, 1});
    std::vector<Memory> edges;
    for (uint64_t i = 0; i < 200; ++i)
        edges.push_back({511 + i * 1024, 2});
    const std::vector<std::vector<Memory>> machines{
        {{1, 2047}},
        {{1, 1 * gibi_frames}},
        {{1, 256 * gibi_frames}, {9 * tebi_frames, gibi_frames}},
        {{1, 4000}, {4001, 2 * gibi_frames, MemoryKind::acpi_reclaimable}},
        {{1, 2000}, {2001, gibi_frames, MemoryKind::module}, {2 * gibi_frames, 1}},
        checkered,
        islands,
        edges,
    };
    for (const auto& memory : machines) {
        const auto map = make_map(memory);
        EXPECT_LE(FrameAllocator::metadata_bytes(*map).value(), limit(*map));
    }
    const auto plain = make_map({{1, 64 * gibi_frames}});
    EXPECT_LE(FrameAllocator::metadata_bytes(*plain).value(), 64 * gibi_frames * 16 / 100);
}

// 16 TiB from end to end, of which little is memory: books and start depend on what there is.
TEST(FrameStart, AHullOfSixteenTebibytes) {
    Machine machine({{1, gibi_frames}, {16 * tebi_frames - gibi_frames, gibi_frames}});
    EXPECT_EQ(machine.free(), 2 * gibi_frames);
    EXPECT_LE(FrameAllocator::metadata_bytes(*machine.map).value(), 100u * 1024);
    EXPECT_EQ(machine.frames.largest_free_run(), FrameCount(gibi_frames));
}

TEST(FrameStart, MoreBlocksThanNumbersIsAnError) {
    const auto map = make_map({{1, Frame::highest}});
    BootFrames boot(*map, everything);
    FrameAllocator frames;
    Books books(64);
    // Whatever size is claimed.
    const Span<unsigned char> claimed(books.span().data(), SIZE_MAX / 4);
    EXPECT_TRUE(fails_with(frames.start(boot, claimed, no_limit), Error::bad_argument,
                           (Frame::highest >> block_order) + 1 + 2));
    EXPECT_EQ(frames.counters(), FrameCounters());
}

// On the smallest machine worth mentioning, and with every kind of reservation.
TEST(FrameStart, EightMebibytes) {
    Machine machine({{0, 159},
                     {0, 256, MemoryKind::low_memory},
                     {256, 1792},
                     {256, 200, MemoryKind::kernel},
                     {456, 3, MemoryKind::boot_information},
                     {1000, 56, MemoryKind::module}});
    EXPECT_EQ(machine.free(), 1792u - 200 - 3 - 56);
    EXPECT_EQ(machine.frames.counters().total, machine.map->usable_frames());
}

}  // namespace
}  // namespace quire::frame_start_test
