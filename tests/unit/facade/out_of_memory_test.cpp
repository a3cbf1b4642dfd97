// SPDX-License-Identifier: MIT
// Memory runs out at every point of a scenario that goes through all the layers: what fails changes
// nothing and loses nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quire/boot/e820.hpp"
#include "quire/kernel_memory.hpp"
#include "sim/booted_machine.hpp"

namespace quire::out_of_memory_test {
namespace {

using sim::BootedMachine;
using sim::BootedShape;

// ---- boot: a map with fewer and fewer frames ----------------------------------------------------

// Memory of `frames` usable frames, from 2 MiB on, and the image.
void build_map(MemoryMap& map, uint64_t frames) {
    MemoryMapBuilder builder(map);
    builder.add(0x200000, frames << page_shift, MemoryKind::usable);
    const PhysicalRange image{PhysicalAddress(BootedMachine::image_physical),
                              Bytes(BootedMachine::image_bytes)};
    ASSERT_TRUE(builder.reserve(image, MemoryKind::kernel).ok());
    ASSERT_TRUE(builder.finish(PhysicalAddress(UINT32_MAX)).ok());
}

class OutOfMemoryTest : public ::testing::TestWithParam<TableReach> {};

std::string name_of(const ::testing::TestParamInfo<TableReach>& info) {
    switch (info.param) {
        case TableReach::direct:
            return "Direct";
        case TableReach::recursive:
            return "Recursive";
        case TableReach::window:
            return "Window";
    }
    return "";
}

INSTANTIATE_TEST_SUITE_P(Reaches, OutOfMemoryTest,
                         ::testing::Values(TableReach::direct, TableReach::recursive,
                                           TableReach::window),
                         name_of);

TEST_P(OutOfMemoryTest, BootFailsCleanlyUntilThereIsEnough) {
    uint64_t before_activation = 0;
    for (uint64_t frames = 1;; ++frames) {
        ASSERT_LT(frames, 200u) << "boot never succeeds";
        SCOPED_TRACE(std::to_string(frames) + " frames");
        BootedShape shape;
        shape.reach = GetParam();
        shape.memory_bytes = 4 << 20;
        BootedMachine booted(shape);
        const auto small = std::make_unique<MemoryMap>();
        build_map(*small, frames);
        const Status started = booted.start(*small, booted.platform());
        if (started.ok()) {
            EXPECT_TRUE(booted.memory().frames().validate().ok());
            EXPECT_TRUE(booted.memory().space().validate().ok());
            break;
        }
        EXPECT_TRUE(started.error() == Error::out_of_frames ||
                    started.error() == Error::out_of_nodes)
            << to_string(started.error());
        if (booted.machine().probe_load<uint8_t>(BootedMachine::image_virtual).ok()) {
            // Before its own table was active: on a better map the same machine starts.
            ++before_activation;
            EXPECT_TRUE(booted.start().ok());
        }
    }
    EXPECT_GT(before_activation, 2u);
}

// ---- afterwards: exactly n frames are left ------------------------------------------------------

// Everything that can be seen of the managers, to be compared.
struct State {
    std::vector<bool> free;
    std::vector<std::string> regions;
    std::vector<std::string> entries;
    uint64_t table_frames = 0;
    size_t live_blocks = 0;
    size_t live_bytes = 0;
    size_t committed_bytes = 0;

    bool operator==(const State&) const = default;
};

std::string text_of(const PageRange& pages) {
    char buffer[64];
    TextWriter text(buffer);
    text.hex(pages.first().value()).put('+').decimal(pages.count().value());
    return buffer;
}

State state_of(BootedMachine& booted) {
    KernelMemory& memory = booted.memory();
    State state;
    const uint64_t last = booted.map().usable_hull().last().value();
    for (uint64_t frame = 0; frame <= last; ++frame) {
        state.free.push_back(memory.frames().is_free(Frame(frame)));
    }
    memory.space().for_each_region([&](const RegionInfo& region) {
        state.regions.push_back(
            text_of(region.pages) + " " + region.name + " " +
            std::to_string(static_cast<unsigned>(region.attributes.protection)) + " " +
            std::to_string(static_cast<unsigned>(region.backing)));
        return true;
    });
    // Windows show whatever was opened last.
    const PageRange kernel = memory.layout().kernel;
    const PageRange below = kernel.prefix(memory.layout().windows.first() - kernel.first());
    EXPECT_TRUE(
        memory.table()
            .walk(below,
                  [&](const Translation& entry) {
                      state.entries.push_back(
                          text_of(entry.pages) + " " +
                          std::to_string(entry.frames.first().value()) + " " +
                          std::to_string(static_cast<unsigned>(entry.attributes.protection)) + " " +
                          std::to_string(static_cast<unsigned>(entry.state)));
                      return true;
                  })
            .ok());
    state.table_frames = memory.table().table_frames().value();
    const HeapCounters heap = memory.heap().counters();
    state.live_blocks = heap.live_blocks;
    state.live_bytes = heap.live_bytes;
    state.committed_bytes = heap.committed_bytes;
    return state;
}

void validate_all(KernelMemory& memory) {
    EXPECT_TRUE(memory.frames().validate().ok());
    EXPECT_TRUE(memory.table().validate().ok());
    EXPECT_TRUE(memory.space().validate().ok());
    EXPECT_TRUE(memory.heap().validate().ok());
}

// Takes frames until `left` are free.
void leave_frames(KernelMemory& memory, uint64_t left) {
    while (memory.frames().counters().free.value() > left) {
        ASSERT_TRUE(memory.frames().allocate().ok());
    }
}

// The space makes room for records of regions before an operation that might need them, and keeps
// it when the operation fails: so it is made to do that now.
void fill_up_region_nodes(KernelMemory& memory) {
    const auto pages = memory.space().allocate(PageCount(1));
    ASSERT_TRUE(pages.ok());
    ASSERT_TRUE(memory.space().unmap(*pages).ok());
}

using Step = std::function<Status(BootedMachine&)>;

struct Scenario {
    Step prepare;  // with plenty of memory
    Step step;     // with n frames left, for n = 0, 1, 2, ... until it succeeds
};

void run_scenario(TableReach reach, const Scenario& scenario, uint64_t least_failures) {
    uint64_t failures = 0;
    for (uint64_t left = 0;; ++left) {
        ASSERT_LT(left, 400u) << "it never succeeds";
        SCOPED_TRACE(std::to_string(left) + " frames left");
        BootedShape shape;
        shape.reach = reach;
        shape.memory_bytes = 12 << 20;
        BootedMachine booted(shape);
        ASSERT_TRUE(booted.start().ok());
        KernelMemory& memory = booted.memory();
        ASSERT_TRUE(scenario.prepare(booted).ok());
        fill_up_region_nodes(memory);
        leave_frames(memory, left);
        const State before = state_of(booted);
        const Status done = scenario.step(booted);
        validate_all(memory);
        if (done.ok()) break;
        ++failures;
        EXPECT_TRUE(done.error() == Error::out_of_frames || done.error() == Error::out_of_memory ||
                    done.error() == Error::out_of_nodes)
            << to_string(done.error());
        EXPECT_TRUE(before == state_of(booted)) << "a failed step changed something";
        EXPECT_TRUE(booted.machine().stale_entries().empty() || reach != TableReach::direct);
    }
    EXPECT_GE(failures, least_failures) << "the step never ran out of memory";
}

Status nothing(BootedMachine&) {
    return {};
}

template <class T>
Status status_of(const Result<T>& result) {
    return result.ok() ? Status() : Status(result.failure());
}

Placement at(uintptr_t address) {
    Placement placement;
    placement.fixed = true;
    placement.at = page_of(VirtualAddress(address));
    return placement;
}

// Far from everything else, so that tables have to be made.
constexpr uintptr_t far_away = 0xE0000000;

TEST_P(OutOfMemoryTest, AllocatingPagesUnderNewTables) {
    run_scenario(GetParam(),
                 {nothing,
                  [](BootedMachine& booted) {
                      AllocateOptions options;
                      options.placement = at(far_away + (1022 << page_shift));
                      return status_of(booted.memory().space().allocate(PageCount(5), options));
                  }},
                 7);
}

TEST_P(OutOfMemoryTest, MappingFramesUnderNewTables) {
    run_scenario(GetParam(),
                 {nothing,
                  [](BootedMachine& booted) {
                      MapOptions options;
                      options.placement = at(far_away + (1000 << page_shift));
                      const FrameRange screen(Frame(0xA0), FrameCount(32));
                      return status_of(booted.memory().space().map(screen, options));
                  }},
                 2);
}

// 4 MiB of the screen's neighbourhood in one entry, of which a part is then changed.
Status map_large(BootedMachine& booted) {
    MapOptions options;
    options.placement = at(far_away);
    const FrameRange frames(Frame(0x3F000), FrameCount(1024));
    const Result<PageRange> pages = booted.memory().space().map(frames, options);
    if (!pages.ok()) return pages.failure();
    const auto found = booted.memory().table().query(address_of(pages->first()));
    EXPECT_EQ(found->pages.count(), PageCount(1024)) << "no large page: nothing to split";
    return {};
}

TEST_P(OutOfMemoryTest, SplittingALargePageByProtect) {
    run_scenario(GetParam(),
                 {map_large,
                  [](BootedMachine& booted) {
                      const PageRange part(page_of(VirtualAddress(far_away)) + PageCount(5),
                                           PageCount(7));
                      return booted.memory().space().protect(part, read_only);
                  }},
                 1);
}

TEST_P(OutOfMemoryTest, SplittingALargePageByUnmap) {
    run_scenario(GetParam(),
                 {map_large,
                  [](BootedMachine& booted) {
                      const PageRange part(page_of(VirtualAddress(far_away)) + PageCount(5),
                                           PageCount(7));
                      return booted.memory().space().unmap(part);
                  }},
                 1);
}

TEST_P(OutOfMemoryTest, SmallBlocksOfTheHeap) {
    run_scenario(
        GetParam(),
        {nothing,
         [](BootedMachine& booted) { return status_of(booted.memory().heap().allocate(48)); }},
        1);
}

TEST_P(OutOfMemoryTest, LargeBlocksOfTheHeap) {
    run_scenario(
        GetParam(),
        {nothing,
         [](BootedMachine& booted) { return status_of(booted.memory().heap().allocate(300000)); }},
        70);
}

TEST_P(OutOfMemoryTest, GrowingABlockKeepsItsContents) {
    void* block = nullptr;
    run_scenario(GetParam(),
                 {[&](BootedMachine& booted) {
                      const auto got = booted.memory().heap().allocate(3000);
                      if (!got.ok()) return status_of(got);
                      block = *got;
                      std::memset(block, 0x6b, 3000);
                      return Status();
                  },
                  [&](BootedMachine& booted) {
                      const auto got = booted.memory().heap().reallocate(block, 100000);
                      const auto* bytes =
                          static_cast<const unsigned char*>(got.ok() ? *got : block);
                      for (size_t i = 0; i < 3000; ++i)
                          EXPECT_EQ(bytes[i], 0x6b);
                      return status_of(got);
                  }},
                 10);
}

// A large block's pages move, so there is no memory for two of them, nor need for it.
TEST_P(OutOfMemoryTest, GrowingALargeBlockMovesItsPages) {
    constexpr size_t bytes = size_t{5} << 20;
    unsigned char* block = nullptr;
    run_scenario(GetParam(),
                 {[&](BootedMachine& booted) {
                      const auto got = booted.memory().heap().allocate(bytes);
                      if (!got.ok()) return status_of(got);
                      block = static_cast<unsigned char*>(*got);
                      for (size_t i = 0; i < bytes; i += 64)
                          block[i] = static_cast<unsigned char>(i / 64 + i / 4096);
                      return Status();
                  },
                  [&](BootedMachine& booted) {
                      const auto got = booted.memory().heap().reallocate(block, bytes + 100000);
                      const auto* now = got.ok() ? static_cast<const unsigned char*>(*got) : block;
                      for (size_t i = 0; i < bytes; i += 64)
                          EXPECT_EQ(now[i], static_cast<unsigned char>(i / 64 + i / 4096));
                      EXPECT_LT(booted.memory().heap().counters().peak_committed_bytes, 2 * bytes);
                      return status_of(got);
                  }},
                 25);
}

// Giving back needs no memory, however little there is.
TEST_P(OutOfMemoryTest, GivingBackNeverFails) {
    BootedShape shape;
    shape.reach = GetParam();
    shape.memory_bytes = 12 << 20;
    BootedMachine booted(shape);
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    const auto pages = memory.space().allocate(PageCount(20));
    const auto small = memory.heap().allocate(100);
    const auto large = memory.heap().allocate(200000);
    ASSERT_TRUE(pages.ok() && small.ok() && large.ok());
    const uint64_t with_all = memory.frames().counters().free.value();
    leave_frames(memory, 0);
    EXPECT_TRUE(memory.heap().try_free(*large).ok());
    EXPECT_TRUE(memory.heap().try_free(*small).ok());
    EXPECT_TRUE(memory.space().unmap(*pages).ok());
    memory.heap().trim();
    EXPECT_GE(memory.frames().counters().free.value(), 20u + 49u);
    EXPECT_GT(with_all, 0u);
    validate_all(memory);
}

// A fault on demand without a frame is reported, and resolved once there is one again.
TEST_P(OutOfMemoryTest, DemandFaultsReportAndRecover) {
    BootedShape shape;
    shape.reach = GetParam();
    shape.memory_bytes = 12 << 20;
    BootedMachine booted(shape);
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    AllocateOptions options;
    options.populate = Populate::on_demand;
    options.placement = at(far_away);
    const auto pages = memory.space().allocate(PageCount(4), options);
    ASSERT_TRUE(pages.ok());
    const auto kept = memory.frames().allocate_run(FrameCount(4));
    ASSERT_TRUE(kept.ok());
    leave_frames(memory, 0);
    const State before = state_of(booted);
    EXPECT_FALSE(booted.machine().probe_load<uint8_t>(far_away).ok());
    EXPECT_EQ(booted.last_fault().error, Error::out_of_frames);
    EXPECT_TRUE(before == state_of(booted));
    ASSERT_TRUE(memory.frames().free(*kept).ok());
    EXPECT_TRUE(booted.machine().probe_load<uint8_t>(far_away).ok());
    validate_all(memory);
}

}  // namespace
}  // namespace quire::out_of_memory_test
